"""Cropping and shard writing as an Apache Beam pipeline.

    listings -> faces -> crop -> records  -> group by shard -> write shard and its account
                              -> rejects  -> group by side  -> keep; their ranks number the records

Which shard a record belongs to, and where in it, follows from its rank among its side's faces and
the ranks of the rejects before it: the numbers that one process writing them in order arrives at,
whatever the runner's order. Beam's own TFRecord sink frames records with the same bytes, but deals
them out to shards as it likes, in any order.

A runner may do any of it twice. Files are whole, and named by what they hold; a face that comes
twice stands twice in one group, and is taken once.
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

from senet_kp.data_prep.beam.files import Place
from senet_kp.data_prep.crop_record import CropRule, Reject, crop_record
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.ledger import SHEET_PICTURES
from senet_kp.data_prep.prepare import Plan
from senet_kp.data_prep.split import side_of_source
from senet_kp.tfrecords.errors import CheckError
from senet_kp.tfrecords.example import frame
from senet_kp.tfrecords.shards import SIDES, shard_name

LISTED = 256  # faces in a listing: what workers fetch, and a pipeline's graph need not hold
_AGAIN = "run the command again"


@dataclass(frozen=True)
class Face:
    """One picture's place in the preparation.

    position: among all faces in their order; rank: among those of its side
    """

    position: int
    side: str
    rank: int
    source: FaceSource


@dataclass(frozen=True)
class Sharding:
    """How each side's records fill shards. faces: how many a side has, rejects included."""

    per_shard: int
    faces: dict[str, int]

    def shards(self, side: str, rejects: int) -> int:
        """How many shards a side has."""
        return -(-(self.faces[side] - rejects) // self.per_shard)


def keep_listings(plan: Plan, place: Place) -> tuple[list[str], Sharding]:
    """Keep the faces for the workers; return the listings' names and how the sides are sharded."""
    ranks, faces = Counter(), []
    for position, source in enumerate(plan.ordered):
        side = side_of_source(source, plan.config)
        faces.append(Face(position, side, ranks[side], source))
        ranks[side] += 1
    names = []
    for start in range(0, len(faces), LISTED):
        names.append(f"faces-{start:09d}")
        place.keep(names[-1], faces[start : start + LISTED])
    return names, Sharding(plan.config.records_per_shard, {side: ranks[side] for side in SIDES})


def build(pipeline, listings: list[str], rule: CropRule, sharding: Sharding, place: Place):
    """Add everything between the listings and the written shards to a pipeline."""
    results = (
        pipeline
        | "listings" >> beam.Create(listings)
        | "faces" >> beam.FlatMap(listed, place)
        | "spread" >> beam.Reshuffle()
        | "crop" >> beam.ParDo(Crop(rule)).with_outputs("rejects", main="records")
    )
    rejects = results.rejects | "by side" >> beam.GroupByKey()
    _ = rejects | "keep rejects" >> beam.Map(keep_rejects, place)
    ranks = rejects | "ranks" >> beam.Map(ranks_of)
    _ = (
        results.records
        | "number" >> beam.FlatMap(numbered, sharding, AsDict(ranks))
        | "by shard" >> beam.GroupByKey()
        | "write" >> beam.Map(write_shard, place)
    )


def listed(name: str, place: Place):
    """The Faces of one listing."""
    yield from place.kept(name)


class Crop(beam.DoFn):
    """Faces to (side, rank, position, Cropped), and (side, (rank, position, Reject)) rejects."""

    def __init__(self, rule: CropRule):
        self.rule = rule

    def setup(self):
        """In every worker process."""
        cv2.setNumThreads(1)

    def process(self, face):
        """One face."""
        result = crop_record(face.source, self.rule)
        if isinstance(result, Reject):
            yield TaggedOutput("rejects", (face.side, (face.rank, face.position, result)))
        else:
            yield face.side, face.rank, face.position, result


def ranks_of(rejects):
    """A side and the ranks of its rejects, in order."""
    side, entries = rejects
    return side, sorted({rank for rank, _, _ in entries})


def keep_rejects(rejects, place: Place):
    """Keep a side's (position, Reject) pairs, in order, for the launcher."""
    side, entries = rejects
    found = {position: reject for _, position, reject in entries}
    place.keep(f"rejects-{side}", [(position, found[position]) for position in sorted(found)])


def numbered(record, sharding: Sharding, rejected: dict[str, list[int]]):
    """((side, shard, shards), (number within the side, position, Cropped)) of one record."""
    side, rank, position, cropped = record
    gaps = rejected.get(side, [])
    before = bisect_left(gaps, rank)
    # Where another attempt at this very picture could not read it, it stays rejected.
    if rank not in gaps[before : before + 1]:
        shard = (rank - before) // sharding.per_shard
        yield (side, shard, sharding.shards(side, len(gaps))), (rank - before, position, cropped)


def write_shard(group, place: Place):
    """Write one shard, and keep its account: (the manifest's entry, [(position, Cropped)]).

    The Cropped come without their records, but for those of the contact sheet.
    """
    (side, index, count), entries = group
    records = {number: (position, cropped) for number, position, cropped in entries}
    name, size, digest, account = shard_name(side, index, count), 0, sha256(), []
    with place.whole_file(name) as file:
        for number, (position, cropped) in sorted(records.items(), key=itemgetter(0)):
            data = frame(cropped.data)
            file.write(data)
            digest.update(data)
            size += len(data)
            drawn = number < SHEET_PICTURES
            account.append((position, cropped if drawn else replace(cropped, data=b"")))
    entry = {"name": name, "records": len(records), "bytes": size, "sha256": digest.hexdigest()}
    place.keep(f"shard-{side}-{index}", (entry, account))


class WrittenShards:
    """A side's shards as workers wrote them, read back by their accounts.

    To a ledger it is a writer, which has the records already.
    """

    def __init__(self, side: str, count: int, place: Place):
        self.side, self.count, self.place, self.entries = side, count, place, []

    def results(self):
        """Yield (position, Cropped) in order; raises CheckError for a shard nobody wrote."""
        for index in range(self.count):
            account = self.place.kept(f"shard-{self.side}-{index}")
            if account is None:
                raise CheckError(f"{self.side}: no worker wrote shard {index}; {_AGAIN}")
            self.entries.append(account[0])
            yield from account[1]

    def write(self, data: bytes):
        """Nothing: a worker has written it."""

    def close(self) -> list[dict]:
        """Name, records, bytes and SHA-256 of each shard."""
        return self.entries


def written(sharding: Sharding, place: Place) -> tuple[Iterator, dict[str, WrittenShards]]:
    """What the workers did: every face's result, in order, and the shards of each side."""
    rejects = {side: place.kept(f"rejects-{side}") or [] for side in SIDES}
    writers = {
        side: WrittenShards(side, sharding.shards(side, len(rejects[side])), place)
        for side in SIDES
    }
    accounts = [writer.results() for writer in writers.values()]
    found = merge(*accounts, *rejects.values(), key=itemgetter(0))
    return _in_order(found, sum(sharding.faces.values())), writers


def _in_order(found, count: int):
    """The results of [(position, result)]; raises CheckError unless each position comes once."""
    for expected, (position, result) in zip_longest(range(count), found, fillvalue=(None, None)):
        if position != expected:
            raise CheckError(
                f"two attempts at one picture had different results: did files change? {_AGAIN}"
            )
        yield result
