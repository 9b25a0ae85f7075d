"""The results of a preparation: shards, rejects.csv, split.csv, contact sheet and statistics."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import Cropped, Reject
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.kept_out import REASON as KEPT_OUT
from senet_kp.data_prep.read_face import pixels_of
from senet_kp.data_prep.rejects import Rejects, too_many, write_rejects
from senet_kp.face.draw import contact_sheet, draw_landmarks
from senet_kp.face.orientation import UPRIGHT
from senet_kp.face.pictures import stored_picture, write_picture
from senet_kp.face.shape_statistics import ShapeStatistics
from senet_kp.tfrecords.errors import CheckError, InputError
from senet_kp.tfrecords.files import write_csv
from senet_kp.tfrecords.fingerprints import COLUMNS
from senet_kp.tfrecords.schema import decode
from senet_kp.tfrecords.shards import CONTACT_SHEET, REJECTS, SPLIT
from senet_kp.tfrecords.sides import SIDES

SHEET_PICTURES, SHEET_COLUMNS = 40, 8
TURNED_MEASURED = 20  # turned faces on which the detector checks how their labels are read


@dataclass
class SideAccount:
    """Statistics of the records of one side of the split so far.

    complete: number of records whose landmarks are all known
    groups:   the groups of its faces
    sources:  the first faces, on which the detector is measured; the order of faces is random
    sheet:    the first records, for the contact sheet
    shape:    mean and spread of the known landmarks, relative to the face box
    """

    complete: int = 0
    groups: set[str] = field(default_factory=set)
    sources: list[FaceSource] = field(default_factory=list)
    sheet: list[bytes] = field(default_factory=list)
    shape: ShapeStatistics = field(default_factory=ShapeStatistics)

    def enter(self, source: FaceSource, cropped: Cropped, detector_pictures: int):
        """Add one face."""
        self.groups.add(source.group)
        self.complete += bool(cropped.mask.all())
        self.shape.add(cropped.relative, cropped.mask)
        if len(self.sheet) < SHEET_PICTURES:
            self.sheet.append(cropped.data)
        if len(self.sources) < detector_pictures:
            self.sources.append(source)


class Ledger:
    """Receives the cropped faces in order, writes their records, and collects the statistics.

    `writers` is {side: writer of its records}, with the methods of `tfrecords.shards.ShardWriter`,
    and `side_of` {group: its side}.

    Contact sheet and mean shape are those of the train side, or of the test side if the train side
    is empty, as in a set for evaluation. The detector is measured only on the train side.
    """

    def __init__(self, folder: Path, config: PrepareConfig, writers: dict, side_of: dict):
        self.folder, self.config, self.writers = folder, config, writers
        self.side_of = side_of
        self.rejects: Rejects = []
        self.split: list[tuple[str, ...]] = []  # COLUMNS of split.csv
        self.content: dict[str, str] = {}  # {name of a face: hash of its picture and label}
        self.sides = {side: SideAccount() for side in SIDES}
        self.turned: dict[str, set[Path]] = {}  # pictures with an orientation, by format
        self.turned_sources: list[FaceSource] = []  # the first of their usable faces
        self._points: dict[tuple[str, bytes], str] = {}  # {(photo, hash of landmarks): name}

    def enter(self, source: FaceSource, result: Cropped | Reject):
        """Add the result for one face, in the order of the records."""
        if result.orientation != UPRIGHT:
            self._enter_turned(source, result)
        if isinstance(result, Reject):
            self.rejects.append((source.name, result.reason, result.message))
            return
        self._check_views(source, result)
        side = self.side_of[source.group]
        self.writers[side].write(result.data)
        self.sides[side].enter(source, result, self.config.detector_pictures)
        hashes = result.bytes_hash, result.picture_hash
        self.split.append((source.name, source.group, side, *hashes))
        self.content[source.name] = result.content_hash

    def _enter_turned(self, source: FaceSource, result: Cropped | Reject):
        self.turned.setdefault(source.format, set()).add(source.picture)
        room = min(TURNED_MEASURED, self.config.detector_pictures) - len(self.turned_sources)
        if isinstance(result, Cropped) and room > 0:
            self.turned_sources.append(source)

    def turned_lines(self) -> list[str]:
        """Return a line for each format of which pictures have an orientation other than 1."""
        return [
            f"{len(pictures):,} pictures have an EXIF orientation other than 1 (or AVIF's turn);"
            f" their labels ({name}) are read in"
            f" {pixels_of(name, self.config.label_pixels)} pixels, which --label-pixels changes"
            for name, pictures in sorted(self.turned.items())
        ]

    @property
    def shown(self) -> SideAccount:
        """The side whose contact sheet and mean shape are written."""
        return self.sides["train" if self.sides["train"].groups else "test"]

    def _check_views(self, source: FaceSource, cropped: Cropped):
        """Raise InputError if two views of a photo, which show a turned head, share landmarks."""
        twin = self._points.setdefault((source.photo, cropped.points_hash), source.name)
        if twin != source.name:
            raise InputError(
                f"{source.name} and {twin} are two views of one photo with identical landmarks."
                " These are the points of the unturned photo, from which a network would learn the"
                " mean face. Use the files in landmarks/ of the official archive instead."
            )

    def check(self, pictures: int):
        """Raise CheckError if too many faces were rejected or a side that is needed is empty."""
        unusable = [reject for reject in self.rejects if reject[1] != KEPT_OUT]
        if len(unusable) > self.config.max_rejects * pictures:
            complaint = (
                f"{len(unusable)} of {pictures} pictures cannot be used (--max-rejects allows"
                f" {self.config.max_rejects:.0%})"
            )
            raise too_many(complaint, unusable, self.config.out)
        to_evaluate = self.config.test_share == 1 or self.config.split == "official"
        for side in ("test",) if to_evaluate else ("train", "test"):
            if not self.sides[side].groups:
                groups = sum(len(account.groups) for account in self.sides.values())
                folders = ", ".join(map(str, self.config.data))
                kept = self.kept_out() and f" ({self.kept_out()} faces are kept out by --keep-out)"
                raise CheckError(
                    f"{folders}: none of the {groups} groups of pictures is on the {side} side of"
                    f" the split{kept or ''}; add pictures, or change --split, --test-share or"
                    " --seed"
                )

    def kept_out(self) -> int:
        """Return how many faces --keep-out has kept out of the records."""
        return sum(reason == KEPT_OUT for _, reason, _ in self.rejects)

    def close(self) -> dict:
        """Finish shards, tables and contact sheet; return the sides' entries for the manifest."""
        write_rejects(self.folder / REJECTS, self.rejects)
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
        """Return how many groups are on more than one side, which the manifest shows to be 0."""
        every = [group for account in self.sides.values() for group in account.groups]
        return len(every) - len(set(every))


def _drawn(record, scheme, config: PrepareConfig) -> np.ndarray:
    """Return the stored picture of a record with its landmarks drawn in."""
    picture = stored_picture(record.picture, record.name, record.encoding)
    size, stored = config.box.size_px, picture.shape[0]
    points = record.landmarks * size + (stored - size) / 2 - 0.5
    return draw_landmarks(picture, points[record.mask > 0], scheme, lines=False)
