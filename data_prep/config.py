"""The settings of preparation."""

from dataclasses import asdict, dataclass, field
from os import cpu_count
from pathlib import Path
from typing import Annotated, Literal

import tyro

from senet_kp.data_prep.crop_rule import CropRule, LabelPixels
from senet_kp.data_prep.formats import FORMATS
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import read_scheme
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.schema import Encoding

AUTO = "auto"  # recognise the format from what the folder contains
FormatName = Literal[(AUTO, *FORMATS)]
_LABEL_SETS = "; ".join(
    f"{format.name}: " + ", ".join(f"{name} ({what})" for name, what in format.label_sets.items())
    for format in FORMATS.values()
    if len(format.label_sets) > 1
)
# The value of `--points`. The help text lists the label sets of the formats that have several.
Points = Annotated[
    str, tyro.conf.arg(help=f"which landmarks to read, by default the first: {_LABEL_SETS}")
]


@dataclass(frozen=True)
class PrepareConfig:
    data: tuple[Path, ...]
    """folders of the data sets; for imglab and csv also a single file"""
    format: tuple[FormatName, ...] = (AUTO,)
    """format of the data sets: one for all, or one for each; auto recognises it"""
    out: Path = Path("out/tfrecords")
    """folder for the records"""
    scheme: str = ""
    """landmark scheme: a name or a JSON file; by default that of the format"""
    label_map: tuple[str, ...] = ("auto",)
    """how landmarks of other schemes become those of --scheme, one for all data sets or one for
    each: auto (a built-in map, if there is one from the format's scheme), none, or a JSON file"""
    points: Points = ""
    label_pixels: LabelPixels = "format"
    """where the labels of pictures with an orientation (EXIF) lie: in the upright picture, or in
    the stored one, before it is turned; by default where the format has them"""
    flips: bool = False
    """also read the mirrored copies of 300W-LP (_Flip folders) and 300-W (_mirror files); training
    mirrors pictures by itself"""
    box: BoxRule = field(default_factory=BoxRule)
    context: float = 1.5
    """width of the stored picture relative to that of the face box: margin for augmentation"""
    jpeg_quality: int = 95
    """JPEG quality of the stored pictures"""
    encoding: Encoding = "jpeg"
    """how pictures are stored: as JPEG files, or raw, one byte per pixel and channel, which takes
    seven times the space and loses nothing"""
    split: Literal["hash", "official"] = "hash"
    """how groups are divided into train, val and test: by a hash of the group's name, or with the
    official test part of the data set as test"""
    group_by: str = ""
    """which pictures are one group, and so on one side: name (each for itself), folder, column:NAME
    (a column of a csv file), or a regular expression whose first group in the picture's path is the
    name, as in '^(p[0-9]+)_'; by default the format decides, which for csv uses the column group"""
    test_share: float = 0.2
    """share of the groups used for testing, if the split is by hash; 1 for a set that is only for
    evaluation"""
    val_share: float = 0.1
    """share of the other groups used for validation, which selects the best checkpoint"""
    records_per_shard: int = 1024
    """records in a full shard"""
    shards: Literal[0, 1] = 0
    """1 writes every split to one file, such as train.tfrecords; 0 to shards of
    --records-per-shard"""
    max_rejects: float = 0.05
    """largest share of unusable pictures; above it the command fails"""
    detector_pictures: int = 200
    """training pictures on which the boxes of dlib, and of YuNet if `senet-kp fetch yunet` has put
    its file into your cache, are compared with the face boxes of the labels"""
    keep_out: tuple[Path, ...] = ()
    """record folders whose faces are kept for evaluation: a face that matches one of theirs by
    name, stored file, picture (perceptual hash) or group is listed as rejected and not written"""
    min_face_px: float | None = None
    """least size of the faces that are searched for this; None is 80 with dlib, 40 with YuNet"""
    seed: int = 0
    """seed of the split and of the order of the records"""
    overwrite: bool = False
    """replace records in --out that other settings have made"""
    processes: int = cpu_count() or 1
    """number of processes that crop; the records do not depend on it"""

    def data_sets(self) -> list[tuple[Path, str]]:
        """Return each folder with the name of its format."""
        formats = self.format * (len(self.data) if len(self.format) == 1 else 1)
        return list(zip(self.data, formats, strict=True))

    @property
    def shard_records(self) -> int:
        """The number of records in a full shard; 0 if every split is one file."""
        return 0 if self.shards == 1 else self.records_per_shard

    @property
    def landmark_scheme(self) -> LandmarkScheme:
        """The landmark scheme of all data sets, whose formats must be known by now.

        Raises UserError if there is no scheme of that name.
        """
        return read_scheme(self.scheme) if self.scheme else FORMATS[self.format[0]].scheme


