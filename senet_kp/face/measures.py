"""What landmarks say about a face: how far its eyes and its mouth are open."""

import numpy as np

from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme

# The inner lips of the 68 landmarks: the corners, and three pairs of an upper and a lower point.
_LIP_CORNERS, _LIPS = (60, 64), ((61, 67), (62, 66), (63, 65))


def eye_aspect_ratios(landmarks, scheme: LandmarkScheme = IBUG68) -> list[float] | None:
    """The openings of the left and the right eye (of the picture) over their widths.

    About 0.3 for an open eye and below 0.15 for a closed one, whatever the size and the roll of the
    face. As Soukupova and Cech, "Real-Time Eye Blink Detection using Facial Landmarks", CVWW 2016,
    from six landmarks p1 to p6 around an eye that begin and end at its corners: (|p2 - p6| +
    |p3 - p5|) / (2 |p1 - p4|). landmarks [N, 2]. None if the scheme has other landmarks there.
    """
    points = np.asarray(landmarks, np.float64)
    if any(len(eye) != 6 for eye in scheme.eyes):
        return None
    return [_aspect_ratio(points[list(eye)]) for eye in scheme.eyes]


def _aspect_ratio(eye) -> float:
    heights = np.linalg.norm(eye[[1, 2]] - eye[[5, 4]], axis=1)
    return float(heights.mean() / max(np.linalg.norm(eye[0] - eye[3]), 1e-9))


def mouth_opening(landmarks, scheme: LandmarkScheme = IBUG68) -> float | None:
    """The mean distance of the inner lips over their width: 0 for a closed mouth.

    landmarks [68, 2]. None if the scheme is not that of the 68 landmarks.
    """
    if scheme.name != IBUG68.name:
        return None
    points = np.asarray(landmarks, np.float64)
    upper, lower = np.transpose(_LIPS)
    left, right = _LIP_CORNERS
    gaps = np.linalg.norm(points[upper] - points[lower], axis=1)
    return float(gaps.mean() / max(np.linalg.norm(points[left] - points[right]), 1e-9))
