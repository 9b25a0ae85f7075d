"""Head pose (pitch, yaw, roll) from landmarks, by fitting a 3-D mean head (perspective-n-point)."""

import cv2
import numpy as np

from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme

# The 68 points of a neutral mean head in cm: x to the right in the picture, y up, z to the viewer,
# with the origin between the eyes. It is the mean head of data_prep/sample_faces, rounded to 1 mm.
# fmt: off
MEAN_LANDMARKS_CM = np.array([
    (-7.4, -0.5, -7.2), (-7.3, -2.3, -7.1), (-7.0, -4.0, -6.6), (-6.5, -5.8, -5.8),
    (-5.7, -7.4, -4.7), (-4.7, -8.9, -3.3), (-3.4, -10.1, -1.6), (-1.8, -10.9, 0.1),
    (0.0, -11.2, 1.3), (1.8, -10.9, 0.1), (3.4, -10.1, -1.6), (4.7, -8.9, -3.3),
    (5.7, -7.4, -4.7), (6.5, -5.8, -5.8), (7.0, -4.0, -6.6), (7.3, -2.3, -7.1),
    (7.4, -0.5, -7.2), (-6.0, 1.0, -2.1), (-5.1, 1.8, -0.6), (-3.8, 2.2, 0.7),
    (-2.5, 2.0, 1.4), (-1.2, 1.6, 1.7), (1.2, 1.6, 1.7), (2.5, 2.0, 1.4),
    (3.8, 2.2, 0.7), (5.1, 1.8, -0.6), (6.0, 1.0, -2.1), (0.0, 0.0, 2.0),
    (0.0, -1.2, 3.0), (0.0, -2.5, 3.7), (0.0, -3.8, 4.7), (-1.5, -4.6, 2.8),
    (-0.8, -4.8, 2.7), (0.0, -5.0, 2.3), (0.8, -4.8, 2.7), (1.5, -4.6, 2.8),
    (-4.5, -0.2, -0.8), (-3.7, 0.3, 0.0), (-2.7, 0.3, 0.1), (-1.9, -0.4, -0.4),
    (-2.7, -0.6, 0.1), (-3.7, -0.6, 0.0), (1.9, -0.4, -0.4), (2.7, 0.3, 0.1),
    (3.7, 0.3, 0.0), (4.5, -0.2, -0.8), (3.7, -0.6, 0.0), (2.7, -0.6, 0.1),
    (-2.7, -6.9, 1.5), (-1.7, -6.5, 2.1), (-0.7, -6.3, 2.4), (0.0, -6.5, 2.5),
    (0.7, -6.3, 2.4), (1.7, -6.5, 2.1), (2.7, -6.9, 1.5), (1.7, -7.5, 2.0),
    (0.7, -7.8, 2.3), (0.0, -7.8, 2.4), (-0.7, -7.8, 2.3), (-1.7, -7.5, 2.0),
    (-2.3, -6.9, 1.7), (-0.7, -6.9, 2.4), (0.0, -6.9, 2.5), (0.7, -6.9, 2.4),
    (2.3, -6.9, 1.7), (0.7, -6.9, 2.4), (0.0, -6.9, 2.5), (-0.7, -6.9, 2.4),
])
# fmt: on
# The bins of the absolute yaw in which AFLW2000-3D is scored; the upper limit belongs to its bin.
# Zhu et al., "Face Alignment Across Large Poses: A 3D Solution" (2016).
YAW_BINS_DEG = ((0, 30), (30, 60), (60, 90))
_DISTANCE = 6.0  # from camera to face, in sizes of the face box: a portrait from 1.5 m
_MIN_POINTS = 6


def estimate_pose_deg(
    landmarks, mask, scheme: LandmarkScheme, with_contour: bool = False
) -> np.ndarray:
    """Estimate pitch, yaw, roll [3] in degrees, with the signs of 300W-LP's Pose_Para.

    landmarks [N, 2] in any unit, mask [N]; with_contour as for `head_rotation`. NaN where that
    returns None.
    """
    rotation = head_rotation(landmarks, mask, scheme, with_contour)
    return np.full(3, np.nan) if rotation is None else angles_deg(rotation)


