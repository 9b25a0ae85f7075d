"""Which pictures a record folder holds, told without the pictures: `split.csv`, a row a record.

Beside name, group and side stand the SHA-256 of the stored JPEG and a perceptual hash of the
stored picture: phash (Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010) of HASH_SIDE x HASH_SIDE bits, the low frequencies of the grey picture above
their median. With them two record folders can be searched for the same faces.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import read_csv
from senet_kp.tfrecords.shards import read_manifest

SPLIT = "split.csv"
COLUMNS = ("picture", "group", "side", "sha256", "phash")
HASH_SIDE = 16
# At most so many of the 256 bits differ between two crops of one picture. Measured on HELEN, AFW
# and P1 (4,670 faces): the same picture after JPEG of quality 90 to 20, at half or double size, in
# grey: at most 34; the box moved by 1 % of its side: at most 30, by 2 %: 43 or less for 99 %; AFW's
# own files against 300W-LP's copies: at most 16. Of 10.9 million pairs of different photos or
# persons two have 24 and 40, one HELEN photo under two names and two shots of one pose; the next
# have 60. With 64 bits the two kinds overlap: up to 12 against 6.
ALIKE_BITS = 44
KINDS = ("name", "file", "picture", "group")  # how two records meet, the first that holds
_BLOCK = 1024  # rows of the distance matrix at a time: 200 MB against 50,000 records


@dataclass(frozen=True)
class Fingerprints:
    """Of n records: names, groups, SHA-256 of the JPEGs [n], hashes [n, HASH_SIDE**2] of 0, 1."""

    names: list[str]
    groups: list[str]
    files: list[str]
    hashes: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Meeting:
    """One face that the other records hold too: by which of KINDS, and which record it met.

    bits: how many of the perceptual hashes' bits differ.
    """

    name: str
    other: str
    by: str
    bits: int


def hash_text(bits) -> str:
    """The bits of a hash, any shape of HASH_SIDE**2 booleans, as hexadecimal digits."""
    return np.packbits(np.asarray(bits, bool).ravel()).tobytes().hex()


def read_fingerprints(folder, sides) -> Fingerprints:
    """The fingerprints of some sides of a record folder.

    Raises InputError where its split.csv has none or is not that of its manifest.
    """
    manifest, path = read_manifest(folder), Path(folder) / SPLIT
    rows = [row for row in read_csv(path) if row.get("side") in sides]
    expected = sum(manifest["sides"].get(side, {"records": 0})["records"] for side in sides)
    if len(rows) != expected:
        raise InputError(f"{path}: names {len(rows)} records, not {expected}; make them again")
    try:
        packed = np.frombuffer(bytes.fromhex("".join(row["phash"] for row in rows)), np.uint8)
        hashes = np.unpackbits(packed).reshape(len(rows), HASH_SIDE**2)
        columns = [[row[column] for row in rows] for column in ("picture", "group", "sha256")]
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: holds no fingerprints of the pictures; make the records again"
        ) from None
    return Fingerprints(*columns, hashes)


def require_same_crops(scored, trained):
    """Raise InputError where two record folders crop faces differently: hashes would differ too."""
    first, second = (_crop_of(read_manifest(folder)) for folder in (scored, trained))
    if first != second:
        raise InputError(
            f"{scored} and {trained}: their pictures are cropped differently"
            f" ({first} and {second}) and cannot be compared; prepare both with the same --box"
            " and --context"
        )


def meetings(scored: Fingerprints, trained: Fingerprints) -> list[Meeting]:
    """Every scored face that the trained ones hold too, in the order of the scored ones."""
    if not len(scored) or not len(trained):
        return []
    nearest, bits = _nearest(scored.hashes, trained.hashes)
    names, files, groups = (
        {value: index for index, value in reversed(list(enumerate(values)))}
        for values in (trained.names, trained.files, trained.groups)
    )
    found = []
    for index, name in enumerate(scored.names):
        alike = int(nearest[index]) if bits[index] <= ALIKE_BITS else None
        met = (
            names.get(name),
            files.get(scored.files[index]),
            alike,
            groups.get(scored.groups[index]),
        )
        by = next((kind for kind, other in zip(KINDS, met, strict=True) if other is not None), None)
        if by:
            other = met[KINDS.index(by)]
            apart = int((scored.hashes[index] != trained.hashes[other]).sum())
            found.append(Meeting(name, trained.names[other], by, apart))
    return found


def _crop_of(manifest: dict) -> str:
    box = manifest["box"]
    context = manifest["stored_px"] / box["size_px"]
    shift = f"{box['shift_x']:g}, {box['shift_y']:g}"
    return f"box scale {box['scale']:g}, shift {shift}, context {context:.2f}"


def _nearest(first, second) -> tuple[np.ndarray, np.ndarray]:
    """For each of hashes [n, B] the nearest of [m, B]: its index [n] and how many bits differ [n].

    As a product of +1 and -1, which floats hold exactly and BLAS multiplies on every core.
    """
    a, b = (2 * hashes.astype(np.float32) - 1 for hashes in (first, second))
    indices, best = [], []
    for start in range(0, len(a), _BLOCK):
        agreed = a[start : start + _BLOCK] @ b.T
        indices.append(agreed.argmax(1))
        best.append(agreed.max(1))
    bits = (a.shape[1] - np.concatenate(best)) / 2
    return np.concatenate(indices), bits.astype(int)
