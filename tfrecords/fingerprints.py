"""Fingerprints of the pictures of a record folder, read from its `split.csv` (one row per record).

Each row holds name, group and side of the split, the SHA-256 of the stored picture's bytes, and a
perceptual hash of the picture: phash (Zauner, "Implementation and benchmarking of perceptual image
hash functions", 2010) of HASH_SIDE x HASH_SIDE bits, each of which says whether one low frequency
of the grey picture is above the median. With these, duplicates between two record folders can be
found without their pictures.

`pack` writes fingerprints without the names: an array of ROWs in NumPy's .npy format, 56 bytes for
each record.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import load_array, read_csv, sha256_of_file
from senet_kp.tfrecords.shards import SPLIT, read_manifest

COLUMNS = ("picture", "group", "side", "sha256", "phash")
HASH_SIDE = 16
# Two crops count as one picture if at most this many of the 256 bits differ. Measured on HELEN, AFW
# and P1 (4,670 faces). Same picture after JPEG of quality 90 to 20, at half or double size, or in
# grey: at most 34 bits; with the box moved by 1 % of its size: at most 30, by 2 %: 43 or less for
# 99 %; AFW's own files against 300W-LP's copies: at most 16. Of 10.9 million pairs of different
# photos or persons, two have 24 and 40 (one HELEN photo under two names, and two shots of one
# pose); the next ones have 60. Hashes of 64 bits do not separate: up to 12 against 6.
ALIKE_BITS = 44
KINDS = ("name", "file", "picture", "group")  # what two records share; the first match is reported
# A row of `pack`. Two of 60,000 records share a 64-bit key by chance once in 10 billion times.
ROW = np.dtype([("keys", "<u8", 3), ("hash", "u1", HASH_SIDE**2 // 8)])
_BLOCK = 1024  # rows of the distance matrix at a time: 200 MB against 50,000 records


@dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of n records.

    names:  [n], empty where only the key is known
    keys:   [n, 3] uint64, `key_of` the name, the SHA-256 of the stored picture, and the group
    hashes: [n, HASH_SIDE**2] perceptual hashes, 0 or 1
    """

    names: list[str]
    keys: np.ndarray
    hashes: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Meeting:
    """One record that matches a record of another folder.

    name, other: the names of the two records; other is empty if it is not known
    by:          what they share, one of KINDS
    bits:        number of bits in which their perceptual hashes differ
    """

    name: str
    other: str
    by: str
    bits: int


def hash_text(bits) -> str:
    """Return a hash, HASH_SIDE**2 booleans in any shape, as hexadecimal digits."""
    return np.packbits(np.asarray(bits, bool).ravel()).tobytes().hex()


def hash_bits(texts) -> np.ndarray:
    """Return the hashes of n texts as bits [n, HASH_SIDE**2]; ValueError for another text."""
    packed = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8)
    return np.unpackbits(packed).reshape(len(texts), HASH_SIDE**2)


