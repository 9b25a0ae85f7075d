"""The 68 iBUG landmarks of a head, on the curves that shape and colour its features."""

import numpy as np

from senet_kp.data_prep.sample_faces.head import OUTLINE_TOP_Y, Head
from senet_kp.face.known_schemes import IBUG68

_EYE_FRACTIONS = (
    0.0,
    0.32,
    0.68,
    1.0,
    0.68,
    0.32,
)  # along the lids: inner corner, upper lid, outer corner, lower lid
_OUTER_LIP_FRACTIONS = (0.0, 0.27, 0.64, 1.0, 0.64, 0.27, 0.0)  # 0 is the middle, 1 the corner
_INNER_LIP_FRACTIONS = (0.0, 0.27, 0.86, 0.27, 0.0)
JAW_SIDES = [point for point in IBUG68.contour if IBUG68.flip[point] != point]  # all but the chin
_ARC_DEG = np.arange(90.0, 14.0, -1.0)  # angles of the visible contour; below 15 is the nose


def landmarks_3d(head: Head):
    """Return the landmarks [68, 3] in cm: x to the right in the picture, y up, z to the viewer.

    The half on the right in the picture is computed, and mirrored with the scheme's flip table.
    """
    points = np.zeros((IBUG68.count, 3))
    points[8:17] = _jaw(head)
    points[22:27] = _brow(head)
    points[27:31, 1:] = _bridge(head)
    points[33:36] = _nose_base(head)
    points[42:48] = _eye(head)
    upper_outer, upper_inner, lower_inner, lower_outer = range(4)
    points[51:58] = _lips(head, _OUTER_LIP_FRACTIONS, upper_outer, lower_outer)
    points[62:67] = _lips(head, _INNER_LIP_FRACTIONS, upper_inner, lower_inner)
    flip = np.array(IBUG68.flip)
    right = np.flatnonzero(points.any(axis=1))
    points[flip[right]] = points[right] * (-1, 1, 1)
    points[right[flip[right] == right], 0] = 0
    return points


def mean_landmarks_3d():
    """Return the landmarks [68, 3] in cm of the neutral mean head."""
    return landmarks_3d(Head())


def contour_on_view(head: Head, points, rotation):
    """Return the landmarks [68, 3] with the jaw points moved to the contour visible in a view.

    Each jaw point moves along the horizontal section through it, from the edge of the jaw toward
    the front, to the point that is outermost in the picture. That is the edge of the jaw itself
    unless the rotation of the head hides it.
    """
    return on_contour(points, contour_arcs(head, points), rotation)


def contour_arcs(head: Head, points):
    """Return the places [16, A, 3] that each jaw point but the chin can have in some view.

    The first place is that of the landmarks `points` [68, 3].
    """
    jaw = JAW_SIDES
    sign, y = np.sign(points[jaw, :1]), points[jaw, 1:2]
    arcs = head.section(sign * _ARC_DEG, y + 0 * _ARC_DEG)
    arcs[..., 2] = head.front_surface_z(arcs[..., 0], arcs[..., 1])
    arcs[:, 0] = points[jaw]
    return arcs


def on_contour(points, arcs, rotation):
    """Return the landmarks [68, 3] with the jaw points at the outermost place of their arcs."""
    points = points.copy()
    points[JAW_SIDES] = arcs[np.arange(len(arcs)), outermost(points, arcs, rotation)]
    return points


def outermost(points, arcs, rotation):
    """Return which place [16] of its arc each jaw point but the chin has in a view."""
    up = rotation[:2, 1]
    outward = rotation[:2].T @ (up[1], -up[0])
    return np.argmax(np.sign(points[JAW_SIDES, :1]) * (arcs @ outward), axis=1)


def _jaw(head):
    """Return nine points from chin to ear at equal distances along the outline."""
    turn = np.linspace(0, np.pi / 2, 400)
    y = OUTLINE_TOP_Y + (head.chin_y - OUTLINE_TOP_Y) * np.cos(turn)
    x = head.half_width(y)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    y = np.interp(np.linspace(0, length[-1], 9), length, y)
    return np.stack([head.half_width(y), y, head.edge_z(y)], axis=1)


def _brow(head):
    shape = head.shape
    x = shape.brow_inner_x + (shape.brow_outer_x - shape.brow_inner_x) * np.array(
        (0.0, 0.26, 0.54, 0.81, 1.0)
    )
    return _on_face(head, x, head.brow(x)[0])


def _bridge(head):
    """Return y and z of the four points from between the eyes to the tip of the nose."""
    y = np.linspace(0.0, head.shape.nose_tip_y, 4)
    return np.stack([y, head.front_surface_z(np.zeros(4), y)], axis=1)


def _nose_base(head):
    width, base = head.shape.nose_half_width, head.shape.nose_base_y
    x = np.array((0.0, 0.48, 0.95)) * width
    return _on_face(head, x, base + np.array((-0.02, 0.16, 0.4)))


def _eye(head):
    shape = head.shape
    x = shape.eye_inner_x + (shape.eye_outer_x - shape.eye_inner_x) * np.array(_EYE_FRACTIONS)
    upper, lower, _ = head.lids(x)
    return _on_face(head, x, np.where(np.arange(6) < 4, upper, lower))


def _lips(head, fractions, upper, lower):
    """Return points along the edge `upper` from middle to corner and back along `lower`."""
    half_width = 1 / head.mouth(1.0)[1]
    x = half_width * np.array(fractions)
    edges = head.mouth(x)[0]
    return _on_face(head, x, np.where(np.arange(len(x)) <= len(x) // 2, edges[upper], edges[lower]))


def _on_face(head, x, y):
    return np.stack([x, y, head.front_surface_z(x, y)], axis=1)
