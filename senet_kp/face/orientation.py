"""The orientation that a picture file asks for: how its stored pixels are turned to be upright.

It is a number from 1 to 8, defined by TIFF 6.0 and EXIF 2.3 (tag 0x0112), and 1 for a picture that
is upright as it is stored. JPEG files have it in their segment APP1, PNG files in the chunk eXIf,
WebP files in the chunk EXIF. AVIF and HEIC files have the boxes irot and imir (ISO/IEC 23008-12,
6.5.10 and 6.5.12), applied in this order; their EXIF orientation does not count (ISO/IEC 23000-22,
7.3.10). `senet_kp.face.turning` turns pictures, points and boxes.
"""

import struct
from collections.abc import Iterator

UPRIGHT = 1
_TAG, _SHORT, _LONG = 0x0112, 3, 4
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_EXIF = b"Exif\0\0"
_APP1, _SCAN, _FILL = 0xE1, 0xDA, 0xFF
# By (quarter turns to the left, axis of the mirror: 0 swaps top and bottom, 1 left and right).
_OF_BOXES = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7,
    (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
}  # fmt: skip


def orientation_of(data: bytes) -> int:
    """Return the orientation, 1..8, of the bytes of a picture file; 1 if it states none."""
    try:
        if is_tiff(data):
            return _of_tiff(data)
        if data.startswith(b"\xff\xd8"):
            return _of_jpeg(data)
        if data.startswith(b"\x89PNG"):
            return _of_chunks(data, 8, b"eXIf", ">I4s", after=4)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _of_chunks(data, 12, b"EXIF", "<4sI", after=0)
        return _of_heif(data) if data[4:8] == b"ftyp" else UPRIGHT
    except (struct.error, IndexError):  # the file ends within what it announces
        return UPRIGHT


def is_tiff(data: bytes) -> bool:
    """Whether these are the bytes of a TIFF file, which OpenCV always turns by itself."""
    return data[:4] in _TIFF


def _of_tiff(data: bytes) -> int:
    """Return the orientation in the first directory of a TIFF file, the form of EXIF data."""
    if not (order := _TIFF.get(data[:4])):
        return UPRIGHT
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    for entry in range(entries):
        at = start + 2 + 12 * entry
        tag, kind, _ = struct.unpack_from(f"{order}HHI", data, at)
        if tag == _TAG and kind in (_SHORT, _LONG):
            (value,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), data, at + 8)
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT


def _of_jpeg(data: bytes) -> int:
    position = 2
    while data[position] == _FILL:
        marker = data[position + 1]
        if marker == _FILL:  # any number of them may precede a marker
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker == _SCAN or length < 2:
            break
        body = position + 4
        if marker == _APP1 and data.startswith(_EXIF, body):
            return _of_tiff(data[body + len(_EXIF) : position + 2 + length])
        position += 2 + length
    return UPRIGHT


def _of_chunks(data: bytes, position: int, wanted: bytes, head: str, after: int) -> int:
    """Return the orientation in the chunk `wanted` of a PNG or WebP file.

    head: how a chunk begins, with its length and its name; after: bytes of its checksum.
    """
    while position < len(data):
        first, second = struct.unpack_from(head, data, position)
        name, length = (first, second) if isinstance(first, bytes) else (second, first)
        body = position + 8
        if name == wanted:
            return _of_tiff(data[body : body + length].removeprefix(_EXIF))
        padding = length % 2 if after == 0 else 0  # WebP's chunks have an even number of bytes
        position = body + length + padding + after
    return UPRIGHT


def _of_heif(data: bytes) -> int:
    """Return the orientation of the primary item of an AVIF or HEIC file."""
    for name, start, end in _boxes(data, 0, len(data)):
        if name == b"meta":
            return _of_meta(data, start + 4, end)
    return UPRIGHT


def _of_meta(data: bytes, start: int, end: int) -> int:
    inner = {name: span for name, *span in _boxes(data, start, end)}
    if b"pitm" not in inner or b"iprp" not in inner:
        return UPRIGHT
    wide = data[inner[b"pitm"][0]] > 0  # the version of the box
    (primary,) = struct.unpack_from(">I" if wide else ">H", data, inner[b"pitm"][0] + 4)
    properties = list(_boxes(data, *inner[b"iprp"]))
    listed = [span for name, *span in properties if name == b"ipco"]
    if not listed:
        return UPRIGHT
    kinds = list(_boxes(data, *listed[0]))
    turns, axis = 0, None
    for begin in (begin for name, begin, _ in properties if name == b"ipma"):
        for index in _associated(data, begin, primary):
            name, at, _ = kinds[index - 1]
            if name == b"irot":
                turns = data[at] & 3
            elif name == b"imir":
                axis = data[at] & 1
    return _OF_BOXES[turns, axis]


def _associated(data: bytes, position: int, wanted: int) -> Iterator[int]:
    """Yield the numbers, from 1, of the properties that a box ipma gives to an item."""
    version, flags = data[position], data[position + 3]
    item, wide = (">I" if version else ">H"), flags & 1
    (entries,) = struct.unpack_from(">I", data, position + 4)
    position += 8
    for _ in range(entries):
        (number,) = struct.unpack_from(item, data, position)
        position += struct.calcsize(item)
        count = data[position]
        position += 1
        for _ in range(count):
            (value,) = struct.unpack_from(">H" if wide else ">B", data, position)
            position += 2 if wide else 1
            index = value & (0x7FFF if wide else 0x7F)  # the highest bit says: essential
            if number == wanted and index:
                yield index


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, first byte and end of the contents of every box (ISO/IEC 14496-12, 4.2)."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, start + 8), 16
        stop = end if size == 0 else start + size
        if stop < start + head:
            return
        yield name, start + head, min(stop, end)
        start = stop
