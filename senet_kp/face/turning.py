"""Turns of pictures, points and boxes by an orientation from 1 to 8, exact to the last bit.

Stored pixels are those of the picture as its file has them; upright pixels those of the picture as
it is shown, turned by the orientation of the file (`senet_kp.face.orientation`). Coordinates are
pixels, with the centre of the first pixel at 0, in both.
"""

import numpy as np

# By orientation: swap the axes, then mirror left and right, then mirror top and bottom.
_STEPS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),  # a quarter turn to the right
    7: (True, True, True),
    8: (True, False, True),  # a quarter turn to the left
}


def inverse(orientation: int) -> int:
    """Return the orientation that turns upright pixels back to stored ones."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def turned_picture(picture, orientation: int) -> np.ndarray:
    """Return a picture [H, W, C] turned from stored to upright pixels, contiguous."""
    swap, left_right, top_bottom = _STEPS[orientation]
    picture = picture.swapaxes(0, 1) if swap else picture
    return np.ascontiguousarray(picture[:: -1 if top_bottom else 1, :: -1 if left_right else 1])


def turned_size(size, orientation: int) -> tuple[int, int]:
    """Return width and height after the turn, given those before it."""
    width, height = size
    return (height, width) if _STEPS[orientation][0] else (width, height)


def turned_points(points, orientation: int, size) -> np.ndarray:
    """Return points [..., 2] after the turn of a picture whose width and height were `size`."""
    swap, *mirrored = _STEPS[orientation]
    points = np.asarray(points, np.float64)
    points = points[..., ::-1] if swap else points
    last = np.array(turned_size(size, orientation)) - 1  # the centre of the last pixel
    return np.where(mirrored, last - points, points)


def turned_box(box, orientation: int, size) -> np.ndarray:
    """Return a box [x, y, w, h] after the turn of a picture whose width and height were `size`."""
    corner, extent = np.split(np.asarray(box, np.float64), 2)
    corners = turned_points([corner, corner + extent], orientation, size)
    return np.concatenate([corners.min(axis=0), extent[::-1] if _STEPS[orientation][0] else extent])


def turn_matrix(orientation: int) -> np.ndarray:
    """Return the matrix [2, 2] that turns directions (x, y) from stored to upright pixels."""
    swap, *mirrored = _STEPS[orientation]
    return np.diag(np.where(mirrored, -1.0, 1.0)) @ np.eye(2)[:: -1 if swap else 1]
