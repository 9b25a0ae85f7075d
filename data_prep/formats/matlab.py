"""MATLAB's files, as 300W-LP and AFLW2000-3D share them."""

import io
from pathlib import Path

import numpy as np
import scipy.io

from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.face.pictures import damage

FIRST_PIXEL = 1  # the coordinate of its centre; ours is 0


def read_variable(path: Path, data: bytes, key: str):
    """The variable of that name in a file's bytes; raises Rejected, naming `path`."""
    if problem := damage(data):
        raise Rejected(problem[0], f"{path}: {problem[1]}")
    try:
        values = scipy.io.loadmat(io.BytesIO(data), variable_names=[key])
    except Exception as error:  # SciPy raises many kinds for a damaged file
        raise Rejected("bad-mat", f"{path}: no MATLAB file SciPy can read ({error})") from None
    if key not in values:
        raise Rejected("no-points", f"{path}: holds no {key}")
    return values[key]


def pose_deg(picture: Path) -> np.ndarray:
    """Pitch, yaw, roll in degrees from the .mat beside a picture; NaN where it does not say.

    `Pose_Para` holds the three in radians, then the fitted head's place and scale.
    """
    path = picture.with_suffix(".mat")
    try:
        pose = read_variable(path, path.read_bytes(), "Pose_Para")
        pitch, yaw, roll = np.ravel(pose)[:3].astype(np.float64)
        return np.degrees([pitch, yaw, roll])
    except (OSError, Rejected, ValueError):  # an extra: what is wrong costs only the yaw bin
        return np.full(3, np.nan)
