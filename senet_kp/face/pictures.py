"""Reading and writing of pictures as RGB arrays, with a reason code for unusable files."""

import math
from os import PathLike
from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.folders import NOT_READ, UNREAD_SUFFIXES, suffix_of
from senet_kp.face.heic import HOW_TO_READ_HEIC, decode_heic, is_heic
from senet_kp.face.jpeg import corrupt, damage_in_segments, decode, decode_silently, is_jpeg
from senet_kp.face.orientation import UPRIGHT, is_tiff, orientation_of
from senet_kp.face.picture_size import size_in_header
from senet_kp.face.turning import turned_picture
from senet_kp.tfrecords.errors import InputError, UserError, is_exhausted
from senet_kp.tfrecords.files import write_bytes

MOST_PIXELS = 250_000_000  # more than the largest cameras have; decoding takes 3 bytes for each
_EXPECTED_ARRAY = "a picture has to be an array [H, W, 3] of uint8 in RGB order, not"
_SCALE = "scale its values to 0..255 and convert it with .astype(np.uint8)"
_HINTS = {type(None): " (cv2.imread returns None for a file that it cannot read)"}


class BadPicture(InputError):
    """A picture cannot be used; `reason` is a short code, and the message names the file."""

    def __init__(self, path, reason: str, message: str):
        super().__init__(path, reason, message)  # all three, so that processes can exchange it
        self.reason, self.message = reason, message

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.message}"


