"""Computes all numbers of the report, as plain values for JSON; the page shows only these."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from senet_kp.face.metrics import Normaliser, ced_at, ced_end, mean_of_found, normaliser
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
from senet_kp.report.predictions import PREDICTIONS, Predictions, read_predictions
from senet_kp.scoring.contamination import check_overlap
from senet_kp.scoring.lineage import UNKNOWN
from senet_kp.scoring.models import Model, open_model, short_names
from senet_kp.scoring.scores import breakdown, face_errors, list_conditions, nme_by_normaliser
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import sha256_of_file
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.training_curve import training_curve

CED_STEPS = 160  # of the error axis of the curve
NO_MODEL = (
    "Not measured, because predictions are points in pictures and not a model that can be run."
)
NO_DATA = "Not measured, because it requires the original pictures: pass their folders with --data."
NO_PICTURES = (
    "Not measured, because the faces come from a table and not from pictures that dlib can search."
)
NO_TRANSFORM = (
    "Not measured, because the conversion from dlib's box to the face box is not known for this"
    " model."
)


@dataclass(frozen=True)
class Faces:
    """The n faces of the scored side that have the landmarks that the normaliser needs.

    left_out:          number of faces of that side without these landmarks
    boxed, stored:     indices of the faces whose boxes are displaced, and their stored pictures
    searched:          indices of the faces on whose original pictures dlib runs
    paths, detections: these pictures, and the boxes [x, y, w, h] that dlib found in each
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
    """All numbers of a ReportConfig, and {face index: drawn face as a JPEG data URI}.

    Raises InputError for records or pictures that cannot be read, ModelError for a model that
    cannot be used, and CheckError for a model that was trained on the faces.
    """
    manifest = read_manifest(config.records)
    training = training_curve(config.run) if config.run else None
    with ExitStack() as opened:  # all models first, so that errors show before the long part
        models = [
            opened.enter_context(open_model(path, config.records, manifest, config.backend))
            for path in config.models
        ]
        overlaps = check_overlap(models, config, manifest)
        faces = _load_faces(config, manifest)
        given = [read_predictions(path, faces.crops) for path in config.predictions]
        predicted = [model.predict(faces.crops.images) for model in models]
        measured = [
            {"overlap": overlap} | _measured_model(config, model, points, faces)
            for model, points, overlap in zip(models, predicted, overlaps, strict=True)
        ]
    measured += [_measured_predictions(config, one, faces) for one in given]
    predicted += [one.points for one in given]
    names = short_names(config.models + config.predictions)
    measured = [{"name": name} | part for name, part in zip(names, measured, strict=True)]
    crops, ced_errors = faces.crops, _ced_errors(measured, config.threshold)
    for part in measured:
        part["ced"] = ced_at(part["nmes"], ced_errors)
    gallery = choose(measured[0]["nmes"], crops)
    numbers = {
        "conditions": _conditions(config, faces),
        "models": measured,
        "comparisons": [_paired(measured[0], m, crops, config.seed) for m in measured[1:]],
        "ced_errors": ced_errors,
        "mean_face": _mean_face(faces, config.normaliser),
        "gallery": gallery,
        "training": training,
        "faces": {"names": crops.names, "groups": crops.groups, "subsets": crops.subsets},
    }
    pictures = draw(gallery, crops, predicted[0], faces.scheme)
    for part in measured:  # JSON has no infinity
        part["nmes"] = [float(nme) if np.isfinite(nme) else None for nme in part["nmes"]]
    return numbers, pictures


def _load_faces(config, manifest: dict) -> Faces:
    scheme = scheme_of(manifest)
    crops = load_crops(config.records, manifest, config.side)
    lengths = normaliser(crops.landmarks, crops.mask, scheme, config.normaliser)
    usable = np.flatnonzero(np.isfinite(lengths))
    if not len(usable):
        raise InputError(
            f"{config.records}: no face on the {config.side} side has the landmarks that"
            f" the normaliser {config.normaliser} needs; choose another --side or --normaliser"
        )
    left_out = len(crops) - len(usable)
    crops = crops.take(usable)
    rng = np.random.default_rng(config.seed)
    boxed = _random_indices(rng, len(crops), config.box_faces)
    stored = load_stored(config.records, manifest, config.side, usable[boxed])
    in_pictures = np.flatnonzero([file_of(name) is not None for name in crops.names])
    limit = config.detector_faces if config.data else 0
    searched = in_pictures[_random_indices(rng, len(in_pictures), limit)]
    paths = find_pictures([crops.names[i] for i in searched], config.data)
    detections = detect(paths, config.min_face_px) if paths else []
    return Faces(crops, scheme, manifest, left_out, boxed, stored, searched, paths, detections)


