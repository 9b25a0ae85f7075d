"""The data sets that one preparation reads: folders, each in a format of its own."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats import FORMATS, labels_of
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.files import sha256_of_lines


@dataclass(frozen=True)
class DataSet:
    """A folder, the name of its format, and what was found in it."""

    folder: Path
    format: str
    sources: list[FaceSource]

    def survey(self) -> str:
        """Lines that say what was found."""
        lines = FORMATS[self.format].survey(self.folder, self.sources)
        return "\n".join([f"{self.folder}: {len(self.sources):,} pictures", *lines])

    def account(self, points: str, content: dict[str, str]) -> dict:
        """What the manifest says of it; `content` holds the hashes of the usable pictures."""
        names = sorted(source.name for source in self.sources if source.name in content)
        return {
            "folder": self.folder.resolve().name,
            "format": self.format,
            "labels": labels_of(self.format, points),
            "pictures": len(self.sources),
            "terms": FORMATS[self.format].terms(self.sources),
            "sha256": sha256_of_lines(f"{name} {content[name]}" for name in names),
        }


def scan_all(config: PrepareConfig) -> list[DataSet]:
    """Every data set, scanned.

    Raises InputError where two pictures have one name, and for what `--split official` cannot
    divide.
    """
    found = [
        DataSet(folder, format, FORMATS[format].scan(folder, config.flips, config.points))
        for folder, format in config.data_sets()
    ]
    if config.split == "official":
        _check_official(found)
    named = {}
    for source in chain.from_iterable(data_set.sources for data_set in found):
        if (other := named.setdefault(source.name, source)) is not source:
            raise InputError(
                f"{other.picture} and {source.picture}: names below the data set's folder must"
                " differ; put one in a folder of another name, or prepare them apart"
            )
    return found


def _check_official(found: list[DataSet]):
    """Every picture must belong to one official part, and a group to one alone."""
    parts = {}
    for data_set in found:
        for source in data_set.sources:
            if source.official is None:
                raise UserError(
                    f"--split official: {data_set.format} has no official test part;"
                    " take --split hash"
                )
            if parts.setdefault(source.group, source.official) != source.official:
                raise InputError(
                    f"{source.picture}: stands in the official train and test lists both; take it"
                    " out of one of them, or take --split hash"
                )
