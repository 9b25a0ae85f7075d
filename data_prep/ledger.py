"""The account of a preparation: shards, rejects, split, and what the manifest says about them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import Cropped, Reject
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.split import side_of_source
from senet_kp.face.draw import contact_sheet, draw_landmarks
from senet_kp.face.pictures import decode_picture, write_picture
from senet_kp.face.shape_statistics import ShapeStatistics
from senet_kp.tfrecords.errors import CheckError, InputError
from senet_kp.tfrecords.files import write_csv
from senet_kp.tfrecords.fingerprints import COLUMNS, SPLIT
from senet_kp.tfrecords.schema import decode
from senet_kp.tfrecords.shards import SIDES

REJECTS = "rejects.csv"
CONTACT_SHEET = "contact_sheet.png"
SHEET_PICTURES, SHEET_COLUMNS = 40, 8


@dataclass
class SideAccount:
    """What is known of one side's records so far.

    complete:            records whose landmarks are all known
    sources, sheet:      the first faces, which are random ones: where they are, and their records
    shape:               mean and spread of the known box-relative landmarks
    """

    complete: int = 0
    groups: set[str] = field(default_factory=set)
    sources: list[FaceSource] = field(default_factory=list)
    sheet: list[bytes] = field(default_factory=list)
    shape: ShapeStatistics = field(default_factory=ShapeStatistics)

    def enter(self, source: FaceSource, cropped: Cropped, detector_pictures: int):
        """Take one of the side's faces."""
        self.groups.add(source.group)
        self.complete += bool(cropped.mask.all())
        self.shape.add(cropped.relative, cropped.mask)
        if len(self.sheet) < SHEET_PICTURES:
            self.sheet.append(cropped.data)
        if len(self.sources) < detector_pictures:
            self.sources.append(source)


class Ledger:
    """Takes the cropped faces in order: shards, rejects, counts, what the manifest needs.

    `writers` take each side's records, as `tfrecords.shards.ShardWriter` does.

    Contact sheet and mean shape are the train side's; a set to evaluate on has none, and they are
    the test side's. The detector's boxes are measured on the train side alone.
    """

    def __init__(self, folder: Path, config: PrepareConfig, writers: dict):
        self.folder, self.config, self.writers = folder, config, writers
        self.rejects: list[tuple[str, str, str]] = []  # picture, reason, message
        self.split: list[tuple[str, ...]] = []  # COLUMNS of split.csv
        self.content: dict[str, str] = {}  # picture's name: hash of the picture and its label
        self.sides = {side: SideAccount() for side in SIDES}
        self._points: dict[tuple[str, bytes], str] = {}  # (photo, landmarks): the view's name

    def enter(self, source: FaceSource, result: Cropped | Reject):
        """Take one face, in the order of the records."""
        if isinstance(result, Reject):
            self.rejects.append((source.name, result.reason, result.message))
            return
        self._check_views(source, result)
        side = side_of_source(source, self.config)
        self.writers[side].write(result.data)
        self.sides[side].enter(source, result, self.config.detector_pictures)
        hashes = result.jpeg_hash, result.picture_hash
        self.split.append((source.name, source.group, side, *hashes))
        self.content[source.name] = result.content_hash

    @property
    def shown(self) -> SideAccount:
        """The side that contact sheet and mean shape are of."""
        return self.sides["train" if self.sides["train"].groups else "test"]

    def _check_views(self, source: FaceSource, cropped: Cropped):
        """Two views of one photo show a turned head: their landmarks cannot be the same."""
        twin = self._points.setdefault((source.photo, cropped.points_hash), source.name)
        if twin != source.name:
            raise InputError(
                f"{source.name} and {twin} are two views of one photo with identical landmarks:"
                " these are the points of the unturned photo, and a network would learn the mean"
                " face from them; use the files under landmarks/ of the official archive"
            )

    def check(self, pictures: int):
        """Raise CheckError where too much was rejected or a side stays empty."""
        if len(self.rejects) > self.config.max_rejects * pictures:
            path = self.config.out.with_name(f"{self.config.out.name}-{REJECTS}")
            self._write_rejects(path)
            raise CheckError(
                f"{len(self.rejects)} of {pictures} pictures cannot be used (--max-rejects allows"
                f" {self.config.max_rejects:.0%}), the first: {self.rejects[0][2]};"
                f" all are in {path}"
            )
        to_evaluate = self.config.test_share == 1 or self.config.split == "official"
        for side in ("test",) if to_evaluate else ("train", "test"):
            if not self.sides[side].groups:
                groups = sum(len(account.groups) for account in self.sides.values())
                folders = ", ".join(map(str, self.config.data))
                raise CheckError(
                    f"{folders}: none of the {groups} groups of pictures falls on the"
                    f" {side} side; add pictures, or change --split, --test-share or --seed"
                )

    def close(self) -> dict:
        """Finish shards, tables and contact sheet; return the sides for the manifest."""
        self._write_rejects(self.folder / REJECTS)
        write_csv(self.folder / SPLIT, COLUMNS, self.split)
        scheme = self.config.landmark_scheme
        records = (decode(data, scheme.count) for data in self.shown.sheet)
        pictures = [_drawn(record, scheme, self.config) for record in records]
        write_picture(self.folder / CONTACT_SHEET, contact_sheet(pictures, SHEET_COLUMNS))
        return {side: self._closed(side) for side in SIDES}

    def _closed(self, side: str) -> dict:
        account, shards = self.sides[side], self.writers[side].close()
        return {
            "records": sum(shard["records"] for shard in shards),
            "complete": account.complete,
            "groups": len(account.groups),
            "shards": shards,
        }

    def shared_groups(self) -> int:
        """How many groups stand on two sides: the proof that none does."""
        every = [group for account in self.sides.values() for group in account.groups]
        return len(every) - len(set(every))

    def _write_rejects(self, path: Path):
        write_csv(path, ("picture", "reason", "message"), self.rejects)


def _drawn(record, scheme, config: PrepareConfig) -> np.ndarray:
    """A record's stored picture with its box's landmarks in it."""
    picture = decode_picture(record.jpeg, record.name)
    size, stored = config.box.size_px, picture.shape[0]
    points = record.landmarks * size + (stored - size) / 2 - 0.5
    return draw_landmarks(picture, points[record.mask > 0], scheme, lines=False)
