"""The face box: a square from landmarks, the crop of that square, and coordinates in both.

A box is [x, y, w, h] in pixels; w == h unless it is the box of a whole picture. Coordinates are
0-based with the first pixel's centre at 0, so the picture reaches from -0.5 to width - 0.5.
Box-relative coordinates run from 0 at the box's left (top) edge to 1 at its right (bottom) edge.
Pixel i of a crop S pixels wide is sampled at the relative coordinate (i + 0.5) / S, which makes
mirroring a crop exactly u -> 1 - u.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

BORDERS = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class BoxRule:
    """How the face box is drawn; stored in every manifest and model card."""

    source: Literal["landmarks", "label", "picture"] = "landmarks"
    """draw the box around the landmarks, or around the face box of the data set's labels, or take
    the whole picture, stretched to a square if it is not one (scale and shift then do not apply)"""
    scale: float = 1.2
    """size of the box, as a multiple of the longer edge of that bounding box"""
    shift_x: float = 0.0
    """shift of the box to the right, as a fraction of its size"""
    shift_y: float = 0.0
    """shift of the box downwards, as a fraction of its size"""
    padding: Literal["replicate", "black"] = "replicate"
    """pixels outside the picture: repeat the pixels at its border, or black"""
    size_px: int = 128
    """width and height of the network's input, pixels"""


def face_box(landmarks, rule: BoxRule) -> np.ndarray:
    """Return the box [x, y, size, size] around landmarks [N, 2] (pixels, valid ones only).

    If `rule.source` is "label", pass the corners [2, 2] of the labelled box as landmarks.
    """
    low, high = np.min(landmarks, axis=0), np.max(landmarks, axis=0)
    size = rule.scale * (high - low).max()
    corner = (low + high) / 2 - size / 2 + size * np.array([rule.shift_x, rule.shift_y])
    return np.array([*corner, size, size], np.float64)


def picture_box(picture) -> np.ndarray:
    """Return the box [x, y, w, h] of a whole picture [H, W, 3], up to the edges of its pixels."""
    height, width = picture.shape[:2]
    return np.array([-0.5, -0.5, width, height], np.float64)


def is_beside(box, picture) -> bool:
    """Whether a box [x, y, w, h] in pixels has nothing of a picture [H, W, 3] in it."""
    x, y, w, h = box
    height, width = picture.shape[:2]
    return x >= width - 0.5 or y >= height - 0.5 or x + w <= -0.5 or y + h <= -0.5


def to_relative(landmarks, box) -> np.ndarray:
    """Convert landmarks [..., 2] from pixels to box-relative coordinates, 0..1 inside the box."""
    box = np.asarray(box, np.float64)
    return (np.asarray(landmarks, np.float64) - box[:2]) / box[2:]


def to_absolute(relative, box) -> np.ndarray:
    """Convert box-relative landmarks [..., 2] to pixels; the inverse of `to_relative`."""
    box = np.asarray(box, np.float64)
    return np.asarray(relative, np.float64) * box[2:] + box[:2]


def box_affine(box) -> np.ndarray:
    """Return the [2, 3] matrix that maps box-relative (x, y, 1) to pixels of the picture."""
    x, y, w, h = box
    return np.array([[w, 0, x], [0, h, y]], np.float64)


def affine_box(affine) -> np.ndarray:
    """Return the box [x, y, w, h] of such a matrix; the inverse of `box_affine`."""
    (w, _, x), (_, h, y) = np.asarray(affine, np.float64)
    return np.array([x, y, w, h])


def widened(box, factor: float) -> np.ndarray:
    """Return the box with the same centre and `factor` times the width and height."""
    x, y, w, h = box
    return np.array([x - w * (factor - 1) / 2, y - h * (factor - 1) / 2, w * factor, h * factor])


def crop(picture, box, size_px: int, padding: str = "replicate") -> np.ndarray:
    """Resample the contents of a box to [size_px, size_px, 3] uint8, padded outside the picture.

    Where the box is at least twice as wide or high as the crop, the picture is first reduced by a
    whole factor with area averaging, because bilinear sampling alone would skip pixels and alias.
    A box that is not square is stretched.
    """
    corner, size = np.split(np.asarray(box, np.float64), 2)
    factors = np.clip((size / size_px).astype(int), 1, picture.shape[1::-1])
    if factors.max() > 1:
        picture, start = _reduced(picture, corner, size, factors)
        # Reduced pixel j averages the source pixels whose mean position is j*factor + (factor-1)/2.
        corner, size = (corner - start + 0.5) / factors - 0.5, size / factors
    step = size / size_px
    matrix = np.column_stack([np.diag(step), corner + step / 2])
    return cv2.warpAffine(
        picture,
        matrix,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=BORDERS[padding],
    )


def _reduced(picture, corner, size, factors):
    """Return the part of the picture around a box, reduced by `factors`, and its first pixel.

    Blocks of pixels start at the corner of the picture, so that crops of the same location agree
    whatever context they are cut with.
    """
    blocks = picture.shape[1::-1] // factors
    (x0, x1), (y0, y1) = map(_span, corner, corner + size, blocks, factors)
    reduced = ((x1 - x0) // int(factors[0]), (y1 - y0) // int(factors[1]))
    return cv2.resize(picture[y0:y1, x0:x1], reduced, interpolation=cv2.INTER_AREA), (x0, y0)


def _span(low: float, high: float, blocks: int, factor: int) -> tuple[int, int]:
    """Return the first and the end pixel of the blocks from low to high.

    The span is two blocks wider at either end, for interpolation.
    """
    first = np.clip(low // factor - 2, 0, blocks - 1)
    last = np.clip(high // factor + 2, first, blocks - 1)
    return int(first * factor), int((last + 1) * factor)