def head_rotation(
    landmarks, mask, scheme: LandmarkScheme, with_contour: bool = False
) -> np.ndarray | None:
    """Estimate the rotation [3, 3] of a head from landmarks [N, 2] in any unit and mask [N].

    The columns are the directions of the head's right, up and forward axes, in a frame with x to
    the right in the picture, y up and z to the viewer. Contour points are ignored, because the
    visible contour of a turned head consists of other points of the head, unless with_contour says
    that they are projected from a head model. From such labels of 491 faces of AFLW2000-3D the mean
    absolute errors of pitch, yaw and roll are 4.5, 1.1 and 2.0 degrees with the contour, and 6.4,
    3.2 and 4.1 without it. Returns None for schemes other than ibug68, and for fewer than six valid
    points.
    """
    known = np.array(mask, bool)
    if scheme.name != IBUG68.name or len(known) != scheme.count:
        return None
    if not with_contour:
        known[list(scheme.contour)] = False
    if known.sum() < _MIN_POINTS:
        return None
    points = np.asarray(landmarks, np.float64)[known]
    centre, size = points.mean(axis=0), np.ptp(points, axis=0).max()
    camera = np.diag([_DISTANCE, _DISTANCE, 1.0])
    points = np.ascontiguousarray((points - centre) / size)
    found, turn, _ = cv2.solvePnP(
        MEAN_LANDMARKS_CM[known], points, camera, None, flags=cv2.SOLVEPNP_SQPNP
    )
    # OpenCV's camera frame has y down and z away from the viewer; here y is up, z to the viewer.
    return np.diag([1, -1, -1]) @ cv2.Rodrigues(turn)[0] if found else None


def true_rotation(pose_deg, landmarks, mask, scheme: LandmarkScheme) -> np.ndarray:
    """Return the rotation [3, 3] of a labelled head.

    It is the labelled pose_deg (pitch, yaw, roll [3]) if that is finite, else the estimate from
    landmarks [N, 2] and mask [N], else NaN.
    """
    if np.isfinite(pose_deg).all():
        return rotation_of(pose_deg)
    rotation = head_rotation(landmarks, mask, scheme)
    return np.full((3, 3), np.nan) if rotation is None else rotation


def true_yaw_deg(pose_deg, landmarks, mask, scheme: LandmarkScheme) -> float:
    """Return the yaw of a labelled head in degrees.

    It is the labelled yaw of pose_deg (pitch, yaw, roll [3]) if that is finite, else the estimate
    from landmarks [N, 2] and mask [N], else NaN.
    """
    labelled = float(pose_deg[1])
    return labelled if np.isfinite(labelled) else estimate_pose_deg(landmarks, mask, scheme)[1]


def yaw_bin(yaw_deg) -> np.ndarray:
    """Return the index [n] of the bin of each absolute yaw [n] in degrees.

    It is the number of bins for a yaw that is in none of them, or NaN.
    """
    return np.digitize(yaw_deg, [high for _, high in YAW_BINS_DEG], right=True)


def turned(rotation, change) -> np.ndarray:
    """Return the rotation [3, 3] of a head after its picture was rotated or mirrored.

    rotation: [3, 3] before. change: [2, 2] matrix from coordinates of the new picture (y down) to
    coordinates of the old one, with orthogonal columns; their lengths (scale, stretch) are ignored.
    """
    inside = (change / np.linalg.norm(change, axis=0)).T
    turn = np.eye(3)
    turn[:2, :2] = inside * [[1, -1], [-1, 1]]  # y up
    mirrored = np.linalg.det(inside) < 0  # then the left and right of the head are swapped
    return turn @ rotation @ np.diag([-1 if mirrored else 1, 1, 1])


def angle_between_deg(first, second) -> np.ndarray:
    """Return the angles [...] in degrees between rotations [..., 3, 3] (geodesic distance)."""
    trace = (np.asarray(first, np.float64) * second).sum((-2, -1))
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def rotation_of(pose_deg) -> np.ndarray:
    """Return the rotation [3, 3] of pitch, yaw, roll [3] in degrees; inverts `angles_deg`."""
    pitch, yaw, roll = (cv2.Rodrigues(turn)[0] for turn in -np.diag(np.radians(pose_deg)))
    return pitch @ yaw @ roll


def angles_deg(rotation) -> np.ndarray:
    """Return pitch, yaw, roll [3] in degrees of the rotation [3, 3] of a head."""
    pitch = np.arctan2(rotation[1, 2], rotation[2, 2])
    yaw = -np.arcsin(np.clip(rotation[0, 2], -1, 1))
    roll = np.arctan2(rotation[0, 1], rotation[0, 0])
    return np.degrees([pitch, yaw, roll])
