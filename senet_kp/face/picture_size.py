"""The size that a picture file states in its header, which is known without decoding it.

A few damaged bytes in the header make a small file state a billion pixels, for which decoders
allocate gigabytes before they notice that the data end.
"""

import struct

from senet_kp.face.jpeg import is_jpeg, size_in_frame

# Signature, then format and position of width and height: PNG (ISO/IEC 15948), GIF89a, and BMP with
# the header of Windows, whose height is negative for rows from top to bottom.
_HEADERS = (
    (b"\x89PNG\r\n\x1a\n", ">II", 16),
    (b"GIF8", "<HH", 6),
    (b"BM", "<ii", 18),
)


def size_in_header(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels that a picture file states.

    None for formats other than JPEG, PNG, GIF and BMP, and for a file without a whole header.
    """
    if is_jpeg(data):
        return size_in_frame(data)
    for signature, form, position in _HEADERS:
        end = position + struct.calcsize(form)
        if data.startswith(signature) and len(data) >= end:
            width, height = struct.unpack(form, data[position:end])
            return abs(width), abs(height)
    return None
