"""The data sets that one preparation reads: folders, each in a format of its own."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from data_prep.config import PrepareConfig
from data_prep.face_sample import FaceSource
from data_prep.formats import FORMATS
from tfrecords.errors import InputError
from tfrecords.files import sha256_of_lines


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
        labels = FORMATS[self.format].LABELS
        names = sorted(source.name for source in self.sources if source.name in content)
        return {
            "folder": self.folder.resolve().name,
            "format": self.format,
            "labels": points if points in labels else labels[0],
            "pictures": len(self.sources),
            "terms": FORMATS[self.format].terms(self.sources),
            "sha256": sha256_of_lines(f"{name} {content[name]}" for name in names),
        }


def scan_all(config: PrepareConfig) -> list[DataSet]:
    """Every data set, scanned; raises InputError where two pictures have one name."""
    found = [
        DataSet(folder, format, FORMATS[format].scan(folder, config.flips))
        for folder, format in config.data_sets()
    ]
    named = {}
    for source in chain.from_iterable(data_set.sources for data_set in found):
        if (other := named.setdefault(source.name, source)) is not source:
            raise InputError(
                f"{other.picture} and {source.picture}: names below the data set's folder must"
                " differ; put one in a folder of another name, or prepare them apart"
            )
    return found
