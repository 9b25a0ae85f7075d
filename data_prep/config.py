"""What preparation can be told."""

from dataclasses import asdict, dataclass, field
from os import cpu_count
from pathlib import Path

from senet_kp.data_prep.formats import FORMATS, labels_of
from senet_kp.face.facebox import BORDERS, SOURCES, BoxRule
from senet_kp.face.known_schemes import read_scheme
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import UserError

SPLITS = ("hash", "official")
AUTO = "auto"  # the format that the folder looks like


@dataclass(frozen=True)
class PrepareConfig:
    data: tuple[Path, ...]
    """folders of the data sets; an .xml or .csv file for those formats"""
    format: tuple[str, ...] = (AUTO,)
    """how they are laid out: auto, 300w-lp, p1, pts, imglab, csv, kaggle, wflw or aflw2000-3d; one
    for all, or one for each"""
    out: Path = Path("out/tfrecords")
    """folder for the records"""
    scheme: str = ""
    """landmark scheme: a name or a JSON file; by default the format's own"""
    points: str = ""
    """which labels: of 300w-lp pts_2d (snapped to the visible contour) or pts_3d (projected from
    3-D), of aflw2000-3d pt3d_68 or reannotated (or reannotated=FILE.npy); by default the first"""
    flips: bool = False
    """read the mirrored copies too, _Flip folders and _mirror files; training flips by itself"""
    box: BoxRule = field(default_factory=BoxRule)
    context: float = 1.5
    """side of the stored picture over the side of the box: room for augmentation"""
    jpeg_quality: int = 95
    """quality of the stored pictures"""
    split: str = "hash"
    """hash (of each group's name), or official: the publishers' test part is tested on"""
    test_share: float = 0.2
    """share of the groups that are tested on, of a split by hash; 1 for a set to evaluate on"""
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

    def data_sets(self) -> list[tuple[Path, str]]:
        """Each folder with the name of its format."""
        formats = self.format * (len(self.data) if len(self.format) == 1 else 1)
        return list(zip(self.data, formats, strict=True))

    @property
    def landmark_scheme(self) -> LandmarkScheme:
        """The landmarks that all data sets have; raises UserError for no such scheme."""
        return read_scheme(self.scheme) if self.scheme else FORMATS[self.format[0]].SCHEME


def check(config: PrepareConfig):
    """Raise UserError for a value that makes no sense."""
    _check_formats(config)
    rules = (
        (config.split in SPLITS, f"--split is {' or '.join(SPLITS)}"),
        (config.box.source in SOURCES, f"--box.source is {' or '.join(SOURCES)}"),
        (config.box.padding in BORDERS, f"--box.padding is {' or '.join(BORDERS)}"),
        (config.box.size_px >= 32, "--box.size-px is at least 32"),
        (config.context >= 1, "--context is at least 1"),
        (
            round(config.box.size_px * config.context) % 2 == config.box.size_px % 2,
            "--context times --box.size-px is as odd or even as --box.size-px, so that the box lies"
            " on whole pixels",
        ),
        (0 < config.test_share <= 1, "--test-share lies above 0 and is at most 1"),
        (0 <= config.val_share < 1, "--val-share lies between 0 and 1"),
        (0 <= config.max_rejects <= 1, "--max-rejects lies between 0 and 1"),
        (1 <= config.jpeg_quality <= 100, "--jpeg-quality lies between 1 and 100"),
        (config.records_per_shard > 0, "--records-per-shard is at least 1"),
        (config.processes > 0, "--processes is at least 1"),
    )
    for holds, message in rules:
        if not holds:
            raise UserError(message)


def _check_formats(config: PrepareConfig):
    folders, formats = len(config.data), len(config.format)
    if not folders or formats not in (1, folders):
        raise UserError(
            f"--format names {formats} formats for {folders} folders of --data: give one for all,"
            " or one for each"
        )
    if unknown := [name for name in config.format if name not in (AUTO, *FORMATS)]:
        raise UserError(f"--format is {AUTO} or {' or '.join(FORMATS)}, not {unknown[0]}")


def check_labels(config: PrepareConfig):
    """Raise UserError where the formats, all known by now, have different or no such landmarks."""
    if config.points:
        _check_points(config)
    schemes = {FORMATS[name].SCHEME.name for name in config.format}
    if not config.scheme and len(schemes) > 1:
        raise UserError(
            f"--format names data with different landmarks ({', '.join(sorted(schemes))}):"
            " prepare them apart"
        )


def _check_points(config: PrepareConfig):
    asked = config.points.partition("=")[0]
    if all(labels_of(name, config.points) != asked for name in config.format):
        labels = [label for name in config.format for label in FORMATS[name].LABELS]
        raise UserError(f"--points of {', '.join(config.format)} is {' or '.join(labels)}")


def settings_of(config: PrepareConfig) -> dict:
    """What the records depend on, besides the pictures and labels."""
    names = asdict(config)
    return {key: names[key] for key in names if key not in ("data", "format", "out", "processes")}
