"""Reading pictures of every kind into RGB bytes, and saying what is wrong with the others."""

from pathlib import Path

import cv2
import numpy as np

from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import write_bytes

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))


class BadPicture(InputError):
    """A picture that cannot be used; `reason` is a short code, the message names the file."""

    def __init__(self, path, reason: str, message: str):
        super().__init__(f"{path}: {message}")
        self.reason = reason


def read_picture(path) -> np.ndarray:
    """A picture file as [H, W, 3] uint8 RGB, contiguous, turned upright by its EXIF orientation.

    Grey, 16-bit and alpha pictures are converted. Raises BadPicture.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadPicture(path, "unreadable", error.strerror or str(error)) from None
    return decode_picture(data, path)


def pictures_in(folder) -> list[Path]:
    """The pictures right in a folder, sorted by name; raises InputError where there is none."""
    found = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{folder}: a folder without pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def decode_picture(data: bytes, path, mode: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
    """`read_picture` for bytes already read; `path` only names them in errors."""
    if problem := damage(data):
        raise BadPicture(path, *problem)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadPicture(path, "unreadable", "no picture that OpenCV can decode")
    return picture


def grey_picture(text: bytes, side_px: int, name) -> np.ndarray:
    """[side_px, side_px, 3] uint8 from the grey values 0..255 in a text, row by row.

    Raises BadPicture; `name` is what the message calls it.
    """
    try:
        values = np.array([int(value) for value in text.split()])
    except ValueError:
        raise BadPicture(name, "unreadable", "grey values that are no whole numbers") from None
    if len(values) != side_px * side_px:
        expected = f"{side_px}x{side_px}"
        raise BadPicture(name, "pixel-count", f"{len(values):,} grey values, not {expected}")
    if values.min() < 0 or values.max() > 255:
        raise BadPicture(name, "unreadable", "grey values outside 0..255")
    grey = values.astype(np.uint8).reshape(side_px, side_px, 1)
    return np.repeat(grey, 3, axis=2)


def damage(data: bytes) -> tuple[str, str] | None:
    """Reason code and message for bytes that a decoder would take or refuse without a word."""
    if not data:
        return "empty", "the file is empty"
    if data.startswith(b"version https://git-lfs"):
        return "git-lfs-pointer", "a Git LFS pointer, not the file itself; run 'git lfs pull'"
    # Inside scan data an 0xFF byte is always stuffed, so the last start-of-scan marker is real,
    # and a whole JPEG has an end marker after it. libjpeg itself fills the rest with grey.
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        return "truncated", "a truncated JPEG: its end is missing; fetch the file again"
    return None


def encode_picture(picture, suffix: str) -> bytes:
    """[H, W, 3] uint8 RGB as the bytes of a picture file of that suffix (".png", ".jpg")."""
    ok, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        raise ValueError(f"OpenCV does not write {suffix} files")
    return data.tobytes()


def write_picture(path, picture):
    """Write [H, W, 3] uint8 RGB atomically, in the format of the path's suffix."""
    write_bytes(path, encode_picture(picture, Path(path).suffix))