def check(config: PrepareConfig):
    """Raise UserError if a setting is out of range or settings contradict each other."""
    folders, formats = len(config.data), len(config.format)
    rules = (
        (
            folders and formats in (1, folders),
            f"--format has {formats} formats for {folders} folders of --data: give one for all, or"
            " one for each",
        ),
        (
            len(config.label_map) in (1, folders),
            f"--label-map has {len(config.label_map)} maps for {folders} folders of --data: give"
            " one for all, or one for each",
        ),
        (config.box.size_px >= 32, "--box.size-px must be at least 32"),
        (config.context >= 1, "--context must be at least 1"),
        (
            round(config.box.size_px * config.context) % 2 == config.box.size_px % 2,
            "--context times --box.size-px must be even if --box.size-px is even, and odd if it is"
            " odd, so that the edges of the box fall on whole pixels",
        ),
        (0 < config.test_share <= 1, "--test-share must be above 0 and at most 1"),
        (0 <= config.val_share < 1, "--val-share must be at least 0 and below 1"),
        (0 <= config.max_rejects <= 1, "--max-rejects must be between 0 and 1"),
        (1 <= config.jpeg_quality <= 100, "--jpeg-quality must be between 1 and 100"),
        (config.records_per_shard > 0, "--records-per-shard must be at least 1"),
        (config.processes > 0, "--processes must be at least 1"),
    )
    for holds, message in rules:
        if not holds:
            raise UserError(message)


def check_labels(config: PrepareConfig):
    """Check the landmarks of the data sets, once no format is "auto" any more.

    Raises UserError if their schemes differ or `--points` names a label set that no format has.
    """
    formats = [FORMATS[name] for name in config.format]
    if config.points and all(
        format.label_set(config.points) != config.points.partition("=")[0] for format in formats
    ):
        names = " or ".join(name for format in formats for name in format.label_sets)
        raise UserError(f"--points of {', '.join(config.format)} must be {names}")
    schemes = {format.scheme.name for format in formats}
    if not config.scheme and len(schemes) > 1:
        raise UserError(
            f"the data sets have different landmarks ({', '.join(sorted(schemes))}): give the"
            " --scheme that the records shall have, or prepare them separately"
        )


def crop_rule(config: PrepareConfig) -> CropRule:
    """Return the settings of every single crop, once no format is "auto" any more."""
    return CropRule(
        box=config.box,
        context=config.context,
        jpeg_quality=config.jpeg_quality,
        scheme=config.landmark_scheme,
        encoding=config.encoding,
        label_pixels=config.label_pixels,
        keep_out=config.keep_out,
    )


def described(config: PrepareConfig) -> str:
    """What the face box of the settings is and how large, in words for the user."""
    box = config.box
    around = {
        "landmarks": f"{box.scale:g} times the bounding box of the landmarks",
        "label": f"{box.scale:g} times the box of the label",
        "picture": "the whole picture",
    }
    return f"{around[box.source]}, {box.size_px}x{box.size_px} px, context {config.context:g}"


def settings_of(config: PrepareConfig) -> dict:
    """Return the settings on which the records depend, besides the pictures and labels."""
    names = asdict(config)
    others = ("data", "format", "out", "keep_out", "overwrite", "processes")
    return {key: names[key] for key in names if key not in others}
