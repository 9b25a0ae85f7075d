"""iBUG's `.pts`: the landmarks of one face as text, in MATLAB's pixels.

    version: 1
    n_points:  68
    {
    30.000000 104.500000
    ...
    }

x then y, a line a point; the first pixel's centre is 1 (Sagonas et al., "300 faces in-the-wild
challenge", 2016).
"""

import numpy as np

from tfrecords.files import write_bytes

SUFFIX = ".pts"
VERSION = 1
FIRST_PIXEL = 1  # MATLAB's


def write_pts(path, landmarks):
    """Write landmarks [N, 2] (pixels, the first one's centre at 0) atomically."""
    points = np.asarray(landmarks, np.float64) + FIRST_PIXEL
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: landmarks that are not finite")
    lines = [f"version: {VERSION}", f"n_points:  {len(points)}", "{"]
    lines += [f"{x:.6f} {y:.6f}" for x, y in points]
    write_bytes(path, ("\n".join([*lines, "}"]) + "\n").encode())
