"""Record folders: shards named `<side>-00000-of-00003.tfrecord`, described by `manifest.json`.

A side may also be one file, `<side>.tfrecords`.
A side is one part of the train/val/test split. The manifest tells all later stages the landmark
scheme, the box rule, sizes, counts and the SHA-256 of every shard. A folder without a readable
manifest is not a record folder.
"""

import os
import re
from pathlib import Path
from typing import get_args

from senet_kp.tfrecords.errors import InputError, brief
from senet_kp.tfrecords.example import BadRecord, frame, read_frames
from senet_kp.tfrecords.files import json_of, read_json, sha256_of_file, sha256_of_lines
from senet_kp.tfrecords.forms import (
    BOX,
    COUNT,
    DETECTOR_BOX,
    FILE_NAME,
    NUMBER,
    OBJECT,
    POINTS,
    SCHEME,
    SIDE_PX,
    TEXT,
    fault_in,
    fields,
    listed,
    maybe,
    one_of,
)
from senet_kp.tfrecords.schema import SCHEMA_VERSION, Encoding, Record, decode
from senet_kp.tfrecords.sides import SIDES

MANIFEST = "manifest.json"
# Tables and pictures that preparation writes beside the shards.
SPLIT, REJECTS, CONTACT_SHEET = "split.csv", "rejects.csv", "contact_sheet.png"
# Outputs of a trunk that training keeps in features/, also those of a training that was killed.
_FEATURES = re.compile(r"\.?\w+-(train|val|test)-[0-9a-f]{16}\.npy(\.\d+\.tmp)?$")


_SHARD = fields({"name": FILE_NAME, "records": COUNT, "bytes": COUNT, "sha256": TEXT})
_SIDE = fields(
    {"records": COUNT, "complete": COUNT, "groups": COUNT, "shards": listed(_SHARD)}, closed=True
)
_SOURCE = fields({"folder": TEXT, "labels": TEXT}, {"terms": maybe(TEXT)})
_FIELDS = fields(
    {
        "scheme": SCHEME,
        "box": BOX,
        "stored_px": SIDE_PX,
        "sides": fields({}, dict.fromkeys(SIDES, _SIDE), closed=True),
        "records_sha256": TEXT,
        "mean_shape": POINTS,
        "detector_box": maybe(DETECTOR_BOX),
        "sources": listed(_SOURCE),
        "colour": TEXT,
        "value_range": listed(NUMBER, 2),
    },
    {
        "encoding": one_of(*get_args(Encoding)),
        "shape_spread": POINTS,
        "settings": OBJECT,
        "listing": TEXT,
        "split_sha256": TEXT,
        "rejects": COUNT,
        "groups_on_two_sides": COUNT,
        "fold": OBJECT,
    },
)


class ShardWriter:
    """Writes the records of one side, in order, into shards of `records_per_shard` records.

    With 0 records per shard, all of them go into one file.
    """

    def __init__(self, folder: Path, side: str, records_per_shard: int):
        self.folder, self.side, self.records_per_shard = folder, side, records_per_shard
        self.counts: list[int] = []
        self._file = None

    def write(self, data: bytes):
        """Append one encoded record."""
        if self._file is None or self.counts[-1] == self.records_per_shard:
            self._finish_shard()
            self._file = open(self._path(len(self.counts)), "wb")  # noqa: SIM115, closed below
            self.counts.append(0)
        self._file.write(frame(data))
        self.counts[-1] += 1

    def close(self) -> list[dict]:
        """Rename the shards to their final names.

        Returns the manifest's entry of each: {"name", "records", "bytes", "sha256"}.
        """
        self._finish_shard()
        shards = []
        for index, records in enumerate(self.counts):
            count = len(self.counts) if self.records_per_shard else 0
            name = shard_name(self.side, index, count)
            path = self.folder / name
            os.replace(self._path(index), path)
            size, digest = path.stat().st_size, sha256_of_file(path)
            shards.append({"name": name, "records": records, "bytes": size, "sha256": digest})
        return shards

    def _path(self, index: int) -> Path:
        return self.folder / f"{self.side}-{index:05d}.part"

    def _finish_shard(self):
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def shard_name(side: str, index: int, count: int) -> str:
    """Return the file name of shard `index` (from 0) of the `count` shards of a side.

    A count of 0 stands for a side that is one file.
    """
    return f"{side}.tfrecords" if not count else f"{side}-{index:05d}-of-{count:05d}.tfrecord"


