"""Every number of the report, as plain values for JSON; the page shows these and no others."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from senet_kp.face.metrics import (
    auc,
    balanced_mean,
    ced_at,
    failure_rate,
    nme,
    normalised_errors,
    normaliser,
)
from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.inference.model_card import box_rule
from senet_kp.input.crops import Crops, load_crops, load_stored
from senet_kp.report import bootstrap
from senet_kp.report.box_sensitivity import box_curves
from senet_kp.report.detector_boxes import (
    compare_boxes,
    detect,
    file_of,
    find_pictures,
    points_in_detected,
)
from senet_kp.report.gallery import choose, draw
from senet_kp.scoring.contamination import check_overlap
from senet_kp.scoring.evaluate import (
    YAW_BINS_DEG,
    list_conditions,
    yaw_bin,
    yaw_bins_mean,
    yaw_deg,
    yaw_in_no_bin,
    yaw_masks,
)
from senet_kp.scoring.models import Model, open_model
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.training_curve import training_curve

CED_STEPS = 160  # of the curve's error axis, which ends at twice the threshold
NO_DATA = "Not measured: this needs the original pictures, and --data did not name their folders."
NO_PICTURES = "Not measured: the faces lie in a table, not in pictures around them."
NO_TRANSFORM = "Not measured: how dlib's boxes lie to the face boxes is not known for this model."


@dataclass(frozen=True)
class Faces:
    """The n faces of a side that can be scored.

    left_out:          how many more cannot, for want of landmarks
    boxed, stored:     indices of the faces whose boxes are displaced, and their stored pictures
    searched:          indices of the faces whose whole pictures dlib searches
    paths, detections: those pictures, and the boxes [x, y, w, h] it found in each
    """

    crops: Crops
    scheme: LandmarkScheme
    manifest: dict
    left_out: int
    boxed: np.ndarray
    stored: np.ndarray
    searched: np.ndarray
    paths: list[Path]
    detections: list[list[np.ndarray]]


def collect(config) -> tuple[dict, dict]:
    """All numbers, and the drawn faces as JPEG by picture name.

    Raises InputError for records or pictures and ModelError for models that cannot be used, and
    CheckError for a model that was trained on the faces.
    """
    manifest = read_manifest(config.records)
    training = training_curve(config.run) if config.run else None
    with ExitStack() as opened:  # all at once: the last one's fault should not cost a wait
        models = [
            opened.enter_context(open_model(path, config.records, manifest, config.backend))
            for path in config.models
        ]
        overlaps = check_overlap(models, config, manifest)
        faces = _load_faces(config, manifest)
        predicted = [model.predict(faces.crops.images) for model in models]
        measured = [
            {"name": name, "overlap": overlap} | _measure(config, model, points, faces)
            for name, model, points, overlap in zip(
                _names(config.models), models, predicted, overlaps, strict=True
            )
        ]
    crops = faces.crops
    gallery = choose(measured[0]["nmes"], crops)
    numbers = {
        "conditions": _conditions(config, faces),
        "models": measured,
        "comparisons": [_paired(measured[0], m, crops, config.seed) for m in measured[1:]],
        "ced_errors": _ced_errors(config.threshold),
        "mean_face": _mean_face(faces, config.normaliser),
        "gallery": gallery,
        "training": training,
        "faces": {"names": crops.names, "groups": crops.groups, "subsets": crops.subsets},
    }
    return numbers, draw(gallery, crops, predicted[0], faces.scheme)


def _load_faces(config, manifest: dict) -> Faces:
    scheme = scheme_of(manifest)
    crops = load_crops(config.records, manifest, config.side)
    lengths = normaliser(crops.landmarks, crops.mask, scheme, config.normaliser)
    usable = np.flatnonzero(np.isfinite(lengths))
    if not len(usable):
        raise InputError(f"{config.records}: no faces to score on the {config.side} side")
    left_out = len(crops) - len(usable)
    crops = crops.take(usable)
    rng = np.random.default_rng(config.seed)
    boxed = _some(rng, len(crops), config.box_faces)
    stored = load_stored(config.records, manifest, config.side, usable[boxed])
    in_pictures = np.flatnonzero([file_of(name) is not None for name in crops.names])
    limit = config.detector_faces if config.data else 0
    searched = in_pictures[_some(rng, len(in_pictures), limit)]
    paths = find_pictures([crops.names[i] for i in searched], config.data)
    detections = detect(paths) if paths else []
    return Faces(crops, scheme, manifest, left_out, boxed, stored, searched, paths, detections)


def _measure(config, model: Model, predicted, faces: Faces) -> dict:
    """Everything about one model, from its landmarks [n, N, 2] of the faces on."""
    crops, scheme, kind = faces.crops, faces.scheme, config.normaliser
    errors = normalised_errors(predicted, crops.landmarks, crops.mask, scheme, kind)
    nmes = nme(errors)
    return {
        "conditions": model.conditions,
        "nmes": nmes,
        "scores": _by_subset(nmes, crops, config),
        "tags": _by_tag(nmes, crops, config),
        **_by_yaw(nmes, faces, config),
        **_by_point(errors, faces, config.seed),
        "ced": ced_at(nmes, _ced_errors(config.threshold)),
        "boxes": box_curves(model, faces.stored, crops.take(faces.boxed), scheme, kind),
        "detected": _detected(config, model, faces, nmes),
        "card": model.card,
    }


def _by_subset(nmes, crops: Crops, config) -> dict:
    parts = {"all": np.full(len(crops), True)} | crops.subset_masks()
    return {name: _part(nmes, crops, parts[name], config) for name in sorted(parts)}


def _by_tag(nmes, crops: Crops, config) -> dict:
    return {name: _part(nmes, crops, mask, config) for name, mask in crops.tag_masks().items()}


def _by_yaw(nmes, faces: Faces, config) -> dict:
    yaw, estimated = yaw_deg(faces.crops, faces.scheme)
    return {
        "yaw_bins": {
            name: _part(nmes, faces.crops, part, config) for name, part in yaw_masks(yaw).items()
        },
        "yaw_bins_mean": _yaw_bins_mean(nmes, yaw, faces, config.seed),
        "yaw_in_no_bin": yaw_in_no_bin(yaw),
        "yaw_estimated_from_points": int(estimated.sum()),
    }


def _yaw_bins_mean(nmes, yaw, faces: Faces, seed: int) -> dict | None:
    """The balanced mean of the bins with its interval; None where a bin holds no face.

    A resample without any face of a bin counts the others.
    """
    if yaw_bins_mean(nmes, yaw) is None:
        return None
    bins = yaw_bin(yaw)
    inside = bins < len(YAW_BINS_DEG)
    values = np.column_stack([nmes, bins])[inside]
    statistics = {"mean": lambda drawn: balanced_mean(drawn[:, 0], drawn[:, 1].astype(int))}
    groups = np.array(faces.crops.groups)[inside]
    return bootstrap.estimates(statistics, values, groups, seed)["mean"]


def _by_point(errors, faces: Faces, seed: int) -> dict:
    """Mean error of every region's points, with intervals, and of every point."""
    regions = faces.scheme.regions
    values = np.column_stack([nme(errors[:, list(points)]) for points in regions.values()])
    means = {name: _mean_of_column(index) for index, name in enumerate(regions)}
    return {
        "regions": bootstrap.estimates(means, values, faces.crops.groups, seed),
        "points": np.nanmean(errors, axis=0),
    }


