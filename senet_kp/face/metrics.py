"""Errors between predicted and true landmarks, in plain NumPy.

NME, the normalised mean error, is the mean distance between predicted and true landmarks over the
valid points of a face, divided by a length measured on the true landmarks. It is a ratio, so
landmarks may be in pixels or, if boxes are square, box-relative. The NME of a face that was not
found is infinite: it is a failure at every threshold, and it is left out of means over found faces.
"""

from typing import Literal, get_args

import numpy as np

from senet_kp.face.scheme import LandmarkScheme

Normaliser = Literal["inter-ocular", "inter-pupil", "box", "diagonal"]
NORMALISERS = get_args(Normaliser)


def normaliser(truth, mask, scheme: LandmarkScheme, kind: str) -> np.ndarray:
    """Return the lengths [n] that divide the errors, from true landmarks [n, N, 2] and mask [n, N].

    kind is one of NORMALISERS. inter-ocular: distance between the outer eye corners, as in 300-W
    (Sagonas et al., "300 Faces In-The-Wild Challenge", 2013); inter-pupil: distance between the
    means of the points around each eye; box: sqrt(w x h) of the bounding box of the landmarks;
    diagonal: the diagonal of that rectangle. NaN where a needed point is missing or the length is
    zero.
    """
    truth = np.where(np.asarray(mask, bool)[..., None], np.asarray(truth, np.float64), np.nan)
    if kind in ("inter-ocular", "inter-pupil"):
        corners = [[i] for i in scheme.outer_eye_corners]
        first, second = corners if kind == "inter-ocular" else scheme.eyes
        length = np.linalg.norm(
            truth[:, list(first)].mean(1) - truth[:, list(second)].mean(1), axis=-1
        )
    elif kind in ("box", "diagonal"):
        extent = _extent(truth)
        length = np.sqrt(extent.prod(-1)) if kind == "box" else np.linalg.norm(extent, axis=-1)
    else:
        raise ValueError(f"no normaliser {kind!r}, only {', '.join(NORMALISERS)}")
    return np.where(length > 0, length, np.nan)


def point_errors(predicted, truth, mask, lengths) -> np.ndarray:
    """Return the distances [n, N] divided by `lengths` [n]; NaN where the point is not valid."""
    distance = np.linalg.norm(np.asarray(predicted, np.float64) - truth, axis=-1)
    return np.where(np.asarray(mask, bool), distance, np.nan) / np.asarray(lengths)[:, None]


def normalised_errors(predicted, truth, mask, scheme: LandmarkScheme, kind: str) -> np.ndarray:
    """Return the point errors [n, N] with the normaliser `kind`."""
    return point_errors(predicted, truth, mask, normaliser(truth, mask, scheme, kind))


def nme(errors) -> np.ndarray:
    """Return the mean [n] of each face's point errors [n, N]; NaN where all of them are NaN."""
    valid = np.isfinite(errors)
    count = valid.sum(1)
    total = np.where(valid, errors, 0).sum(1)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def failure_rate(nmes, threshold: float) -> float:
    """Return the share of faces whose NME is above the threshold."""
    return float(np.mean(np.asarray(nmes) > threshold))


def auc(nmes, threshold: float) -> float:
    """Return the area under the CED from 0 to the threshold, divided by the threshold.

    It is exact: the area under a step function that rises by 1/n at each NME.
    """
    return float(np.mean(np.maximum(threshold - np.asarray(nmes), 0)) / threshold)


def ced(nmes) -> tuple[np.ndarray, np.ndarray]:
    """Return the cumulative error distribution: sorted NMEs, and the share of faces up to each."""
    ordered = np.sort(nmes)
    return ordered, np.arange(1, len(ordered) + 1) / len(ordered)


def ced_at(nmes, errors) -> np.ndarray:
    """Return the cumulative error distribution at given errors: the share of faces up to each."""
    return np.searchsorted(np.sort(nmes), errors, side="right") / len(nmes)


def ced_end(curves, threshold: float) -> float:
    """Return where the error axis of a CED ends, so that it shows all of several curves' NMEs [n].

    It is the largest 99th percentile of the curves (of the found faces), which a few extreme errors
    do not affect, and at least 1.25 times the failure threshold, which is marked on the axis.
    """
    found = [nmes[np.isfinite(nmes)] for nmes in map(np.asarray, curves)]
    ends = [float(np.percentile(nmes, 99)) for nmes in found if len(nmes)]
    return max([1.25 * threshold, *ends])


def mean_of_found(nmes) -> float:
    """Return the mean of the finite NMEs, those of found faces; NaN if there are none."""
    found = np.asarray(nmes)[np.isfinite(nmes)]
    return float(found.mean()) if len(found) else np.nan


def median_of_found(nmes) -> float:
    """Return the median of the finite NMEs, those of found faces; NaN if there are none."""
    found = np.asarray(nmes)[np.isfinite(nmes)]
    return float(np.median(found)) if len(found) else np.nan


def rmse(predicted, truth, mask) -> float:
    """Return the root mean squared error over all valid coordinates of [n, N, 2], in their unit.

    Every coordinate has the same weight. NaN if no point is valid. Kaggle's "Facial Keypoints
    Detection" uses this metric, in pixels.
    """
    known = np.asarray(mask, bool)
    difference = (np.asarray(predicted, np.float64) - truth)[known]
    return float(np.sqrt(np.mean(difference**2))) if known.any() else float("nan")


def balanced_mean(values, bins) -> float:
    """Return the mean over bins of the mean in each bin, from values [n] and bin numbers [n].

    Infinite values, those of faces that were not found, are left out.
    """
    found = np.isfinite(values)
    values, bins = np.asarray(values)[found], np.asarray(bins)[found]
    count = np.bincount(bins)
    total = np.bincount(bins, weights=values)
    return float(np.mean(total[count > 0] / count[count > 0]))


def spread_ratio(predicted, truth, mask) -> float:
    """Return how much predictions [n, N, 2] vary between faces, relative to the truth.

    A value near 0 means that the network predicts the mean face for every picture; a trained
    network is near 1. Only valid points, by mask [n, N], count.
    """
    mask = np.asarray(mask, bool)
    known = mask[:, mask.any(axis=0), None]

    def spread(points):
        return np.std(np.asarray(points)[:, mask.any(axis=0)], axis=0, where=known).mean()

    return float(spread(predicted) / max(spread(truth), 1e-12))


def _extent(points) -> np.ndarray:
    """Return width and height [n, 2] of each face's landmarks, ignoring missing ones (NaN)."""
    known = np.isfinite(points)
    high = np.where(known, points, -np.inf).max(1)
    low = np.where(known, points, np.inf).min(1)
    return np.where(known.any(1), high - low, np.nan)
