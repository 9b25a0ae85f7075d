"""Damage in JPEG files, which libjpeg fills with grey or repeats and OpenCV does not report.

A JPEG is a row of segments (ITU-T T.81, annex B): 0xFF, a marker and, for most markers, two bytes
of length and the contents. After a start of scan come coded pixels, in which 0xFF is followed by
0x00 or a restart marker. What follows the end marker, such as the video of a motion photo, is not
part of the picture. examples/cpp/jpeg.hpp computes the same as `damage_in_segments`.
"""

import contextlib
import os
import re
import struct
import tempfile
import threading

import cv2
import numpy as np

SOI = b"\xff\xd8"  # start of image
_END, _SCAN, _TEMPORARY = 0xD9, 0xDA, 0x01
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # a picture has one
_SEGMENTS = _FRAMES | {0xC4, 0xCC, _SCAN, 0xDB, 0xDC, 0xDD, 0xFE} | set(range(0xE0, 0xF0))
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_TRUNCATED = "truncated", "a truncated JPEG: its end is missing; download the file again"

_WARNING = b"Corrupt JPEG data: "
_ONE_AT_A_TIME = threading.Lock()  # a process has only one stderr


def is_jpeg(data: bytes) -> bool:
    """Whether a file begins as JPEG files do."""
    return data.startswith(SOI)


def damage_in_segments(data: bytes) -> tuple[str, str] | None:
    """Return reason code and message if the segments of a JPEG file are damaged, or None."""
    position, frames = 2, 0
    while found := _MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == _END:
            return None
        if marker == _TEMPORARY:  # the only other marker without a length
            continue
        frames += marker in _FRAMES
        length = int.from_bytes(data[position : position + 2], "big")
        if len(data) < position + 2:
            break
        if marker not in _SEGMENTS or frames > 1 or length < 2:
            return corrupt(f"marker 0x{marker:02x} at byte {found.start():,}")
        position += length
    return _TRUNCATED


def end_of_jpeg(data: bytes, start: int = 0) -> int | None:
    """Return where the JPEG that begins at `start` ends; None if its end is not there yet."""
    position = start + 2
    while found := _MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == _END:
            return position
        if marker != _TEMPORARY:
            position += max(int.from_bytes(data[position : position + 2], "big"), 2)
    return None


def size_in_frame(data: bytes) -> tuple[int, int] | None:
    """Return width and height in the frame header of a JPEG file, or None if it has none."""
    position = 2
    while found := _MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker in _FRAMES and len(data) >= position + 7:
            height, width = struct.unpack(">HH", data[position + 3 : position + 7])
            return width, height
        if marker in (_END, _SCAN) or marker not in _SEGMENTS:
            return None
        position += max(int.from_bytes(data[position : position + 2], "big"), 2)
    return None


def corrupt(what: str) -> tuple[str, str]:
    """Reason code and message for a JPEG file with damage in the middle."""
    return "corrupt", f"a damaged JPEG ({what}); download the file again"


def decode(data: bytes, mode: int) -> tuple[np.ndarray | None, str | None]:
    """Decode a picture file; return the picture, and libjpeg's warning if a JPEG is damaged.

    The picture is None if OpenCV cannot decode it. libjpeg prints its first warning to the
    process's stderr, the only place where OpenCV lets it be seen. Bytes left over before the end
    marker are ignored, because some cameras write them. Everything else that is printed meanwhile
    is passed on.
    """
    if not is_jpeg(data):
        return decode_silently(data, mode), None
    with _ONE_AT_A_TIME, contextlib.ExitStack() as stack:
        try:
            heard = stack.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(2)
        except OSError:  # no place for a file, or a process without stderr
            return decode_silently(data, mode), None
        os.dup2(heard.fileno(), 2)
        try:
            picture = decode_silently(data, mode)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        heard.seek(0)
        lines = heard.read().splitlines(keepends=True)
    warnings = [line for line in lines if line.startswith(_WARNING)]
    if others := b"".join(line for line in lines if line not in warnings):
        os.write(2, others)
    real = [line for line in warnings if not line.rstrip().endswith(b"before marker 0xd9")]
    return picture, real[0].removeprefix(_WARNING).strip().decode() if real else None


def decode_silently(data: bytes, mode: int) -> np.ndarray | None:
    """Decode a picture without listening to warnings; None if OpenCV cannot decode it."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        return None
