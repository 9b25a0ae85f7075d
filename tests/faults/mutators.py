"""Damage of files: changes of bytes, of the tokens of a text, and of the values of a JSON file.

A mutator takes the bytes of a file and a NumPy generator, and returns other bytes. `damaged`
applies one mutator, or a few in a row, and gives their names.
"""

import functools
import re
from collections.abc import Callable
from itertools import islice

import numpy as np

Mutator = Callable[[bytes, np.random.Generator], bytes]

LONGEST_BLOCK = 300  # bytes
WORDS = [
    *("nan", "inf", "-inf", "-1", "0", "1e30", "-1e30", "1e-30", "1e400", "9" * 400, "", " "),
    *("text", "1_0", "0x1F", "1,5", "1.5.5", "--5", "+", "\u0663", "\x00", "../../x", "a" * 5000),
    *("a\x00b", "\u200b", "#", "//", '"', "'", "NaN", "None", "true"),
]
_NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
_TOKEN = re.compile(r"[^\s,;'\"<>={}\[\]]+")


def damaged(data: bytes, mutators: list[Mutator], random) -> tuple[bytes, str]:
    """Apply one mutator, sometimes up to three, until the bytes differ; return bytes and names.

    The bytes stay equal if none of 20 attempts changes them.
    """
    for _ in range(20):
        changed, names = data, []
        for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
            mutator = mutators[random.integers(len(mutators))]
            changed = mutator(changed, random)
            names.append(mutator.__name__)
        if changed != data:
            break
    return changed, " + ".join(names)


def _span(data, random) -> tuple[int, int]:
    """Start and end of a random block of at least one byte, if there is any."""
    start = int(random.integers(len(data) or 1))
    return start, min(start + 1 + int(random.integers(LONGEST_BLOCK)), len(data))


