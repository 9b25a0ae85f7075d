"""A scan-line rasteriser in NumPy.

Every triangle is cut into its pixel rows, and every row into the pixels between the two edges.
Both steps are one `np.repeat`, so there is no loop over triangles.
"""

from typing import NamedTuple

import numpy as np

_DEPTH_STEPS_PER_UNIT = 1 << 14
_EDGE = -1e-4  # pixel centres on a shared edge count for both triangles, so that no gaps appear
_NOTHING = np.iinfo(np.int64).max


class Coverage(NamedTuple):
    """The P covered pixels of a picture."""

    pixels: np.ndarray  # [P] flat indices into the picture
    depth: np.ndarray  # [P] float32
    triangles: np.ndarray  # [P] row of `faces` that is nearest
    weights: np.ndarray  # [P, 3] float32, barycentric weights of its corners


def rasterise(vertices, faces, size: int) -> Coverage:
    """Find the nearest front-facing triangle at every pixel of a size x size picture.

    `vertices` [V, 3] float32 are x and y in pixels (y down, the first pixel's centre at (0, 0))
    and depth toward the viewer, within +-2^15. `faces` [T, 3] are vertex indices; a triangle whose
    vertices appear counter-clockwise faces the viewer.
    """
    kept, corner, planes = _set_up(vertices, faces, size)
    row_triangle, y = _rows(vertices, faces[kept], size)
    first_x, counts, at_row = _spans(planes, corner, row_triangle, y, size)
    span = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(span)) - np.repeat(np.cumsum(counts) - counts - first_x, counts)
    depth_slope = planes[row_triangle, 2, 0]
    depth = at_row[:, 2][span] + depth_slope[span] * (x - corner[row_triangle, 0][span])
    order = ((-depth * _DEPTH_STEPS_PER_UNIT).astype(np.int64) << 32) + span
    nearest = np.full(size * size, _NOTHING)
    np.minimum.at(nearest, y[span] * size + x, order)
    pixels = np.flatnonzero(nearest != _NOTHING)
    winner = nearest[pixels] & 0xFFFFFFFF
    depth = -(nearest[pixels] >> 32).astype(np.float32) / _DEPTH_STEPS_PER_UNIT
    triangle = row_triangle[winner]
    dx = (pixels % size - corner[triangle, 0])[:, None].astype(np.float32)
    second_third = at_row[winner, :2] + planes[triangle, :2, 0] * dx
    first = 1 - second_third.sum(axis=1, keepdims=True)
    return Coverage(pixels, depth, kept[triangle], np.hstack([first, second_third]))


def _set_up(vertices, faces, size):
    """Return index, first corner and planes of the front-facing triangles in the picture.

    The planes [3, 2] of a triangle are the (x, y) slopes of the barycentric weights of its second
    and third corner and of its depth. At the first corner the two weights are 0.
    """
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    along, across = b - a, c - a
    area = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    inside = (high[:, :2] >= 0).all(axis=1) & (low[:, :2] <= size - 1).all(axis=1)
    kept = np.flatnonzero((area < -1e-6) & inside)
    along, across, area = along[kept], across[kept], area[kept]
    weights = np.stack([across[:, 1], -across[:, 0], -along[:, 1], along[:, 0]], axis=1)
    weights = (weights / area[:, None]).reshape(-1, 2, 2)
    depth = weights[:, 0] * along[:, 2:] + weights[:, 1] * across[:, 2:]
    return kept, a[kept], np.concatenate([weights, depth[:, None]], axis=1)


def _rows(vertices, faces, size):
    """Return all R pairs of a triangle and a pixel row that it may touch: triangle [R], y [R]."""
    y = vertices[:, 1][faces]
    first = np.clip(np.ceil(y.min(axis=1)), 0, size).astype(np.int64)
    last = np.clip(np.floor(y.max(axis=1)), -1, size - 1).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    triangle = np.repeat(np.arange(len(faces)), counts)
    return triangle, np.arange(len(triangle)) - np.repeat(
        np.cumsum(counts) - counts - first, counts
    )


def _spans(planes, corner, triangle, y, size):
    """Return first pixel [R] and number of pixels [R] of every row, and its plane values [R, 3].

    The plane values are those at the x of the first corner of the triangle.
    """
    slopes = planes[triangle]
    dy = y - corner[triangle, 1]
    values = (slopes[..., 1] * dy[:, None]).astype(np.float32)
    values[:, 2] += corner[triangle, 2]
    low, high = np.full(len(y), -np.inf), np.full(len(y), np.inf)
    for value, slope in (
        (values[:, 0], slopes[:, 0, 0]),
        (values[:, 1], slopes[:, 1, 0]),
        (1 - values[:, 0] - values[:, 1], -slopes[:, 0, 0] - slopes[:, 1, 0]),
    ):
        steep = np.where(np.abs(slope) < 1e-9, 1e-9, slope)
        bound = (_EDGE - value) / steep
        low = np.where(steep > 0, np.maximum(low, bound), low)
        high = np.where(steep < 0, np.minimum(high, bound), high)
    x = corner[triangle, 0]
    first = np.clip(np.ceil(x + low), 0, size).astype(np.int64)
    last = np.clip(np.floor(x + high), -1, size - 1).astype(np.int64)
    return first, np.maximum(last - first + 1, 0), values
