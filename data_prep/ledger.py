"""The account of a preparation: shards, rejects, split, and what the manifest says about them."""

from pathlib import Path

import numpy as np

from data_prep.config import PrepareConfig
from data_prep.crop_record import Cropped, Reject
from data_prep.face_sample import FaceSource
from data_prep.split import side_of
from senet_kp.draw import contact_sheet, draw_landmarks
from senet_kp.pictures import decode_picture, write_picture
from senet_kp.shape_statistics import ShapeStatistics
from tfrecords.errors import CheckError, InputError
from tfrecords.files import write_csv
from tfrecords.fingerprints import COLUMNS, SPLIT
from tfrecords.schema import decode
from tfrecords.shards import SIDES, ShardWriter

REJECTS = "rejects.csv"
CONTACT_SHEET = "contact_sheet.png"
SHEET_PICTURES, SHEET_COLUMNS = 40, 8


class Ledger:
    """Takes the cropped faces in order: shards, rejects, counts, what the manifest needs."""

    def __init__(self, folder: Path, config: PrepareConfig):
        self.folder, self.config = folder, config
        self.writers = {s: ShardWriter(folder, s, config.records_per_shard) for s in SIDES}
        self.groups = {side: set() for side in SIDES}
        self.rejects: list[tuple[str, str, str]] = []  # picture, reason, message
        self.split: list[tuple[str, ...]] = []  # COLUMNS of split.csv
        self.content: dict[str, str] = {}  # picture's name: hash of the picture and its label
        self.train_sources: list[FaceSource] = []  # the first ones, which are random ones
        self._sheet: list[bytes] = []
        self.shape = ShapeStatistics()  # of the train side
        self._points: dict[tuple[str, bytes], str] = {}  # (photo, landmarks): the view's name

    def enter(self, source: FaceSource, result: Cropped | Reject):
        """Take one face, in the order of the records."""
        if isinstance(result, Reject):
            self.rejects.append((source.name, result.reason, result.message))
            return
        self._check_views(source, result)
        config = self.config
        side = side_of(source.group, config.seed, config.test_share, config.val_share)
        self.writers[side].write(result.data)
        self.groups[side].add(source.group)
        hashes = result.jpeg_hash, result.picture_hash
        self.split.append((source.name, source.group, side, *hashes))
        self.content[source.name] = result.content_hash
        if side == "train":
            self._enter_train(source, result)

    def _enter_train(self, source: FaceSource, cropped: Cropped):
        self.shape.add(cropped.relative, cropped.mask)
        if len(self._sheet) < SHEET_PICTURES:
            self._sheet.append(cropped.data)
        if len(self.train_sources) < self.config.detector_pictures:
            self.train_sources.append(source)

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
        for side in ("train", "test"):
            if not self.groups[side]:
                groups = sum(map(len, self.groups.values()))
                folders = ", ".join(map(str, self.config.data))
                raise CheckError(
                    f"{folders}: none of the {groups} groups of pictures falls on the"
                    f" {side} side; add pictures, or change --test-share or --seed"
                )

    def close(self) -> dict:
        """Finish shards, tables and contact sheet; return the sides for the manifest."""
        self._write_rejects(self.folder / REJECTS)
        write_csv(self.folder / SPLIT, COLUMNS, self.split)
        scheme = self.config.landmark_scheme
        pictures = [_drawn(decode(data, scheme.count), scheme, self.config) for data in self._sheet]
        write_picture(self.folder / CONTACT_SHEET, contact_sheet(pictures, SHEET_COLUMNS))
        sides = {}
        for side, writer in self.writers.items():
            shards = writer.close()
            records = sum(shard["records"] for shard in shards)
            sides[side] = {"records": records, "groups": len(self.groups[side]), "shards": shards}
        return sides

    def shared_groups(self) -> int:
        """How many groups stand on two sides: the proof that none does."""
        every = [group for groups in self.groups.values() for group in groups]
        return len(every) - len(set(every))

    def _write_rejects(self, path: Path):
        write_csv(path, ("picture", "reason", "message"), self.rejects)


def _drawn(record, scheme, config: PrepareConfig) -> np.ndarray:
    """A record's stored picture with its box's landmarks in it."""
    picture = decode_picture(record.jpeg, record.name)
    size, stored = config.box.size_px, picture.shape[0]
    points = record.landmarks * size + (stored - size) / 2 - 0.5
    return draw_landmarks(picture, points[record.mask > 0], scheme, lines=False)
