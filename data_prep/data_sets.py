"""The data sets that one preparation reads: folders, each in its own format."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.kept_out import kept_out_state
from senet_kp.data_prep.label_maps import label_maps_of
from senet_kp.face.label_map import LabelMap
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.files import sha256_of_lines
from senet_kp.tfrecords.schema import picture_of

COLUMN = "column:"  # of a value of --group-by, before the name of the column


@dataclass(frozen=True)
class DataSet:
    """A folder, its format, the faces found in it, and how their landmarks are mapped."""

    folder: Path
    format: Format
    sources: list[FaceSource]
    label_map: LabelMap | None = None

    def survey(self) -> str:
        """Return lines for the user that say what was found."""
        lines = self.format.survey(self.folder, self.sources)
        sizes = Counter(source.group for source in self.sources)
        largest = max(self.sources, key=lambda source: sizes[source.group])
        lines.append(
            f"  {'':<10} {len(sizes):,} groups, each on one side of the split; the largest,"
            f" {largest.group}, has {sizes[largest.group]:,} faces, such as {largest.name}"
            " (--group-by forms others)"
        )
        if self.label_map:
            known, count = self.label_map.points.any(axis=1).sum(), self.label_map.target.count
            lines.append(
                f"  {'':<10} label map {self.label_map.name}: {known} of {count} landmarks of"
                f" {self.label_map.target.name}; the others are missing"
            )
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
            "label_map": self.label_map.facts() if self.label_map else None,
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
        _scanned(folder, FORMATS[name], label_map, config)
        for (folder, name), label_map in zip(config.data_sets(), label_maps_of(config), strict=True)
    ]
    if config.group_by:
        found = [replace(part, sources=regrouped(part.sources, config.group_by)) for part in found]
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


def listing(data_sets: list[DataSet], keep_out: tuple[Path, ...] = ()) -> str:
    """Return a fingerprint of names, sizes and times of the source files, which are not read.

    keep_out: the record folders of --keep-out, whose faces it depends on, too.
    """

    def line(path: Path):
        try:
            state = path.stat()
        except (OSError, ValueError):  # ValueError: a zero byte in a damaged table
            return f"{path.name} missing"
        return f"{path.name} {state.st_size} {state.st_mtime_ns}"

    maps = (f"label map {part.label_map.facts()}" for part in data_sets if part.label_map)
    faces = (
        f"{source.format} {source.name} {line(source.picture)} {line(source.label)}"
        for data_set in data_sets
        for source in data_set.sources
    )
    kept = [f"kept out {kept_out_state(keep_out)}"] if keep_out else []
    return sha256_of_lines(chain(maps, faces, kept))


def _scanned(folder: Path, format: Format, label_map: LabelMap | None, config: PrepareConfig):
    """Return the data set in a folder."""
    faces = format.scan(folder, config.flips, config.points)
    return DataSet(
        folder, format, [replace(face, label_map=label_map) for face in faces], label_map
    )


def regrouped(sources: list[FaceSource], group_by: str) -> list[FaceSource]:
    """Return the faces with the groups of `--group-by`; see PrepareConfig.group_by.

    All faces of a picture are in one group. Raises UserError if it is no regular expression, does
    not match a name, or names a column that the data set does not have, and InputError if the cells
    of that column form no groups.
    """
    if group_by.startswith(COLUMN):
        return _grouped_by_column(sources, group_by.removeprefix(COLUMN).strip().lower())
    try:
        pattern = re.compile({"name": r".*", "folder": r"(.*)/|[^/]*"}.get(group_by, group_by))
    except re.error as error:
        raise UserError(f"--group-by {group_by}: not a regular expression ({error})") from None
    faces = []
    for source in sources:
        picture = picture_of(source.name)
        if not (match := pattern.search(picture)):
            raise UserError(
                f"--group-by {group_by}: does not match the picture {picture}; give name, folder,"
                f" {COLUMN}NAME or a regular expression that matches every picture"
            )
        group = next((part for part in match.groups() if part), match[0])
        faces.append(replace(source, group=group))
    return faces


def _grouped_by_column(sources: list[FaceSource], column: str) -> list[FaceSource]:
    groups = {}
    for source in sources:
        if column not in source.columns:
            known = ", ".join(sorted(source.columns)) or "no columns for it"
            raise UserError(f"--group-by {COLUMN}{column}: {source.label} has {known}")
        picture, group = picture_of(source.name), source.columns[column]
        if not group or groups.setdefault(picture, group) != group:
            wrong = f"the groups {groups[picture]} and {group}" if group else "no group"
            raise InputError(
                f"{source.label}: the picture {picture} has {wrong} in the column {column}; give"
                " every row a group, and all rows of a picture the same one"
            )
    return [replace(source, group=groups[picture_of(source.name)]) for source in sources]


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
