"""The one face box: from landmarks to a square, from a square to a crop, and the way back.

A box is [x, y, w, h] in pixels with w == h. Coordinates are 0-based with the first pixel's centre
at 0, so the picture reaches from -0.5 to width - 0.5. Box-relative coordinates run from 0 at the
box's left (top) edge to 1 at its right (bottom) edge. Pixel i of a crop S pixels wide is sampled
at the relative coordinate (i + 0.5) / S, which makes mirroring a crop exactly u -> 1 - u.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

BORDERS = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class BoxRule:
    """How the face box is drawn; kept in every manifest and model card."""

    source: Literal["landmarks", "label"] = "landmarks"
    """what it is drawn round: the landmarks, or the box that the label gives"""
    scale: float = 1.2
    """side of the box over the larger side of the landmarks' bounding box"""
    shift_x: float = 0.0
    """how far the box moves right, in sides of the box"""
    shift_y: float = 0.0
    """how far the box moves down, in sides of the box"""
    padding: Literal["replicate", "black"] = "replicate"
    """what fills the part of the box outside the picture"""
    size_px: int = 128
    """side of the box in the network's input, pixels"""


def face_box(landmarks, rule: BoxRule) -> np.ndarray:
    """The box [x, y, side, side] round landmarks [N, 2] (pixels, valid ones only).

    Where the rule's source is a given box, its corners stand for the landmarks.
    """
    low, high = np.min(landmarks, axis=0), np.max(landmarks, axis=0)
    side = rule.scale * (high - low).max()
    corner = (low + high) / 2 - side / 2 + side * np.array([rule.shift_x, rule.shift_y])
    return np.array([*corner, side, side], np.float64)


def to_relative(landmarks, box) -> np.ndarray:
    """Landmarks [..., 2] in pixels as coordinates in the box, 0..1 inside it."""
    box = np.asarray(box, np.float64)
    return (np.asarray(landmarks, np.float64) - box[:2]) / box[2:]


def to_absolute(relative, box) -> np.ndarray:
    """Box-relative landmarks [..., 2] as pixels: the inverse of `to_relative`."""
    box = np.asarray(box, np.float64)
    return np.asarray(relative, np.float64) * box[2:] + box[:2]


def box_affine(box) -> np.ndarray:
    """[2, 3] matrix that takes box-relative (x, y, 1) to pixels of the source picture."""
    x, y, w, h = box
    return np.array([[w, 0, x], [0, h, y]], np.float64)


def affine_box(affine) -> np.ndarray:
    """The box [x, y, w, h] of such a matrix: the inverse of `box_affine`."""
    (w, _, x), (_, h, y) = np.asarray(affine, np.float64)
    return np.array([x, y, w, h])


def widened(box, factor: float) -> np.ndarray:
    """The box with the same centre and `factor` times its side."""
    x, y, w, h = box
    return np.array([x - w * (factor - 1) / 2, y - h * (factor - 1) / 2, w * factor, h * factor])


def crop(picture, box, size_px: int, padding: str = "replicate") -> np.ndarray:
    """The box's contents as [size_px, size_px, 3] uint8, whatever part of it the picture covers.

    A box over twice the crop's size is first reduced by a whole factor with area averaging:
    bilinear sampling alone would skip pixels and alias.
    """
    x, y, side, _ = (float(value) for value in box)
    factor = min(int(side / size_px), *picture.shape[:2])
    if factor > 1:
        picture, (x0, y0) = _reduced(picture, (x, y, side), factor)
        # Reduced pixel j averages the source pixels whose mean position is j*factor + (factor-1)/2.
        x, y = ((edge - start + 0.5) / factor - 0.5 for edge, start in ((x, x0), (y, y0)))
        side /= factor
    step = side / size_px
    matrix = np.array([[step, 0, x + step / 2], [0, step, y + step / 2]])
    return cv2.warpAffine(
        picture,
        matrix,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=BORDERS[padding],
    )


def _reduced(picture, box, factor: int):
    """The part of the picture round the box, 1/factor in size, and its first pixel's place.

    Blocks are counted from the picture's corner, so that crops of one place agree whatever
    context they were cut with.
    """
    x, y, side = box
    height, width = picture.shape[:2]
    x0, x1 = _span(x, x + side, width // factor, factor)
    y0, y1 = _span(y, y + side, height // factor, factor)
    size = ((x1 - x0) // factor, (y1 - y0) // factor)
    return cv2.resize(picture[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA), (x0, y0)


def _span(low: float, high: float, blocks: int, factor: int) -> tuple[int, int]:
    """First and end pixel of the blocks from low to high, two blocks wider for interpolation."""
    first = int(np.clip(low // factor - 2, 0, blocks - 1))
    last = int(np.clip(high // factor + 2, first, blocks - 1))
    return first * factor, (last + 1) * factor