def key_of(text: str) -> int:
    """Return the first 64 bits of the SHA-256 of a name."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def fingerprints_of(names, groups, files, hashes) -> Fingerprints:
    """Return the fingerprints of n records.

    names, groups: [n]; files: [n] SHA-256 of the stored JPEGs; hashes: [n, HASH_SIDE**2], 0 or 1.
    """
    keys = [[key_of(text) for text in row] for row in zip(names, files, groups, strict=True)]
    return Fingerprints(list(names), np.array(keys, np.uint64).reshape(-1, 3), hashes)


def pack(fingerprints: Fingerprints) -> bytes:
    """Return keys and hashes as the bytes of a .npy file; equal fingerprints give equal bytes."""
    rows = np.zeros(len(fingerprints), ROW)
    rows["keys"] = fingerprints.keys
    rows["hash"] = np.packbits(np.asarray(fingerprints.hashes, bool), axis=1)
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getvalue()


def unpack(data: bytes) -> Fingerprints:
    """Return the fingerprints of `pack`, without names; raises ValueError for other bytes."""
    rows = load_array(io.BytesIO(data))
    if rows.dtype != ROW or rows.ndim != 1:
        raise ValueError(f"rows of {rows.dtype}")
    return Fingerprints([""] * len(rows), rows["keys"], np.unpackbits(rows["hash"], axis=1))


def read_fingerprints(folder, sides) -> Fingerprints:
    """Read the fingerprints of the given sides of a record folder.

    Raises InputError if split.csv was altered, or holds no fingerprints, or not as many records as
    the manifest.
    """
    manifest, path = read_manifest(folder), Path(folder) / SPLIT
    rows = [row for row in read_csv(path) if row.get("side") in sides]
    expected = sum(manifest["sides"].get(side, {"records": 0})["records"] for side in sides)
    if len(rows) != expected:
        raise InputError(
            f"{path}: names {len(rows)} records, not {expected} as the manifest does;"
            " make the records again"
        )
    try:
        hashes = hash_bits([row["phash"] for row in rows])
        columns = [[row[column] for row in rows] for column in ("picture", "group", "sha256")]
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: holds no fingerprints of the pictures; make the records again"
        ) from None
    digest = manifest.get("split_sha256")
    if digest and not (path.is_file() and sha256_of_file(path) == digest):
        raise InputError(
            f"{path}: missing, or altered since the records were made; make the records again"
        )
    return fingerprints_of(*columns, hashes)


def require_same_crops(scored, trained):
    """Raise InputError if two record folders crop faces differently, since hashes then differ."""
    first, second = (crop_of(read_manifest(folder)) for folder in (scored, trained))
    if first != second:
        raise InputError(
            f"{scored} and {trained} crop faces differently ({first} and {second}), so their"
            " pictures cannot be compared; prepare both with the same --box and --context"
        )


def crop_of(manifest: dict) -> str:
    """Return how records crop faces; perceptual hashes are comparable where this is the same."""
    box = manifest["box"]
    context = manifest["stored_px"] / box["size_px"]
    shift = f"{box['shift_x']:g}, {box['shift_y']:g}"
    source = "" if box["source"] == "landmarks" else f" of the {box['source']}"
    return f"box{source} scale {box['scale']:g}, shift {shift}, context {context:.2f}"


def meetings(scored: Fingerprints, trained: Fingerprints, by_picture: bool = True) -> list[Meeting]:
    """Return a Meeting for every scored record that matches a trained one, in scored order.

    by_picture: whether to compare perceptual hashes, which requires the same crops.
    """
    if not len(scored) or not len(trained):
        return []
    by_name, by_file, by_group = (_found(scored, trained, column) for column in range(3))
    alike = [None] * len(scored)
    if by_picture:
        nearest, bits = _nearest(scored.hashes, trained.hashes)
        alike = [int(i) if b <= ALIKE_BITS else None for i, b in zip(nearest, bits, strict=True)]
    found = []
    for index, met in enumerate(zip(by_name, by_file, alike, by_group, strict=True)):
        by = next((kind for kind, other in zip(KINDS, met, strict=True) if other is not None), None)
        if by:
            name, other = scored.names[index], met[KINDS.index(by)]
            apart = int((scored.hashes[index] != trained.hashes[other]).sum())
            found.append(Meeting(name, name if by == "name" else trained.names[other], by, apart))
    return found


def _found(scored: Fingerprints, trained: Fingerprints, column: int) -> list[int | None]:
    """Return, for each scored record, the first trained one with the same key, or None."""
    first = {key: index for index, key in reversed(list(enumerate(trained.keys[:, column])))}
    return [first.get(key) for key in scored.keys[:, column]]


def _nearest(first, second) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each hash of `first` [n, B], the nearest of `second` [m, B].

    Returns its index [n] and the number of differing bits [n]. Agreement is a matrix product of
    +1 and -1, which is exact in float32 and which BLAS computes on all cores.
    """
    a, b = (2 * hashes.astype(np.float32) - 1 for hashes in (first, second))
    indices, best = [], []
    for start in range(0, len(a), _BLOCK):
        agreed = a[start : start + _BLOCK] @ b.T
        indices.append(agreed.argmax(1))
        best.append(agreed.max(1))
    bits = (a.shape[1] - np.concatenate(best)) / 2
    return np.concatenate(indices), bits.astype(int)
