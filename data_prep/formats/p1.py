"""P1: frames of YouTube Faces videos with 68 points, the layout of Udacity's facial keypoints.

    training_frames_keypoints.csv     a row per picture: its name, then x0, y0, ..., x67, y67
    training/<Person>_<video><frame>.jpg
    test_frames_keypoints.csv         the official test part, in the same form; may be missing
    test/

These lie in the folder itself or, as in Udacity's repository, in its folder data. The first row of
a table is a header. Coordinates are whole pixels; the centre of the first pixel is 0. <video> and
<frame> have one digit each. A person may appear in several videos.

Udacity's test part shows people, and even frames, of the training part. All frames of a person are
one group, so `--split official` refuses such a test part.
"""

import re
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import left_out, not_read
from senet_kp.data_prep.formats.tables import numbers, read_rows
from senet_kp.face.folders import Contents, contents_of
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

PARTS = {"train": "training", "test": "test"}  # official part: the folder of its pictures
REPOSITORY = "data"  # the folder of Udacity's repository that holds the tables
_COLUMNS = 1 + 2 * IBUG68.count


class P1(Format):
    """Udacity's table of keypoints beside a folder of pictures."""

    name = "p1"
    expects = "the table training_frames_keypoints.csv beside a folder training/, here or in data/"
    scheme = IBUG68
    terms_of_use = "P1's pictures, frames of YouTube Faces, are for non-commercial research only"

    def recognises(self, root: Path) -> bool:
        return _table(_folder(root), "train").is_file()

    def find_faces(self, root: Path) -> list[FaceSource]:
        folder = _folder(root)
        has_test = _table(folder, "test").is_file()
        sources = _part(root, folder, "train", "train" if has_test else None)
        sources += _part(root, folder, "test", "test") if has_test else []
        return sorted(sources, key=lambda source: source.name)

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = f"{source.label}: the row of {source.picture.name}"
        values = data.decode().split("\t")
        if len(values) != 2 * scheme.count:
            raise Rejected(
                "point-count", f"{where} has {len(values)} numbers, not {2 * scheme.count}"
            )
        landmarks = numbers(where, values).reshape(-1, 2)
        return checked_label(where, landmarks, np.ones(scheme.count, bool), scheme)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        people = len({source.group for source in sources})
        lines = [f"  {'P1':<10} {len(sources):>7,} pictures of {people:,} people"]
        if tests := sum(source.official == "test" for source in sources):
            lines.append(f"  {'':<10} {tests:>7,} of them in the official test part")
        folder, named = _folder(root), {source.picture for source in sources}
        for part in sorted({source.official or "train" for source in sources}):
            pictures, table = folder / PARTS[part], _table(folder, part).name
            contents = contents_of(pictures) if pictures.is_dir() else Contents()
            without_row = {path.name for path in {*contents.pictures} - named}
            what = f"pictures in {pictures.name}/ have no row in {table}: left out"
            lines += left_out(without_row, what) + not_read(contents)
        return lines


def _folder(root: Path) -> Path:
    """The folder that holds the tables: `root`, or its folder data if that has the table."""
    inside = Path(root) / REPOSITORY
    return inside if _table(inside, "train").is_file() else Path(root)


def _table(folder: Path, part: str) -> Path:
    return folder / f"{PARTS[part]}_frames_keypoints.csv"


def _part(root: Path, folder: Path, part: str, official: str | None) -> list[FaceSource]:
    """Return the faces of one table. Raises InputError if it names a picture twice, or none."""
    table, sources = _table(folder, part), {}
    for picture, *values in _rows(table):
        path = folder / PARTS[part] / picture
        name = path.relative_to(root).as_posix()
        source = FaceSource(
            name=name,
            format=P1.name,
            picture=path,
            label=table,
            row="\t".join(values).encode(),
            photo=name,  # not the video, because frames of a video may have identical landmarks
            group=f"P1_{_person(picture)}",
            subset="P1",
            official=official,
        )
        if sources.setdefault(name, source) is not source:
            raise InputError(f"{table}: has two rows for {picture}; delete one of them")
    if not sources:
        raise InputError(f"{table}: contains no picture")
    return list(sources.values())


def _person(picture: str) -> str:
    """Return Luis_Fonsi for Luis_Fonsi_21.jpg; all trailing digits are removed."""
    return re.sub(r"_?\d+$", "", Path(picture).stem)


def _rows(table: Path) -> list[list[str]]:
    """Return the rows without the header and empty rows. Raises InputError."""
    header, *rows = read_rows(table, f"--data must name a folder with {P1.expects}")
    if len(header) != _COLUMNS:
        raise InputError(
            f"{table}: its first line has {len(header)} columns, not {_COLUMNS}:"
            f" name, x0, y0, ..., x{IBUG68.count - 1}, y{IBUG68.count - 1}"
        )
    return rows


FORMAT = P1()
