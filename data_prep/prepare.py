"""python -m data_prep.prepare --data 300W_LP --out out/tfrecords

Crops the faces of a data set, normalises their landmarks to the face box and writes train, val
and test shards with a manifest, a rejects file and a contact sheet. About 500 pictures of
450x450 a second on two cores. Exit codes: 0 done, 2 unusable arguments, 3 the data cannot be
read, 5 too many rejects, 6 the result cannot be written.
"""

import csv
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from platform import python_version
from signal import SIG_IGN, SIGINT, signal

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from data_prep.crop_record import Cropped, CropRule, crop_record, detected_pair
from data_prep.face_sample import FaceSource
from data_prep.formats import FORMATS
from data_prep.split import fraction, side_of
from senet_kp.detector import measure_transform
from senet_kp.draw import contact_sheet, draw_landmarks
from senet_kp.facebox import BORDERS, BoxRule
from senet_kp.pictures import decode_picture, write_picture
from tfrecords.errors import CheckError, InputError, UserError, exit_code_of
from tfrecords.files import atomic_folder, atomic_path, sha256_of_lines, write_json
from tfrecords.schema import SCHEMA_VERSION, decode
from tfrecords.shards import MANIFEST, SIDES, ShardWriter, read_manifest, records_hash

REJECTS = "rejects.csv"
SPLIT = "split.csv"
CONTACT_SHEET = "contact_sheet.png"
SHEET_PICTURES, SHEET_COLUMNS = 40, 8
CHUNK = 16  # pictures a process takes at a time: 50 ms of work, so that waiting does not show


@dataclass(frozen=True)
class PrepareConfig:
    data: Path
    """folder of the data set"""
    format: str = "300w-lp"
    """how it is laid out: 300w-lp"""
    out: Path = Path("out/tfrecords")
    """folder for the records"""
    points: str = "pts_2d"
    """labels to use: pts_2d (snapped to the visible contour) or pts_3d (projected from 3-D)"""
    flips: bool = False
    """read the _Flip folders too; training flips by itself"""
    box: BoxRule = field(default_factory=BoxRule)
    context: float = 1.5
    """side of the stored picture over the side of the box: room for augmentation"""
    jpeg_quality: int = 95
    """quality of the stored pictures"""
    test_share: float = 0.2
    """share of the groups that are tested on"""
    val_share: float = 0.1
    """share of the other groups that choose the best checkpoint"""
    records_per_shard: int = 1024
    """records in a full shard"""
    max_rejects: float = 0.05
    """share of pictures that may be unusable before the run ends with an error"""
    detector_pictures: int = 200
    """training pictures on which dlib's boxes are compared with the face boxes"""
    seed: int = 0
    """of the split, the order and the contact sheet"""
    processes: int = cpu_count() or 1
    """processes that crop; the result does not depend on their number"""


def prepare(config: PrepareConfig) -> dict:
    """Write the record folder, or find it done already; return its manifest."""
    _check(config)
    sources = lp300w.scan(config.data, config.flips)
    print(
        f"{config.data}: {len(sources):,} pictures", *lp300w.survey(config.data, sources), sep="\n"
    )
    settings, listing = _settings(config), _listing(sources)
    if done := _finished(config.out, settings, listing):
        print(f"{config.out}: holds these records already, nothing to do")
        return done
    with atomic_folder(config.out) as folder:
        manifest = {"settings": settings, "listing": listing} | _write_records(
            folder, sources, config
        )
        write_json(folder / MANIFEST, manifest)
    _report(config.out, manifest)
    return manifest


