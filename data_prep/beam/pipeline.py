"""Cropping and shard writing as an Apache Beam pipeline.

    listings -> faces -> crop -> records  -> group by shard -> write shard and its account
                              -> rejects  -> group by side  -> store; their ranks number the records

The shard of a record, and its position in the shard, follow from the rank of its face within the
side and from the number of rejected faces with smaller ranks. One process that writes the records
in order gets the same numbers, so the result does not depend on the order in which a runner works.
Beam's own TFRecord sink writes the same framing, but distributes records to shards in any order.

A runner may execute every step more than once. Files are therefore written atomically under names
that depend on their contents only, and a face that occurs twice in a group is written once.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from heapq import merge
from itertools import zip_longest
from operator import itemgetter

import apache_beam as beam
import cv2
from apache_beam.pvalue import AsDict, TaggedOutput

from senet_kp.data_prep.beam.files import Output
from senet_kp.data_prep.crop_record import Reject, crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.ledger import SHEET_PICTURES
from senet_kp.data_prep.prepare import Plan
from senet_kp.tfrecords.errors import CheckError
from senet_kp.tfrecords.example import frame
from senet_kp.tfrecords.shards import shard_name
from senet_kp.tfrecords.sides import SIDES

LISTED = 256  # faces per listing file; only the names of the listings are in the pipeline's graph
_AGAIN = "run the command again"


@dataclass(frozen=True)
class Face:
    """One face to crop.

    position: index among all faces, in their order
    side:     side of the split
    rank:     index among the faces of its side
    """

    position: int
    side: str
    rank: int
    source: FaceSource


@dataclass(frozen=True)
class Sharding:
    """How the records of each side fill shards.

    per_shard: records per shard
    faces:     {side: number of faces, including those that are rejected later}
    """

    per_shard: int
    faces: dict[str, int]

    def shards(self, side: str, rejects: int) -> int:
        """Return the number of shards of a side with so many rejects."""
        return -(-(self.faces[side] - rejects) // self.per_shard)


def keep_listings(plan: Plan, output: Output) -> tuple[list[str], Sharding]:
    """Store listings of the faces for the workers; return their names and the Sharding."""
    ranks, faces = Counter(), []
    for position, source in enumerate(plan.ordered):
        side = plan.sides[source.group]
        faces.append(Face(position, side, ranks[side], source))
        ranks[side] += 1
    names = []
    for start in range(0, len(faces), LISTED):
        names.append(f"faces-{start:09d}")
        output.keep(names[-1], faces[start : start + LISTED])
    return names, Sharding(plan.config.records_per_shard, {side: ranks[side] for side in SIDES})


def build(pipeline, listings: list[str], rule: CropRule, sharding: Sharding, output: Output):
    """Add all steps, from the names of the listings to the written shards, to a pipeline."""
    results = (
        pipeline
        | "listings" >> beam.Create(listings)
        | "faces" >> beam.FlatMap(listed, output)
        | "spread" >> beam.Reshuffle()
        | "crop" >> beam.ParDo(Crop(rule)).with_outputs("rejects", main="records")
    )
    rejects = results.rejects | "by side" >> beam.GroupByKey()
    _ = rejects | "keep rejects" >> beam.Map(keep_rejects, output)
    ranks = rejects | "ranks" >> beam.Map(ranks_of)
    _ = (
        results.records
        | "number" >> beam.FlatMap(numbered, sharding, AsDict(ranks))
        | "by shard" >> beam.GroupByKey()
        | "write" >> beam.Map(write_shard, output)
    )


def listed(name: str, output: Output):
    """Yield the Faces of one listing."""
    yield from output.kept(name)


class Crop(beam.DoFn):
    """Crop Faces to (side, rank, position, Cropped), or reject them.

    The output "rejects" gets (side, (rank, position, Reject)).
    """

    def __init__(self, rule: CropRule):
        self.rule = rule

    def setup(self):
        """Use one OpenCV thread per worker process; Beam calls this once in each."""
        cv2.setNumThreads(1)

    def process(self, face):
        """Crop one face."""
        result = crop_record(face.source, self.rule)
        if isinstance(result, Reject):
            yield TaggedOutput("rejects", (face.side, (face.rank, face.position, result)))
        else:
            yield face.side, face.rank, face.position, result


def ranks_of(rejects):
    """Return a side and the sorted ranks of its rejects."""
    side, entries = rejects
    return side, sorted({rank for rank, _, _ in entries})


def keep_rejects(rejects, output: Output):
    """Store the (position, Reject) pairs of a side, in order, for the launcher."""
    side, entries = rejects
    found = {position: reject for _, position, reject in entries}
    output.keep(f"rejects-{side}", [(position, found[position]) for position in sorted(found)])


def numbered(record, sharding: Sharding, rejected: dict[str, list[int]]):
    """Yield ((side, shard, shards), (number within the side, position, Cropped)) of a record."""
    side, rank, position, cropped = record
    gaps = rejected.get(side, [])
    before = bisect_left(gaps, rank)
    # If another attempt rejected the same picture, it stays rejected.
    if rank not in gaps[before : before + 1]:
        shard = (rank - before) // sharding.per_shard
        yield (side, shard, sharding.shards(side, len(gaps))), (rank - before, position, cropped)


def write_shard(group, output: Output):
    """Write one shard and store its account: (entry of the manifest, [(position, Cropped)]).

    The account leaves out the bytes of the records, except those that the contact sheet shows.
    """
    (side, index, count), entries = group
    records = {number: (position, cropped) for number, position, cropped in entries}
    name, size, digest, account = shard_name(side, index, count), 0, sha256(), []
    with output.whole_file(name) as file:
        for number, (position, cropped) in sorted(records.items(), key=itemgetter(0)):
            data = frame(cropped.data)
            file.write(data)
            digest.update(data)
            size += len(data)
            drawn = number < SHEET_PICTURES
            account.append((position, cropped if drawn else replace(cropped, data=b"")))
    entry = {"name": name, "records": len(records), "bytes": size, "sha256": digest.hexdigest()}
    output.keep(f"shard-{side}-{index}", (entry, account))


class WrittenShards:
    """The shards of one side that workers have written, read back from their accounts.

    It has the interface of `ShardWriter`, so that a Ledger can use it, but writes nothing.
    """

    def __init__(self, side: str, count: int, output: Output):
        self.side, self.count, self.output, self.entries = side, count, output, []

    def results(self):
        """Yield (position, Cropped) in order; raises CheckError if a shard was not written."""
        for index in range(self.count):
            account = self.output.kept(f"shard-{self.side}-{index}")
            if account is None:
                raise CheckError(f"{self.side}: no worker has written shard {index}; {_AGAIN}")
            self.entries.append(account[0])
            yield from account[1]

    def write(self, data: bytes):
        """Do nothing, since a worker has written the record."""

    def close(self) -> list[dict]:
        """Return the manifest's entry of each shard: {"name", "records", "bytes", "sha256"}."""
        return self.entries


def written(sharding: Sharding, output: Output) -> tuple[Iterator, dict[str, WrittenShards]]:
    """Return the result of every face, in order, and the written shards of each side."""
    rejects = {side: output.kept(f"rejects-{side}") or [] for side in SIDES}
    writers = {
        side: WrittenShards(side, sharding.shards(side, len(rejects[side])), output)
        for side in SIDES
    }
    accounts = [writer.results() for writer in writers.values()]
    found = merge(*accounts, *rejects.values(), key=itemgetter(0))
    return _in_order(found, sum(sharding.faces.values())), writers


def _in_order(found, count: int):
    """Yield the results of (position, result) pairs.

    Raises CheckError unless every position below `count` occurs exactly once and in order.
    """
    for expected, (position, result) in zip_longest(range(count), found, fillvalue=(None, None)):
        if position != expected:
            raise CheckError(
                "two attempts at one picture had different results; leave the data unchanged during"
                f" the run, and {_AGAIN}"
            )
        yield result
