"""Reading MATLAB files, which hold the labels of 300W-LP and AFLW2000-3D."""

import io
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.face.pictures import damage
from senet_kp.tfrecords.errors import brief

FIRST_PIXEL = 1  # MATLAB's coordinate of the centre of the first pixel; here it is 0


def read_variable(path: Path, data: bytes, name: str):
    """Return the variable `name` of a MATLAB file's bytes. Raises Rejected, naming `path`."""
    import scipy.io  # takes 0.5 s, and most formats do not need it

    if problem := damage(data):
        raise Rejected(problem[0], f"{path}: {problem[1]}")
    try:
        values = scipy.io.loadmat(io.BytesIO(data), variable_names=[name])
    except Exception as error:  # SciPy raises exceptions of many types for a damaged file
        raise Rejected(
            "bad-mat", f"{path}: SciPy cannot read this MATLAB file ({brief(error)})"
        ) from None
    if name not in values:
        raise Rejected("no-points", f"{path}: has no variable {name}")
    return values[name]


def pose_deg(picture: Path) -> np.ndarray:
    """Return pitch, yaw and roll in degrees from the .mat file beside a picture; NaN if unknown.

    `Pose_Para` holds the three in radians, then the translation and scale of the fitted head.
    """
    path = picture.with_suffix(".mat")
    try:
        pose = read_variable(path, path.read_bytes(), "Pose_Para")
        pitch, yaw, roll = np.ravel(pose)[:3].astype(np.float64)
        return np.degrees([pitch, yaw, roll])
    except (OSError, Rejected, ValueError):  # without a pose the face is only in no yaw bin
        return np.full(3, np.nan)
