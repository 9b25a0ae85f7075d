"""Looks at a face: one run of the network each, in the box that the look before it gave."""

from typing import NamedTuple

import numpy as np

from senet_kp.face.facebox import BoxRule
from senet_kp.face.turned import from_turned, roll_of, turned_crop, turned_face_box, upright_roll
from senet_kp.inference.box_transform import MIN_IOU, iou

# Validation NME of an earlier graph with dlib's boxes: 4.08 % after one pass, 3.92 % after two and
# after three.
PASSES = 2
# A face that is turned by more than this is looked at once more for it, at most so many times.
TURNED_DEG, MAX_EXTRA_PASSES = 20.0, 2


class Look(NamedTuple):
    """Landmarks [N, 2] in pixels, and the turned box (box [x, y, w, h], roll_deg) of the look."""

    box: np.ndarray
    landmarks: np.ndarray
    roll_deg: float = 0.0


def look(picture, box, run, rule: BoxRule, roll_deg: float = 0.0) -> Look:
    """The landmarks that a backend `run` finds in a turned face box, in one pass."""
    box = np.asarray(box, np.float64)
    found = run(turned_crop(picture, box, rule, roll_deg))
    return Look(box, from_turned(found, box, roll_deg), roll_deg)


def landmarks_near(
    picture, box, run, rule: BoxRule, passes: int = PASSES, roll_deg: float = 0.0, mean_shape=None
) -> Look:
    """Refine an approximate face box: the last of some looks at it.

    Each further pass draws the face box around the landmarks of the pass before it, turned as the
    face is if its roll exceeds UPRIGHT_DEG, and finds the landmarks again in that box. It stops
    early if the new box overlaps the previous one by less than MIN_IOU, and there is only one pass
    if the rule does not draw face boxes around landmarks. A pass that shows that the face is turned
    by more than TURNED_DEG from what was assumed does not count. mean_shape [N, 2] is that of the
    model card; without it the roll stays as it is.
    """
    seen, left = look(picture, box, run, rule, roll_deg), passes - 1
    extra = MAX_EXTRA_PASSES
    while left and rule.source == "landmarks":
        roll_deg = seen.roll_deg
        if mean_shape is not None:
            roll_deg = upright_roll(roll_of(seen.landmarks, mean_shape))
        better = turned_face_box(seen.landmarks, rule, roll_deg)
        if iou(better, seen.box) < MIN_IOU:
            break
        if extra and abs((roll_deg - seen.roll_deg + 180) % 360 - 180) > TURNED_DEG:
            extra -= 1
        else:
            left -= 1
        seen = look(picture, better, run, rule, roll_deg)
    return seen
