"""Reading MATLAB files of version 7.3, which are HDF5 files and hold COFW's pictures and labels.

HDF5 stores the axes of a MATLAB array in reverse order: MATLAB's [n, 87] is read as [87, n], and a
picture [H, W, 3] as [3, W, H].
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import Element, Rejected
from senet_kp.face.pictures import encode_picture
from senet_kp.tfrecords.errors import InputError, UserError, brief


def read_arrays(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """Return arrays of numbers as MATLAB has them, axes in MATLAB's order. Raises InputError."""
    with _open(path) as file:
        try:
            missing = [name for name in names if name not in file]
            arrays = [np.asarray(file[name], np.float64).T for name in names if name in file]
        except Exception as error:  # h5py raises exceptions of many types for a damaged file
            raise InputError(f"{path}: its arrays cannot be read ({brief(error)})") from None
    if missing:
        raise InputError(f"{path}: has no variable {missing[0]}")
    return arrays


def picture_of(path: Path, element: Element) -> bytes:
    """Return one picture of a cell array as the bytes of a .ppm file. Raises Rejected."""
    what = f"its picture, element {element.index} of {element.variable},"
    try:
        with _open(path) as file:
            references = np.ravel(file[element.variable])
            picture = np.asarray(file[references[element.index]]).T
    except Exception as error:  # as in read_arrays
        raise Rejected("unreadable", f"{what} cannot be read ({brief(error)})") from None
    plausible = picture.ndim >= 2 and picture.shape[2:] in ((), (3,)) and picture.size
    if picture.dtype != np.uint8 or not plausible:
        shape = "x".join(map(str, picture.shape))
        raise Rejected("unreadable", f"{what} is {shape} {picture.dtype}")
    colour = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    return encode_picture(np.ascontiguousarray(colour), ".ppm")


@contextmanager
def _open(path: Path):
    """Open the file for reading. Raises UserError if h5py is missing, and InputError."""
    try:
        import h5py  # takes 0.2 s, and other formats do not need it
    except ImportError:
        raise UserError(
            f"{path}: a MATLAB 7.3 file, which needs the package h5py:"
            " run pip install 'senet_kp[prepare]'"
        ) from None
    try:
        file = h5py.File(path, "r")
    except Exception as error:
        raise InputError(f"{path}: not a readable MATLAB 7.3 file ({brief(error)})") from None
    with file:
        yield file
