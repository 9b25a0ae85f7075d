"""A model's accuracy with dlib's face detector on the original pictures, as in the demo."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from senet_kp.face.facebox import BoxRule, affine_box, to_relative
from senet_kp.face.folders import is_picture
from senet_kp.face.metrics import Normaliser, nme
from senet_kp.face.pictures import read_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.box_transform import MIN_IOU, BoxTransform, iou
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.inference.looks import landmarks_near
from senet_kp.input.crops import Crops
from senet_kp.report.bootstrap import estimates
from senet_kp.scoring.models import Model
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.schema import picture_of


def file_of(name: str) -> str | None:
    """The picture file in a face's name "FILE" or "FILE#NUMBER"; None for a row of a table."""
    file = picture_of(name)
    return file if is_picture(file) else None


def find_pictures(names: list[str], roots: tuple[Path, ...]) -> list[Path]:
    """The picture file of each face, in one of the root folders.

    A root may also be a label file, whose folder is searched. Raises InputError for a picture that
    is in no root.
    """
    paths = []
    for name in map(file_of, names):
        folders = [root.parent if root.is_file() else root for root in roots]
        found = [path for folder in folders if (path := folder / name).is_file()]
        if not found:
            where = ", ".join(map(str, roots))
            raise InputError(
                f"{where}: the picture {name} is not there; pass the folders that the records were"
                " prepared from with --data"
            )
        paths.append(found[0])
    return paths


def detect(paths: list[Path], min_face_px: float | None) -> list[list[np.ndarray]]:
    """The boxes [x, y, w, h], in pixels, that dlib finds in each picture."""
    detector = DlibDetector(min_face_px)
    bar = tqdm(paths, unit="picture", desc="dlib", disable=None)
    return [[found.box for found in detector.detect(read_picture(path))] for path in bar]


def points_in_detected(model: Model, paths, detections, crops: Crops, rule: BoxRule) -> list:
    """The landmarks [N, 2] that the demo would show of each face, relative to its true face box.

    None for a face that dlib missed: no detected box, converted to a face box, has an intersection
    over union of at least MIN_IOU with the true one.
    """
    transform, shape = BoxTransform(**model.detector_box), (model.card or {}).get("mean_shape")
    points = []
    bar = tqdm(paths, unit="picture", desc=model.path.name, disable=None)
    for path, found, affine in zip(bar, detections, crops.affine, strict=True):
        truth = affine_box(affine)
        boxes = [transform.apply(box) for box in found]
        best = max(boxes, key=lambda box: iou(box, truth), default=None)
        if best is None or iou(best, truth) < MIN_IOU:
            points.append(None)
        else:
            seen = landmarks_near(read_picture(path), best, model.run, rule, mean_shape=shape)
            points.append(to_relative(seen.landmarks, truth))
    return points


def compare_boxes(
    points: list, nmes, crops: Crops, scheme: LandmarkScheme, kind: Normaliser, seed: int
) -> dict:
    """For each subset and "all": the faces, how many dlib found, and the NME of these by box.

    points: from `points_in_detected`. nmes [n]: the NMEs of the same faces with their true boxes.
    The relative difference is the NME with dlib's box over the NME with the true box, minus one.
    """
    found = np.array([shape is not None for shape in points])
    filled = np.array(
        [np.full_like(crops.landmarks[0], np.nan) if p is None else p for p in points]
    )
    detected = nme(crops.normalised_errors(filled, scheme, kind))
    pairs = np.column_stack([detected, nmes])
    scored = np.isfinite(nmes)
    parts = {"all": scored} | {name: scored & part for name, part in crops.subset_masks().items()}
    return {
        name: {"faces": int(part.sum()), "found": int((part & found).sum())}
        | _compared(pairs[part & found], np.array(crops.groups)[part & found], seed)
        for name, part in parts.items()
    }


def _compared(pairs, groups, seed: int) -> dict:
    statistics = {
        "nme_detected": lambda both: both[:, 0].mean(),
        "nme_truth": lambda both: both[:, 1].mean(),
        "relative_difference": lambda both: both[:, 0].mean() / both[:, 1].mean() - 1,
    }
    if not len(pairs):
        return dict.fromkeys(statistics)
    return estimates(statistics, pairs, groups, seed)