def _write_records(folder: Path, sources: list[FaceSource], config: PrepareConfig) -> dict:
    rule = CropRule(config.box, config.context, config.jpeg_quality, config.format, config.points)
    scheme = FORMATS[config.format].SCHEME
    ordered = sorted(sources, key=lambda source: fraction(source.name, config.seed, "order"))
    book = _Book(folder, config)
    with _pool(config.processes) as pool:
        crops = pool.map(partial(crop_record, rule=rule), ordered, chunksize=CHUNK)
        for cropped in tqdm(crops, total=len(ordered), unit="picture", disable=None):
            book.enter(cropped)
        book.check(len(ordered))
        transform = _measure_detector(pool, book.train_sources, rule)
    sides = book.close()
    manifest = {
        "schema": SCHEMA_VERSION,
        "scheme": scheme.name,
        "landmark_count": scheme.count,
        "box": asdict(config.box),
        "stored_px": rule.stored_px,
        "colour": "RGB",
        "value_range": [0, 255],
        "sides": sides,
        "groups_on_two_sides": book.shared_groups(),
        "rejects": len(book.rejects),
        "mean_shape": book.mean_shape(),
        "detector_box": asdict(transform) if transform else None,
        "source": {
            "folder": config.data.resolve().name,
            "format": config.format,
            "pictures": len(sources),
            "sha256": sha256_of_lines(f"{n} {h}" for n, h in sorted(book.content.items())),
        },
        "versions": _versions(),
    }
    return manifest | {"records_sha256": records_hash(manifest)}


class _Book:
    """Takes the cropped faces in order: shards, rejects, counts, what the manifest needs."""

    def __init__(self, folder: Path, config: PrepareConfig):
        self.folder, self.config = folder, config
        self.writers = {s: ShardWriter(folder, s, config.records_per_shard) for s in SIDES}
        self.groups = {side: set() for side in SIDES}
        self.rejects: list[Cropped] = []
        self.split: list[tuple[str, str, str]] = []  # picture, group, side
        self.content: dict[str, str] = {}  # picture's name: hash of the picture and its label
        self.train_sources: list[FaceSource] = []  # the first ones, which are random ones
        self._sheet: list[bytes] = []
        self._shape_sum, self._shape_count = 0.0, 0
        self._points: dict[tuple[str, bytes], str] = {}  # (photo, landmarks): the view's name

    def enter(self, cropped: Cropped):
        if not cropped.data:
            self.rejects.append(cropped)
            return
        source, config = cropped.source, self.config
        self._check_views(cropped)
        side = side_of(source.group, config.seed, config.test_share, config.val_share)
        self.writers[side].write(cropped.data)
        self.groups[side].add(source.group)
        self.split.append((source.name, source.group, side))
        self.content[source.name] = cropped.content_hash
        if side == "train":
            self._enter_train(cropped)

    def _enter_train(self, cropped: Cropped):
        self._shape_sum = self._shape_sum + cropped.relative.astype(np.float64)
        self._shape_count += 1
        if len(self._sheet) < SHEET_PICTURES:
            self._sheet.append(cropped.data)
        if len(self.train_sources) < self.config.detector_pictures:
            self.train_sources.append(cropped.source)

    def _check_views(self, cropped: Cropped):
        """Two views of one photo show a turned head: their landmarks cannot be the same."""
        source = cropped.source
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
                f" {self.config.max_rejects:.0%}), the first: {self.rejects[0].message};"
                f" all are in {path}"
            )
        for side in ("train", "test"):
            if not self.groups[side]:
                groups = sum(map(len, self.groups.values()))
                raise CheckError(
                    f"{self.config.data}: none of the {groups} groups of pictures falls on the"
                    f" {side} side; add pictures, or change --test-share or --seed"
                )

    def close(self) -> dict:
        """Finish shards, tables and contact sheet; return the sides for the manifest."""
        self._write_rejects(self.folder / REJECTS)
        _write_csv(self.folder / SPLIT, ("picture", "group", "side"), self.split)
        scheme = FORMATS[self.config.format].SCHEME
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

    def mean_shape(self):
        """Mean of the train side's box-relative landmarks, [N, 2]."""
        return np.round(self._shape_sum / self._shape_count, 6)

    def _write_rejects(self, path: Path):
        rows = [(reject.source.name, reject.reason, reject.message) for reject in self.rejects]
        _write_csv(path, ("picture", "reason", "message"), rows)


def _measure_detector(pool, sources: list[FaceSource], rule: CropRule):
    """How dlib's boxes lie to the face boxes of training pictures; None if it finds no face."""
    found = pool.map(partial(detected_pair, rule=rule), sources, chunksize=4)
    bar = tqdm(found, total=len(sources), unit="picture", desc="dlib", disable=None)
    pairs = [pair for pair in bar if pair is not None]
    return measure_transform(pairs, len(sources)) if pairs else None