def flipped_bits(data, random):
    changed = bytearray(data)
    for _ in range(int(random.choice([1, 1, 2, 8])) if data else 0):
        changed[random.integers(len(data))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def set_bytes(data, random):
    changed = bytearray(data)
    for _ in range(int(random.choice([1, 2, 4])) if data else 0):
        changed[random.integers(len(data))] = int(random.choice([0, 1, 0x7F, 0x80, 0xFF, 10, 34]))
    return bytes(changed)


def damaged_head(data, random):
    """Change bytes among the first 128, where the headers of most formats are."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 4)) if data else 0):
        place = int(random.integers(min(len(data), 128)))
        changed[place] = int(random.integers(256))
    return bytes(changed)


def truncated(data, random):
    ends = [0, 1, len(data) // 2, len(data) - 1, len(data) - 2, int(random.integers(len(data) + 1))]
    return data[: max(int(random.choice(ends)), 0)]


def headless(data, random):
    return data[int(random.choice([1, 2, 8, random.integers(len(data) + 1)])) :]


def inserted(data, random):
    place, _ = _span(data, random)
    return data[:place] + random.bytes(int(random.integers(1, 64))) + data[place:]


def doubled_block(data, random):
    start, end = _span(data, random)
    return data[:end] + data[start:end] + data[end:]


def dropped_block(data, random):
    start, end = _span(data, random)
    return data[:start] + data[end:]


def zeroed(data, random):
    start, end = _span(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def zeroed_end(data, random):
    """Zeros from some byte to the end, as after a crash of a machine."""
    start = int(random.integers(len(data) + 1))
    return data[:start] + bytes(len(data) - start)


def swapped_blocks(data, random):
    length = int(random.integers(1, LONGEST_BLOCK))
    if len(data) < 2 * length:
        return data
    first, second = sorted(random.integers(0, len(data) - length, 2).tolist())
    if second - first < length:
        return data
    a, b = data[first : first + length], data[second : second + length]
    between = data[first + length : second]
    return data[:first] + b + between + a + data[second + length :]


BYTES = [flipped_bits, set_bytes, damaged_head, truncated, headless, inserted, doubled_block]
BYTES += [dropped_block, zeroed, zeroed_end, swapped_blocks]


def _on_text(change) -> Mutator:
    """A mutator of bytes from one of text; bytes that are not ASCII stay as they are."""

    @functools.wraps(change)
    def mutator(data, random):
        text = change(data.decode("utf-8", "surrogateescape"), random)
        return text.encode("utf-8", "surrogateescape")

    return mutator


def choice(values, random):
    """One of the values."""
    return values[int(random.integers(len(values)))]


def _replaced(text: str, pattern, new: str, random) -> str:
    """Replace one match of the pattern; one of the first 2,000, for speed."""
    found = list(islice(pattern.finditer(text, int(random.integers(len(text) // 2 + 1))), 2000))
    if not found:
        return text
    match = choice(found, random)
    return text[: match.start()] + new + text[match.end() :]


@_on_text
def other_number(text, random):
    return _replaced(text, _NUMBER, choice(WORDS, random), random)


@_on_text
def other_token(text, random):
    return _replaced(text, _TOKEN, choice(WORDS, random), random)


@_on_text
def swapped_tokens(text, random):
    found = list(islice(_TOKEN.finditer(text), 4000))
    if len(found) < 2:
        return text
    first, second = sorted(random.choice(len(found), 2, replace=False).tolist())
    a, b = found[first], found[second]
    between = text[a.end() : b.start()]
    return text[: a.start()] + b[0] + between + a[0] + text[b.end() :]


@_on_text
def swapped_columns(text, random):
    mark = max(",; \t", key=text.count)
    rows = [line.split(mark) for line in text.splitlines()]
    width = max(map(len, rows), default=0)
    if width < 2:
        return text
    first, second = random.choice(width, 2, replace=False)
    for row in rows:
        if len(row) == width:
            row[first], row[second] = row[second], row[first]
    return "\n".join(map(mark.join, rows)) + "\n"


def _on_lines(change) -> Mutator:
    @functools.wraps(change)
    def on_text(text, random):
        lines = text.splitlines(keepends=True)
        return "".join(change(lines, int(random.integers(len(lines))), random)) if lines else text

    return _on_text(on_text)


@_on_lines
def deleted_line(lines, at, random):
    return lines[:at] + lines[at + 1 :]


@_on_lines
def doubled_line(lines, at, random):
    return lines[: at + 1] + lines[at:]


@_on_lines
def moved_line(lines, at, random):
    rest = lines[:at] + lines[at + 1 :]
    place = int(random.integers(len(lines)))
    return rest[:place] + [lines[at]] + rest[place:]


@_on_lines
def joined_lines(lines, at, random):
    return lines[:at] + [lines[at].rstrip("\n")] + lines[at + 1 :]


def byte_order_mark(data, random):
    mark = choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf" * 2], random)
    return mark + data


def carriage_returns(data, random):
    return data.replace(b"\n", choice([b"\r\n", b"\r", b"\n\n", b"\x0b", b"\x85"], random))


def utf_16(data, random):
    return data.decode("utf-8", "replace").encode("utf-16")


def not_utf_8(data, random):
    place, _ = _span(data, random)
    return (
        data[:place]
        + choice([b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xf8\x88"], random)
        + data[place:]
    )


def nul_byte(data, random):
    place, _ = _span(data, random)
    return data[:place] + b"\x00" + data[place:]


def quote(data, random):
    place, _ = _span(data, random)
    return data[:place] + choice([b'"', b"'", b"<", b"&", b"{", b"]", b"\\"], random) + data[place:]


def other_separator(data, random):
    old = max((b",", b" ", b"\t", b";"), key=data.count)
    count = int(choice([-1, 1, 5], random))
    return data.replace(old, choice([b",", b" ", b"\t", b";", b"", b"  ", old * 2], random), count)


TEXT = [other_number, other_number, other_token, other_token, swapped_tokens, swapped_columns]
TEXT += [deleted_line, doubled_line, moved_line, joined_lines, byte_order_mark, carriage_returns]
TEXT += [utf_16, not_utf_8, nul_byte, quote, other_separator, truncated, flipped_bits, set_bytes]
TEXT += [inserted, doubled_block, dropped_block, zeroed]
