"""The scores of predicted landmarks, computed here for both `evaluate` and `report`.

METRICS lists the metrics that summarise the NMEs of a set of faces. Both commands take the keys of
their JSON files and the columns of their tables from it, so that a new metric is one more entry.
The `estimate` argument decides what a score looks like: `plain_values` gives a number, and
`report.bootstrap.estimates` a number with its confidence interval.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

from senet_kp.face.metrics import (
    NORMALISERS,
    Normaliser,
    auc,
    failure_rate,
    mean_of_found,
    median_of_found,
    nme,
    normaliser,
    rmse,
)
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops
from senet_kp.scoring.yaw_bins import absolute_yaw_deg, yaw_bins_mean, yaw_in_no_bin, yaw_masks
from senet_kp.tfrecords.errors import InputError


@dataclass(frozen=True)
class Metric:
    """A number that summarises the NMEs of a set of faces.

    key: its name in JSON files
    label: its name in tables
    value: function of the NMEs [n], infinite for faces that were not found, and the failure
           threshold; not finite if it is not defined
    decimals: digits after the decimal point in tables
    percent: whether tables show it as a percentage
    """

    key: str
    label: str
    value: Callable[[np.ndarray, float], float]
    decimals: int
    percent: bool = True

    def format(self, value: float) -> str:
        return f"{value:.{self.decimals}{'%' if self.percent else 'f'}}"


METRICS = (
    Metric("nme", "NME", lambda nmes, threshold: mean_of_found(nmes), 2),
    Metric("nme_median", "median NME", lambda nmes, threshold: median_of_found(nmes), 2),
    Metric("failure_rate", "failure rate", failure_rate, 1),
    Metric("auc", "AUC", auc, 3, percent=False),
)

NO_LABELLED_FACES = "no labelled faces"  # in place of the NME of a region


@dataclass(frozen=True)
class FaceErrors:
    """The normalised errors of a model on the n faces of `crops`.

    points [n, N] and nmes [n] are NaN where there is no annotation to compare with, or where the
    face lacks a landmark that the normaliser needs. The NME of a face without predicted landmarks
    is infinite.
    """

    crops: Crops
    scheme: LandmarkScheme
    points: np.ndarray
    nmes: np.ndarray

    @property
    def scored(self) -> np.ndarray:
        """[n] bool: the faces that have an NME, or would have one if they were found."""
        return ~np.isnan(self.nmes)


def face_errors(predicted, crops: Crops, scheme: LandmarkScheme, kind: Normaliser) -> FaceErrors:
    """The errors of predictions [n, N, 2], box-relative; NaN for a face that was not found."""
    points = crops.normalised_errors(predicted, scheme, kind)
    scorable = np.isfinite(normaliser(crops.landmarks, crops.mask, scheme, kind))
    missing = np.isnan(predicted).any(axis=(1, 2)) & scorable
    return FaceErrors(crops, scheme, points, np.where(missing, np.inf, nme(points)))


def nme_by_normaliser(predicted, crops: Crops, scheme: LandmarkScheme) -> dict[str, float | None]:
    """The mean NME with every normaliser; None where no face has the landmarks that it needs."""
    means = {
        kind: mean_of_found(face_errors(predicted, crops, scheme, kind).nmes)
        for kind in NORMALISERS
    }
    return {kind: None if np.isnan(mean) else mean for kind, mean in means.items()}


def scores(
    predicted,
    crops: Crops,
    scheme: LandmarkScheme,
    normaliser: Normaliser = "inter-ocular",
    threshold: float = 0.08,
) -> dict:
    """All scores of predictions [n, N, 2], box-relative, as plain numbers for JSON.

    A score is None where no face defines it. Raises InputError if no face has the landmarks that
    the normaliser needs.
    """
    errors = face_errors(predicted, crops, scheme, normaliser)
    if not errors.scored.any():
        raise InputError(
            f"none of the {len(crops):,} faces has the landmarks that the normaliser {normaliser}"
            " needs; choose another --normaliser"
        )
    parts = breakdown(errors, threshold, plain_values)
    return {
        "metric": "NME",
        "normaliser": normaliser,
        "faces": parts["all"]["faces"],
        "faces_not_scored": len(crops) - parts["all"]["faces"],
        "threshold": threshold,
        **{metric.key: parts["all"][metric.key] for metric in METRICS},
        "nme_by_normaliser": nme_by_normaliser(predicted, crops, scheme),
        "rmse_px": crops.images.shape[1] * rmse(predicted, crops.landmarks, crops.mask),
        "regions": parts["regions"],
        **{key: _nmes_only(parts[key]) for key in ("subsets", "tags", "yaw_bins")},
        "yaw_bins_mean": parts["yaw_bins_mean"],
        "yaw_in_no_bin": parts["yaw_in_no_bin"],
        "yaw_estimated_from_points": parts["yaw_estimated_from_points"],
    }


def scores_or_note(
    run: Callable, crops: Crops, scheme: LandmarkScheme, normaliser: Normaliser = "inter-ocular"
) -> dict:
    """`scores` of the landmarks [N, 2] that the engine `run` finds in each crop.

    If no face can be scored, "faces" is 0, "nme" is None and "note" gives the reason.
    """
    unscored = {"metric": "NME", "normaliser": normaliser, "faces": 0, "nme": None}
    if not len(crops):
        return unscored | {"note": "there is nothing to score: the test side contains no faces"}
    bar = tqdm(crops.images, unit="face", desc="test side", disable=None)
    try:
        return scores(np.array([run(image) for image in bar]), crops, scheme, normaliser)
    except InputError as error:
        return unscored | {"note": f"there is nothing to score: {error}"}


def breakdown(errors: FaceErrors, threshold: float, estimate: Callable) -> dict:
    """METRICS over all faces and by subset, tag and yaw bin, and the NME of each facial region.

    estimate: takes {name: statistic}, values [n] or [n, k] and groups [n], and returns
    {name: score} with every statistic applied to the values.
    """
    crops, scored = errors.crops, errors.scored

    def of_each(masks: dict) -> dict:
        return {name: _part(errors, mask, threshold, estimate) for name, mask in masks.items()}

    yaw, estimated = absolute_yaw_deg(crops, errors.scheme)
    groups = np.array(crops.groups)
    return {
        "all": _part(errors, scored, threshold, estimate),
        "subsets": of_each(crops.subset_masks()),
        "tags": of_each(crops.tag_masks()),
        "yaw_bins": of_each(yaw_masks(yaw)),
        "yaw_bins_mean": yaw_bins_mean(errors.nmes[scored], yaw[scored], groups[scored], estimate),
        "yaw_in_no_bin": yaw_in_no_bin(yaw[scored]),
        "yaw_estimated_from_points": int(estimated.sum()),
        "regions": _regions(errors, estimate),
    }


def plain_values(statistics: dict[str, Callable], values, groups) -> dict[str, float | None]:
    """{name: number}, or None if it is not finite; the groups are not needed."""
    found = {name: float(statistic(values)) for name, statistic in statistics.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def list_conditions(manifest: dict, side: str) -> dict:
    """What must be stated with every score: which faces, boxes and annotations it is based on."""
    return {
        "side": side,
        "box_source": manifest["box"]["source"],
        "label_source": label_source(manifest),
        "records_sha256": manifest["records_sha256"],
    }


def label_source(manifest: dict) -> str:
    """Which annotations the records contain, for example "300W_LP pts_2d, data p1"."""
    return ", ".join(f"{source['folder']} {source['labels']}" for source in manifest["sources"])


def _part(errors: FaceErrors, chosen, threshold: float, estimate: Callable) -> dict:
    """The counts and METRICS of the chosen faces, [n] bool; every metric is None without faces."""
    chosen = chosen & errors.scored
    groups = np.array(errors.crops.groups)[chosen]
    missing = int(np.isinf(errors.nmes[chosen]).sum())
    counts = {"faces": len(groups), "groups": len(set(groups)), "missing": missing}
    if not len(groups):
        return counts | dict.fromkeys(metric.key for metric in METRICS)
    statistics = {metric.key: partial(metric.value, threshold=threshold) for metric in METRICS}
    return counts | estimate(statistics, errors.nmes[chosen], groups)


def _regions(errors: FaceErrors, estimate: Callable) -> dict:
    """{region: NME over the landmarks of that region}."""
    regions = errors.scheme.regions
    values = np.column_stack([nme(errors.points[:, list(points)]) for points in regions.values()])
    statistics = {name: partial(_mean_of_column, index=i) for i, name in enumerate(regions)}
    return estimate(statistics, values, errors.crops.groups)


def _mean_of_column(values, index: int) -> float:
    known = values[:, index][np.isfinite(values[:, index])]
    return known.mean() if len(known) else np.nan


def _nmes_only(parts: dict) -> dict:
    return {name: {key: part[key] for key in ("faces", "nme")} for name, part in parts.items()}
