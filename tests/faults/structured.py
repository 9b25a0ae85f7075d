"""Mutators of structured files: values of JSON files, headers of pictures, records of shards."""

import copy
import functools
import json
import re
import struct
import zlib

from senet_kp.tfrecords.example import frame
from tests.faults.mutators import (
    BYTES,
    Mutator,
    byte_order_mark,
    choice,
    damaged,
    doubled_block,
    dropped_block,
    flipped_bits,
    not_utf_8,
    nul_byte,
    other_number,
    other_token,
    quote,
    truncated,
    utf_16,
)

VALUES = [
    *(None, True, 0, -1, 1, 2, 0.5, 1e30, -1e30, float("nan"), float("inf"), 10**25, 10**9),
    *(
        "",
        "text",
        "12",
        "nan",
        [],
        [None],
        [[]],
        {},
        {"a": 1},
        [1, 2],
        [[1, 2]],
        "a\x00b",
        "..",
        "/",
    ),
    [[[[[[[[]]]]]]]],
]


def _places(value, found: list):
    """Collect (container, key) of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        found.append((value, key))
        if isinstance(inner, (dict, list)):
            _places(inner, found)
    return found


def _on_json(change) -> Mutator:
    @functools.wraps(change)
    def mutator(data, random):
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):  # an earlier mutator has broken it
            return data
        if not isinstance(value, (dict, list)) or not value:
            return data
        places = _places(value, [])
        # Half of the changes are near the root, where there are fewer values.
        near = [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
        container, key = choice(near if random.random() < 0.5 else places, random)
        change(container, key, random)
        return json.dumps(value).encode()

    return mutator


@_on_json
def other_value(container, key, random):
    container[key] = copy.deepcopy(choice(VALUES, random))


@_on_json
def removed_value(container, key, random):
    del container[key]


@_on_json
def other_key(container, key, random):
    if isinstance(container, dict):
        container[choice(["", "x", f"{key}s", str(key).upper()], random)] = container.pop(key)
    else:
        container.append(container[key])


@_on_json
def wrapped_value(container, key, random):
    inner = container[key]
    container[key] = choice([[inner], {"value": inner}, str(inner), [inner, inner]], random)


@_on_json
def changed_number(container, key, random):
    value = container[key]
    if isinstance(value, (int, float)):
        container[key] = choice([-value, value + 1, value * 1000, value / 3, float(value)], random)


def root_value(data, random):
    return json.dumps(choice(VALUES, random)).encode()


def deeply_nested(data, random):
    depth = int(choice([50, 5_000, 200_000], random))
    return choice([b"[", b'{"a":'], random) * depth


JSON = [other_value] * 6 + [removed_value] * 3 + [other_key, wrapped_value, wrapped_value]
JSON += [changed_number, root_value, deeply_nested]
JSON += [byte_order_mark, utf_16, not_utf_8, nul_byte, quote, truncated, flipped_bits]
JSON += [other_number, other_token, dropped_block, doubled_block]


def png_chunk(data, random):
    """Change a byte of a chunk of a PNG file, and its checksum with it."""
    position, chunks = 8, []
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        if position + 12 + length > len(data):
            break
        chunks.append((position, length))
        position += 12 + length
    filled = [(start, length) for start, length in chunks if length]
    if not filled:
        return data
    start, length = choice(filled, random)
    changed = bytearray(data)
    changed[start + 8 + int(random.integers(length))] = int(random.integers(256))
    body = bytes(changed[start + 4 : start + 8 + length])
    changed[start + 8 + length : start + 12 + length] = struct.pack(">I", zlib.crc32(body))
    return bytes(changed)


def png_size(data, random):
    """Another width and height in the header of a PNG file, with the right checksum."""
    size = struct.pack(">II", *(int(choice(SIZES_PX, random)) for _ in range(2)))
    header = b"IHDR" + size + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


SIZES_PX = [0, 1, 100, 5_000, 30_000, 32_767, 65_535, 2**31 - 1]


def jpeg_size(data, random):
    """Another height and width in the frame header of a JPEG file."""
    found = re.search(rb"\xff[\xc0-\xc2]..\x08", data, re.DOTALL)
    if not found:
        return data
    size = struct.pack(">HH", *(int(choice(SIZES_PX[:-1], random)) for _ in range(2)))
    return data[: found.end()] + size + data[found.end() + 4 :]


def resealed_record(data, random):
    """Change a byte of a record of a TFRecord file, and the record's checksum with it."""
    position, records = 0, []
    while position + 16 <= len(data):
        (length,) = struct.unpack("<Q", data[position : position + 8])
        if position + 16 + length > len(data):
            break
        records.append((position, length))
        position += 16 + length
    if not records:
        return data
    start, length = choice(records, random)
    body, _ = damaged(data[start + 12 : start + 12 + length], BYTES, random)
    return data[:start] + frame(body) + data[start + 16 + length :]
