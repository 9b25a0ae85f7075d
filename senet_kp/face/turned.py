"""Face boxes that are turned in the picture's plane, so that the face in them is upright.

A roll, in degrees, is the angle by which a face is turned clockwise as the picture is seen: 0 for
an upright face, 90 for one whose forehead points to the right. A turned box is [x, y, side, side]
and a roll: the square with that corner and side, turned by the roll about its own centre.
"""

import cv2
import numpy as np

from senet_kp.face.facebox import BORDERS, BoxRule, crop, face_box, to_absolute, widened

UPRIGHT_DEG = 20.0  # networks are trained on rolls with a standard deviation of 12 degrees
# The box that is cut out before it is turned is wider than sqrt(2), so that no corner is missing,
# and has at most twice the pixels of the crop, so that turning it skips none.
_WIDER, _FINER = 1.5, 2


def similarity(source, target) -> tuple[complex, complex]:
    """The rotation and scaling, and the translation, from points [k, 2] to points [k, 2].

    Both are complex numbers: a point x + iy goes to turn * (x + iy) + move. The fit is that of the
    least squares.
    """
    source, target = (np.asarray(points, np.float64) @ (1, 1j) for points in (source, target))
    centred = source - source.mean()
    turn = np.vdot(centred, target) / np.vdot(centred, centred).real
    return turn, target.mean() - turn * source.mean()


def roll_of(landmarks, mean_shape) -> float:
    """The roll, -180..180, of landmarks [N, 2] against the upright mean_shape [N, 2]."""
    return float(np.degrees(np.angle(similarity(mean_shape, landmarks)[0])))


def upright_roll(roll_deg: float) -> float:
    """The roll, or 0 if it is so small that the network was trained on faces with it."""
    return float(roll_deg) if abs(roll_deg) > UPRIGHT_DEG else 0.0


def turned(points, roll_deg: float, centre=(0.0, 0.0)) -> np.ndarray:
    """Points [..., 2] turned clockwise by a roll about a centre."""
    cos, sin = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    return (np.asarray(points) - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def turned_face_box(landmarks, rule: BoxRule, roll_deg: float) -> np.ndarray:
    """The face box [x, y, side, side] of landmarks [N, 2] that is turned by a roll."""
    if not roll_deg:
        return face_box(landmarks, rule)
    box = face_box(turned(landmarks, -roll_deg), rule)
    centre = turned(box[:2] + box[2:] / 2, roll_deg)
    return np.concatenate([centre - box[2:] / 2, box[2:]])


def turned_crop(picture, box, rule: BoxRule, roll_deg: float) -> np.ndarray:
    """The contents [S, S, 3] uint8 of a turned box, as `crop` gives those of an upright one."""
    if not roll_deg:
        return crop(picture, box, rule.size_px, rule.padding)
    size_px = round(rule.size_px * _WIDER * _FINER)
    wide = crop(picture, widened(box, _WIDER), size_px, rule.padding)
    # Where the first pixel of the crop and its neighbours to the right and below are, in `wide`.
    step = 1 / rule.size_px
    corners = np.array([(step / 2, step / 2), (step * 1.5, step / 2), (step / 2, step * 1.5)])
    inside = (turned(corners - 0.5, roll_deg) / _WIDER + 0.5) * size_px - 0.5
    matrix = np.column_stack([inside[1] - inside[0], inside[2] - inside[0], inside[0]])
    return cv2.warpAffine(
        wide,
        matrix,
        (rule.size_px, rule.size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=BORDERS[rule.padding],
    )


def from_turned(relative, box, roll_deg: float) -> np.ndarray:
    """Landmarks [..., 2] in pixels from landmarks relative to a turned box."""
    box = np.asarray(box, np.float64)
    landmarks = to_absolute(relative, box)
    return turned(landmarks, roll_deg, box[:2] + box[2:] / 2) if roll_deg else landmarks