def read_picture(path) -> np.ndarray:
    """Read a picture file as contiguous [H, W, 3] uint8 RGB, upright.

    It is turned by its orientation (`senet_kp.face.orientation`). Grey, 16-bit and alpha pictures
    are converted. Raises BadPicture if it cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        if is_exhausted(error):
            raise
        raise BadPicture(path, "unreadable", error.strerror or str(error)) from None
    return decode_picture(data, path)


def decode_picture(data: bytes, path, mode: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
    """Decode the bytes of a picture file as `read_picture` does; errors name `path`."""
    if problem := damage(data):
        raise BadPicture(path, *problem)
    if is_heic(data):
        return _heic_picture(data, path, mode)
    if (suffix := suffix_of(path)) in UNREAD_SUFFIXES:
        raise BadPicture(path, "unread-format", f"a {suffix} picture, {NOT_READ}")
    picture, warning = decode(data, mode | cv2.IMREAD_IGNORE_ORIENTATION)
    if warning:
        raise BadPicture(path, *corrupt(warning))
    if picture is None:
        raise BadPicture(path, "unreadable", "OpenCV cannot decode this file as a picture")
    # OpenCV turns TIFF files whatever the mode, and does not know the boxes of AVIF files.
    return turned_picture(picture, UPRIGHT if is_tiff(data) else orientation_of(data))


def _heic_picture(data: bytes, path, mode: int) -> np.ndarray:
    """Decode a HEIC file in the colour order of `mode`. Raises BadPicture."""
    try:
        picture = decode_heic(data)
    except ValueError as error:
        raise BadPicture(path, "unreadable", f"not readable as HEIC ({error})") from None
    if picture is None:
        raise BadPicture(path, "unread-format", f"a HEIC picture, {HOW_TO_READ_HEIC}")
    return picture if mode == cv2.IMREAD_COLOR_RGB else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)


def rgb_picture(picture) -> np.ndarray:
    """Return a picture as contiguous [H, W, 3] uint8 RGB, read from its file if it is a path.

    Raises the errors of `read_picture` and `picture_of_array`.
    """
    if isinstance(picture, (str, PathLike)):
        return read_picture(picture)
    return picture_of_array(picture)


def picture_of_array(array) -> np.ndarray:
    """Return a picture array as contiguous [H, W, 3] uint8 RGB, converted as `read_picture` does.

    array: uint8 [H, W] or [H, W, 1] (grey), [H, W, 2] (grey and alpha), [H, W, 3] (RGB) or
    [H, W, 4] (RGB and alpha). Alpha is ignored. Raises TypeError if it is no array, and ValueError
    for another shape or type: whether floats end at 1 or 255, and 16-bit values at 4,095 or
    65,535, is known to the caller alone.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(
            "a picture has to be the path of a file or an array [H, W, 3] of uint8 in RGB order,"
            f" not {type(array).__name__}{_HINTS.get(type(array), '')}"
        )
    channels = array.shape[2:] or (1,)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels[0] not in (1, 2, 3, 4):
        raise ValueError(_EXPECTED_ARRAY + f" {array.dtype} {list(array.shape)}; {_SCALE}")
    if not array.size:
        raise ValueError(_EXPECTED_ARRAY + f" an empty one {list(array.shape)}")
    array = array.reshape(*array.shape[:2], -1)
    if channels[0] < 3:
        return np.repeat(array[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def stored_picture(data: bytes, name: str, encoding: str) -> np.ndarray:
    """Return the picture [C, C, 3] uint8 RGB that a record stores as a JPEG file or as raw pixels.

    Raises BadPicture, which names the record, if the data are of neither kind.
    """
    if encoding == "jpeg":
        # Records have checksums; listening to libjpeg would take longer than decoding them.
        if (picture := decode_silently(data, cv2.IMREAD_COLOR_RGB)) is None:
            raise BadPicture(name, "unreadable", "OpenCV cannot decode the record's picture")
        return picture
    side_px = math.isqrt(len(data) // 3)
    if 3 * side_px**2 != len(data):
        raise BadPicture(
            name, "pixel-count", f"{len(data):,} bytes are not those of a square RGB picture"
        )
    return np.frombuffer(bytearray(data), np.uint8).reshape(side_px, side_px, 3)


def grey_picture(text: bytes, size_px: int, name) -> np.ndarray:
    """Return [size_px, size_px, 3] uint8 from text with grey values 0..255 in row-major order.

    Raises BadPicture, whose message names the picture `name`.
    """
    try:
        values = np.array([int(value) for value in text.split()])
    except ValueError:
        raise BadPicture(name, "unreadable", "grey values that are not whole numbers") from None
    if len(values) != size_px * size_px:
        expected = f"{size_px}x{size_px}"
        raise BadPicture(name, "pixel-count", f"{len(values):,} grey values, not {expected}")
    if values.min() < 0 or values.max() > 255:
        raise BadPicture(name, "unreadable", "grey values outside 0..255")
    grey = values.astype(np.uint8).reshape(size_px, size_px, 1)
    return np.repeat(grey, 3, axis=2)


def damage(data: bytes) -> tuple[str, str] | None:
    """Return reason code and message for damage that decoders do not report clearly, or None."""
    if not data:
        return "empty", "the file is empty"
    if data.startswith(b"version https://git-lfs"):
        return "git-lfs-pointer", "a Git LFS pointer, not the file itself; run 'git lfs pull'"
    width_px, height_px = size_in_header(data) or (0, 0)
    if width_px * height_px > MOST_PIXELS:
        return (
            "too-large",
            f"states a size of {width_px:,}x{height_px:,} px, and at most {MOST_PIXELS:,} pixels"
            " are read; reduce the picture, or fetch the file again if it is damaged",
        )
    return damage_in_segments(data) if is_jpeg(data) else None


def encode_picture(picture, suffix: str) -> bytes:
    """Encode [H, W, 3] uint8 RGB as the bytes of a file of that suffix (".png", ".jpg").

    Raises UserError for a suffix of no picture that OpenCV writes, and for a picture that is too
    large for the format.
    """
    if not cv2.haveImageWriter(f"picture{suffix}"):
        raise UserError(f"OpenCV writes no pictures named {suffix or 'without a suffix'}: use .png")
    ok, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        raise UserError(f"a picture of {picture.shape[1]}x{picture.shape[0]} px is no {suffix}")
    return data.tobytes()


def write_picture(path, picture):
    """Write [H, W, 3] uint8 RGB atomically, in the format given by the suffix of the path."""
    try:
        data = encode_picture(picture, Path(path).suffix)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    write_bytes(path, data)