def _measured_model(config, model: Model, predicted, faces: Faces) -> dict:
    """All numbers of one model, from its landmarks [n, N, 2] of the faces."""
    crops, kind = faces.crops, config.normaliser
    result = _measured(config, predicted, faces)
    return result | {
        "conditions": model.conditions,
        "boxes": box_curves(model, faces.stored, crops.take(faces.boxed), faces.scheme, kind),
        "detected": _detected(config, model, faces, result["nmes"]),
        "card": model.card,
    }


def _measured_predictions(config, predictions: Predictions, faces: Faces) -> dict:
    """All numbers of a predictions file, with the keys of a model's; what needs a model is None."""
    conditions = {
        "engine": PREDICTIONS,
        "model": str(predictions.path),
        "model_sha256": sha256_of_file(predictions.path),
        "pictures": predictions.pictures,
        "pictures_not_scored": predictions.unknown_pictures,
        "faces_missing": predictions.missing,
    }
    return _measured(config, predictions.points, faces) | {
        "overlap": {"faces": 0, "compared_with": [], "not_compared_with": [UNKNOWN]},
        "conditions": conditions,
        "boxes": None,
        "detected": {"note": NO_MODEL},
        "card": None,
    }


def _measured(config, predicted, faces: Faces) -> dict:
    """The scores of landmarks [n, N, 2], box-relative; NaN for faces that were not found."""
    errors = face_errors(predicted, faces.crops, faces.scheme, config.normaliser)
    parts = breakdown(errors, config.threshold, partial(bootstrap.estimates, seed=config.seed))
    by_subset = {"all": parts.pop("all")} | parts.pop("subsets")
    return {
        "nmes": errors.nmes,
        "scores": dict(sorted(by_subset.items())),
        **parts,
        "nme_by_normaliser": nme_by_normaliser(predicted, faces.crops, faces.scheme),
        "points": _column_means(errors.points),
    }


def _column_means(points) -> list[float | None]:
    """The mean error of each landmark from [n, N]; None for one that no face defines."""
    means = [mean_of_found(column) for column in points.T]
    return [None if np.isnan(mean) else mean for mean in means]


def _detected(config, model: Model, faces: Faces, nmes) -> dict:
    """The scores with dlib's boxes, or {"note": the reason why there are none}."""
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
    """The paired comparison of the NMEs of the first model with those of another one.

    Only faces that both found are compared.
    """
    both = np.isfinite(first["nmes"]) & np.isfinite(other["nmes"])
    values = (first["nmes"][both], other["nmes"][both], np.array(crops.groups)[both])
    compared = bootstrap.paired(*values, seed)
    return {"first": first["name"], "other": other["name"], "faces": int(both.sum()), **compared}


def _conditions(config, faces: Faces) -> dict:
    """The conditions that apply to every number of the report."""
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


def _mean_face(faces: Faces, kind: Normaliser) -> dict:
    """The mean shape of the records, box-relative, and its normaliser length in the same unit.

    The length is 0 if no training face has the landmarks that it needs.
    """
    shape = np.array(faces.manifest["mean_shape"])
    length = normaliser(shape[None], np.ones((1, len(shape))), faces.scheme, kind)
    return {"points": shape, "length": float(np.nan_to_num(length[0])), "lines": faces.scheme.lines}


def _ced_errors(measured: list[dict], threshold: float) -> np.ndarray:
    """The error axis of the curves."""
    end = ced_end([part["nmes"] for part in measured], threshold)
    return np.linspace(0, end, CED_STEPS + 1)


def _random_indices(rng, count: int, limit: int) -> np.ndarray:
    """At most `limit` of the indices below `count`, drawn at random, in ascending order."""
    return np.sort(rng.choice(count, min(limit, count), replace=False))