def files_written(folder: Path) -> set[str] | None:
    """Return the paths that can be in the record folder `folder`; None if it is none.

    It is one if its manifest, of any schema version, describes shards and the settings of faces.
    """
    manifest = json_of(folder / MANIFEST)
    if not {"schema", "scheme", "box", "records_sha256"} <= manifest.keys():
        return None
    try:
        sides = manifest["sides"].values()
        shards = {shard["name"] for side in sides for shard in side["shards"]}
    except (AttributeError, KeyError, TypeError):
        return None
    features = {f"features/{p.name}" for p in folder.glob("features/*") if _FEATURES.match(p.name)}
    return {MANIFEST, SPLIT, REJECTS, CONTACT_SHEET, *shards, *features}


def encoding_of(manifest: dict) -> Encoding:
    """Return how the stored pictures are encoded; older manifests do not state it."""
    return manifest.get("encoding", "jpeg")


def read_manifest(folder) -> dict:
    """Read the manifest of a record folder.

    Raises InputError if there is none, or if it is unreadable or of another schema version.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; 'senet-kp prepare' or 'make tfrecords' makes the records"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not readable ({brief(error)}); make the records again") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA_VERSION:
        raise InputError(
            f"{path}: not a manifest of schema version {SCHEMA_VERSION}; make the records again"
        )
    if fault := fault_in(manifest, _manifest):
        raise InputError(f"{path}: a damaged manifest ({fault}); make the records again")
    return manifest


def _manifest(value) -> str | None:
    """The form of a manifest, with the sizes that depend on each other."""
    if fault := _FIELDS(value):
        return fault
    if value["stored_px"] < value["box"]["size_px"]:
        return ".stored_px is smaller than .box.size_px"
    for key in ("mean_shape", "shape_spread"):
        if len(value.get(key, value["mean_shape"])) != value["scheme"]["landmarks"]:
            return f".{key} does not have .scheme.landmarks points"
    return None


def shard_paths(folder, manifest: dict, side: str) -> list[Path]:
    """Return the paths of the shards of one side.

    Raises InputError if the side does not exist, or a shard is missing or has another size than
    the manifest states.
    """
    if side not in manifest["sides"]:
        raise InputError(
            f"{folder}: there is no side {side!r}, only {', '.join(manifest['sides'])}"
        )
    paths = []
    for shard in manifest["sides"][side]["shards"]:
        path = Path(folder) / shard["name"]
        size = path.stat().st_size if path.exists() else None
        if size != shard["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes, not {shard['bytes']}"
            raise InputError(f"{path}: the shard {found}; make the records again")
        paths.append(path)
    return paths


def read_records(folder, manifest: dict, side: str, limit: int | None = None):
    """Yield at most `limit` Records of one side, in the order in which they were written.

    Raises InputError, naming the shard, if a shard is damaged.
    """
    left = float("inf") if limit is None else limit
    for path in shard_paths(folder, manifest, side):
        try:
            for data in read_frames(path):
                if left <= 0:
                    return
                left -= 1
                yield _decoded(data, manifest)
        except BadRecord as error:
            raise InputError(f"{path}: {error}; make the records again") from None


def records_hash(manifest: dict) -> str:
    """Return one SHA-256 that identifies all records: the hash of the hashes of the shards."""
    return sha256_of_lines(
        f"{side} {shard['name']} {shard['sha256']}"
        for side in SIDES
        if side in manifest["sides"]
        for shard in manifest["sides"][side]["shards"]
    )


def _decoded(data: bytes, manifest: dict) -> Record:
    return decode(data, manifest["scheme"]["landmarks"])