@contextmanager
def _pool(processes: int):
    """Worker processes that one Ctrl-C, or one error, ends at once."""
    pool = ProcessPoolExecutor(processes, initializer=_start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker():
    signal(SIGINT, SIG_IGN)  # the parent answers Ctrl-C
    cv2.setNumThreads(1)


def _check(config: PrepareConfig):
    rules = (
        (config.format in FORMATS, f"--format is {' or '.join(FORMATS)}"),
        (config.points in ("pts_2d", "pts_3d"), "--points is pts_2d or pts_3d"),
        (config.box.padding in BORDERS, f"--box.padding is {' or '.join(BORDERS)}"),
        (config.box.size_px >= 32, "--box.size-px is at least 32"),
        (config.context >= 1, "--context is at least 1"),
        (round(config.box.size_px * config.context) % 2 == config.box.size_px % 2,
         "--context times --box.size-px is as odd or even as --box.size-px, so that the box lies"
         " on whole pixels"),
        (0 < config.test_share < 1, "--test-share lies between 0 and 1"),
        (0 <= config.val_share < 1, "--val-share lies between 0 and 1"),
        (0 <= config.max_rejects <= 1, "--max-rejects lies between 0 and 1"),
        (1 <= config.jpeg_quality <= 100, "--jpeg-quality lies between 1 and 100"),
        (config.records_per_shard > 0, "--records-per-shard is at least 1"),
        (config.processes > 0, "--processes is at least 1"),
    )  # fmt: skip
    for holds, message in rules:
        if not holds:
            raise UserError(message)


def _settings(config: PrepareConfig) -> dict:
    """What the records depend on."""
    names = asdict(config)
    return {key: names[key] for key in names if key not in ("data", "out", "processes")}


def _listing(sources: list[FaceSource]) -> str:
    """A fingerprint of the source folder that costs no reading: names, sizes, times."""

    def line(path: Path):
        try:
            state = path.stat()
        except OSError:
            return f"{path.name} missing"
        return f"{path.name} {state.st_size} {state.st_mtime_ns}"

    return sha256_of_lines(
        f"{source.name} {line(source.picture)} {line(source.label)}" for source in sources
    )


def _finished(out: Path, settings: dict, listing: str) -> dict | None:
    """The manifest in `out` if it was made with these settings from these files."""
    try:
        manifest = read_manifest(out)
    except InputError:
        return None
    same = manifest["settings"] == settings and manifest["listing"] == listing
    shards = [shard for side in manifest["sides"].values() for shard in side["shards"]]
    whole = all(
        (out / shard["name"]).exists() and (out / shard["name"]).stat().st_size == shard["bytes"]
        for shard in shards
    )
    return manifest if same and whole else None


def _write_csv(path: Path, header: tuple, rows: list[tuple]):
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _drawn(record, scheme, config: PrepareConfig) -> np.ndarray:
    """A record's stored picture with its box's landmarks in it."""
    picture = decode_picture(record.jpeg, record.name)
    size, stored = config.box.size_px, picture.shape[0]
    points = record.landmarks * size + (stored - size) / 2 - 0.5
    return draw_landmarks(picture, points[record.mask > 0], scheme, lines=False)


def _versions() -> dict:
    packages = ("numpy", "opencv-python-headless", "scipy")
    return {"python": python_version()} | {name: version(name) for name in packages}


def _report(out: Path, manifest: dict):
    sides = ", ".join(
        f"{side} {s['records']:,} of {s['groups']:,} groups"
        for side, s in manifest["sides"].items()
    )
    print(f"{out}: {sides}; {manifest['groups_on_two_sides']} groups on two sides;"
          f" {manifest['rejects']} rejects ({REJECTS}); look at {out / CONTACT_SHEET}")  # fmt: skip
    if box := manifest["detector_box"]:
        print(f"dlib found {box['found']} of {box['pictures']} faces; its box is shifted by"
              f" ({box['shift_x']:+.3f}, {box['shift_y']:+.3f}) and scaled by {box['scale']:.3f}"
              f" to the face box, spread {np.round(box['spread'], 3).tolist()}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(
        exit_code_of(
            lambda: (
                prepare(
                    tyro.cli(PrepareConfig, prog="python -m data_prep.prepare", description=__doc__)
                )
                and 0
            )
        )
    )