def _mean_of_column(index: int):
    return lambda values: np.nanmean(values[:, index])


def _part(nmes, crops: Crops, chosen, config) -> dict:
    """The scores of the chosen faces [n]; None each where there are none."""
    statistics = {
        "nme": np.mean,
        "nme_median": np.median,
        "failure_rate": lambda values: failure_rate(values, config.threshold),
        "auc": lambda values: auc(values, config.threshold),
    }
    groups = np.array(crops.groups)[chosen]
    counts = {"faces": len(groups), "groups": len(set(groups))}
    if not len(groups):
        return counts | dict.fromkeys(statistics)
    return counts | bootstrap.estimates(statistics, nmes[chosen], groups, config.seed)


def _detected(config, model: Model, faces: Faces, nmes) -> dict:
    """The scores with dlib's boxes, or under "note" why there are none."""
    if not config.data:
        return {"note": NO_DATA}
    if not len(faces.searched):
        return {"note": NO_PICTURES}
    if not model.detector_box:
        return {"note": NO_TRANSFORM}
    crops, rule = faces.crops.take(faces.searched), box_rule(faces.manifest)
    points = points_in_detected(model, faces.paths, faces.detections, crops, rule)
    nmes = nmes[faces.searched]
    parts = compare_boxes(points, nmes, crops, faces.scheme, config.normaliser, config.seed)
    return {"transform": model.detector_box, "parts": parts}


def _paired(first: dict, other: dict, crops: Crops, seed: int) -> dict:
    """How the first model's NMEs compare with another's on the same faces.

    difference: mean NME of the first minus that of the other, so below 0 where the first is
    better; better: the share of faces on which the first one's NME is the smaller.
    """
    statistics = {"difference": np.mean, "better": lambda apart: np.mean(apart < 0)}
    apart = first["nmes"] - other["nmes"]
    return {
        "first": first["name"],
        "other": other["name"],
        "faces": len(apart),
        **bootstrap.estimates(statistics, apart, crops.groups, seed),
    }


def _conditions(config, faces: Faces) -> dict:
    """What holds for every number of the report."""
    crops = faces.crops
    return {
        "metric": "NME",
        "normaliser": config.normaliser,
        "threshold": config.threshold,
        **list_conditions(faces.manifest, config.side),
        "faces": len(crops),
        "faces_not_scored": faces.left_out,
        "groups": len(set(crops.groups)),
        "subsets": dict(sorted(Counter(crops.subsets).items())),
        "box": faces.manifest["box"],
        "interval": {
            "level": bootstrap.LEVEL,
            "method": bootstrap.METHOD,
            "resamples": bootstrap.RESAMPLES,
            "seed": config.seed,
        },
    }


def _mean_face(faces: Faces, kind: str) -> dict:
    """The records' mean shape, box-relative, the length that errors on it are relative to."""
    shape = np.array(faces.manifest["mean_shape"])
    length = normaliser(shape[None], np.ones((1, len(shape))), faces.scheme, kind)
    return {"points": shape, "length": float(length[0]), "lines": faces.scheme.lines}


def _ced_errors(threshold: float) -> np.ndarray:
    return np.linspace(0, 2 * threshold, CED_STEPS + 1)


def _names(models: tuple[Path, ...]) -> list[str]:
    """What the report calls each model: as much of its path's end as tells it from the others."""
    paths = [path.absolute() for path in models]
    choices = (["/".join(path.parts[-length:]) for path in paths] for length in count(1))
    return next(names for names in choices if len(set(names)) == len(set(paths)))


def _some(rng, count: int, limit: int) -> np.ndarray:
    """Indices of at most `limit` of `count` faces, drawn at random, in order."""
    return np.sort(rng.choice(count, min(limit, count), replace=False))
