"""A scan-line rasteriser in NumPy: the nearest triangle at every pixel, and where in it.

Every triangle is cut into its pixel rows, and every row into the pixels between the two edges;
both steps are one `np.repeat`, so nothing loops over triangles.
"""

from typing import NamedTuple

import numpy as np

_DEPTH_STEPS_PER_UNIT = 1 << 14
_EDGE = -1e-4  # lets pixel centres on a shared edge belong to both triangles: no cracks
_NOTHING = np.iinfo(np.int64).max


class Coverage(NamedTuple):
    """The covered pixels only, P of them."""

    pixels: np.ndarray  # [P] flat indices into the picture
    depth: np.ndarray  # [P] float32
    triangles: np.ndarray  # [P] rows of `faces`
    weights: np.ndarray  # [P, 3] float32, of the triangle's corners


def rasterise(vertices, faces, size: int) -> Coverage:
    """The nearest front-facing triangle of every pixel of a size x size picture.

    `vertices` [V, 3] float32 are x and y in pixels (y down, the first pixel's centre at (0, 0))
    and depth toward the viewer, within +-2^15. `faces` [T, 3] are vertex indices in the order
    that is counter-clockwise to the viewer.
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
    """Indices of the triangles that face us within the picture, first corners and planes.

    A plane [3, 2] per triangle holds the (x, y) slopes of the second and third corner's weight
    and of the depth; relative to the first corner they start at 0, 0 and its depth.
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
    """Every pair of a triangle and a pixel row that it may touch: triangle and y, [R] each."""
    y = vertices[:, 1][faces]
    first = np.clip(np.ceil(y.min(axis=1)), 0, size).astype(np.int64)
    last = np.clip(np.floor(y.max(axis=1)), -1, size - 1).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    triangle = np.repeat(np.arange(len(faces)), counts)
    return triangle, np.arange(len(triangle)) - np.repeat(
        np.cumsum(counts) - counts - first, counts
    )


def _spans(planes, corner, triangle, y, size):
    """First pixel and number of pixels of every row [R], and what the planes are there [R, 3].

    The planes' values are those at the x of the first corner.
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
