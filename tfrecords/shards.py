"""Folders of shards: `<side>-00000-of-00003.tfrecord` and the `manifest.json` that describes them.

The manifest is the contract between preparation and everything after it: scheme, box rule,
sizes, counts, a SHA-256 for every shard. A folder without a readable manifest is no record set.
"""

import json
import os
from pathlib import Path

from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.example import BadRecord, frame, read_frames
from senet_kp.tfrecords.files import sha256_of_file, sha256_of_lines
from senet_kp.tfrecords.schema import SCHEMA_VERSION, Record, decode

SIDES = ("train", "val", "test")
MANIFEST = "manifest.json"


def trained_sides(train_on_val: bool) -> tuple[str, ...]:
    """The sides of a record folder that a training learns from."""
    return ("train", "val") if train_on_val else ("train",)


class ShardWriter:
    """Writes the records of one side into shards of `records_per_shard`, in the order given."""

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
        """Give the shards their final names; return name, records, bytes and SHA-256 of each."""
        self._finish_shard()
        shards = []
        for index, records in enumerate(self.counts):
            name = shard_name(self.side, index, len(self.counts))
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
    """The name of the index-th of `count` shards of a side."""
    return f"{side}-{index:05d}-of-{count:05d}.tfrecord"


def read_manifest(folder) -> dict:
    """The manifest of a record folder; raises InputError with the way out."""
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make the records with 'make tfrecords'") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not readable ({error}); make the records again") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA_VERSION:
        raise InputError(
            f"{path}: not a manifest of schema {SCHEMA_VERSION}; make the records again"
        )
    return manifest


def shard_paths(folder, manifest: dict, side: str) -> list[Path]:
    """Paths of one side's shards; raises InputError for one that is missing or of another size."""
    if side not in manifest["sides"]:
        raise InputError(f"{folder}: no side {side!r}, only {', '.join(manifest['sides'])}")
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
    """Yield the Records of one side in the order they were written, at most `limit`.

    Raises InputError, naming the shard, for a damaged one.
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
    """One SHA-256 that names the whole record set: the hash of its shards' hashes."""
    return sha256_of_lines(
        f"{side} {shard['name']} {shard['sha256']}"
        for side in SIDES
        if side in manifest["sides"]
        for shard in manifest["sides"][side]["shards"]
    )


def _decoded(data: bytes, manifest: dict) -> Record:
    return decode(data, manifest["scheme"]["landmarks"])
