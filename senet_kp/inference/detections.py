"""Detected faces: one face for several detections of it, and detection in turned pictures."""

from typing import NamedTuple

import numpy as np

from senet_kp.face.turned import from_turned
from senet_kp.inference.box_transform import iou

# Of two detections that overlap more than this, by intersection over union, one is left out; of
# two faces side by side the boxes overlap less.
DUPLICATE_IOU = 0.4


class Detection(NamedTuple):
    """One detected face.

    box [x, y, w, h] in pixels and roll_deg, a turned box as in `senet_kp.face.turned`; score: the
    detector's.
    """

    box: np.ndarray
    score: float
    roll_deg: float = 0.0


def merged(found: list[Detection]) -> list[Detection]:
    """The detections without duplicates, best score first (greedy non-maximum suppression)."""
    kept = []
    for one in sorted(found, key=lambda detection: -detection.score):
        if all(iou(one.box, other.box) <= DUPLICATE_IOU for other in kept):
            kept.append(one)
    return kept


def in_quarter_turns(detect, picture, quarters=(1, 2, 3)) -> list[Detection]:
    """The faces that `detect(picture)` finds in the picture after turning it, in its own pixels.

    detect returns Detections. quarters: the turns, in units of 90 degrees counter-clockwise; one
    turn makes faces with a roll of 90 degrees upright.
    """
    height, width = picture.shape[:2]
    found = []
    for quarter in quarters:
        copy = np.ascontiguousarray(np.rot90(picture, quarter))
        # The copy as a turned box: the upright square round the same centre, whose corner may lie
        # outside the picture.
        size = np.array(copy.shape[1::-1], np.float64)
        region = np.concatenate([(np.array([width, height]) - size - 1) / 2, size])
        found += [turned_back(one, region, size, 90 * quarter) for one in detect(copy)]
    return merged(found)


def turned_back(found: Detection, region, size_px, roll_deg: float) -> Detection:
    """A detection in a copy of a turned box of a picture, in the picture's pixels.

    region [x, y, w, h] and roll_deg: the turned box; size_px: width and height of its copy.
    """
    scale, region = np.asarray(region[2:]) / size_px, np.asarray(region, np.float64)
    size = np.asarray(found.box[2:]) * scale
    relative = (found.box[:2] + found.box[2:] / 2 + 0.5) / size_px
    centre = from_turned(relative, region, roll_deg)
    rolled = (found.roll_deg + roll_deg + 180) % 360 - 180
    return Detection(np.concatenate([centre - size / 2, size]), found.score, rolled)
