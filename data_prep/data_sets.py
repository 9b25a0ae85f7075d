"""The data sets that one preparation reads: folders, each in its own format."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.formats.format import Format
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.files import sha256_of_lines


@dataclass(frozen=True)
class DataSet:
    """A folder, its format, and the faces found in it."""

    folder: Path
    format: Format
    sources: list[FaceSource]

    def survey(self) -> str:
        """Return lines for the user that say what was found."""
        lines = self.format.survey(self.folder, self.sources)
        return "\n".join([f"{self.folder}: {len(self.sources):,} pictures", *lines])

    def manifest_entry(self, points: str, content: dict[str, str]) -> dict:
        """Return the description of the data set for the manifest.

        points:  the value of `--points`
        content: {name of a usable face: hash of its picture and label}
        """
        names = sorted(source.name for source in self.sources if source.name in content)
        return {
            "folder": self.folder.resolve().name,
            "format": self.format.name,
            "labels": self.format.label_set(points),
            "pictures": len(self.sources),
            "terms": self.format.terms(self.sources),
            "sha256": sha256_of_lines(f"{name} {content[name]}" for name in names),
        }


def scan_all(config: PrepareConfig) -> list[DataSet]:
    """Find the faces of every data set.

    Raises InputError if a data set cannot be read or two faces have the same name, and UserError
    if `--split official` cannot divide the faces.
    """
    found = [
        DataSet(folder, FORMATS[name], FORMATS[name].scan(folder, config.flips, config.points))
        for folder, name in config.data_sets()
    ]
    if config.split == "official":
        _check_official(found)
    named = {}
    for source in chain.from_iterable(data_set.sources for data_set in found):
        if (other := named.setdefault(source.name, source)) is not source:
            raise InputError(
                f"{other.picture} and {source.picture}: their paths below the folders of the data"
                " sets must differ; put one in a folder of another name, or prepare them separately"
            )
    return found


def _check_official(found: list[DataSet]):
    """Check that every face has an official part and that no group is in both parts."""
    parts = {}
    for data_set in found:
        for source in data_set.sources:
            if source.official is None:
                raise UserError(
                    f"--split official: {data_set.format.name} has no official test part;"
                    " use --split hash"
                )
            if parts.setdefault(source.group, source.official) != source.official:
                raise InputError(
                    f"{source.picture}: its photo or person is in both the official train and the"
                    " official test list; remove it from one of them, or use --split hash"
                )
