"""HEIC, the format of the pictures of iPhones, which OpenCV does not read but pillow-heif does."""

import functools
import io
from importlib.util import find_spec

import numpy as np

HOW_TO_READ_HEIC = "which OpenCV does not read: convert to JPEG, or install pillow-heif"
# Brands of the box ftyp (ISO/IEC 23008-12, annex B): pictures coded as HEVC, and sequences of them.
_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))


def is_heic(data: bytes) -> bool:
    """Whether these are the bytes of a HEIC file, by the brands that it is compatible with."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), len(data))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    return bool(brands & _BRANDS)


@functools.cache
def has_heic_reader() -> bool:
    """Whether pillow-heif is installed."""
    return find_spec("pillow_heif") is not None


def decode_heic(data: bytes) -> np.ndarray | None:
    """Return a HEIC picture [H, W, 3] uint8 RGB, upright; None if pillow-heif is not installed.

    Raises ValueError if it is damaged.
    """
    if not has_heic_reader():
        return None
    from pillow_heif import open_heif

    try:
        return np.array(open_heif(io.BytesIO(data)).to_pillow().convert("RGB"))
    except (OSError, EOFError, RuntimeError) as error:
        raise ValueError(str(error)) from None
