"""P1: frames of YouTube Faces videos with 68 points, the layout of Udacity's facial keypoints.

    training_frames_keypoints.csv     one row a picture: its name, then x0, y0, ..., x67, y67
    training/<Person>_<video><frame>.jpg

The first row is a header. Coordinates are whole pixels, the first pixel's centre at 0. <video>
and <frame> are a digit each; a person may be seen in several videos.
"""

import re
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.tables import numbers, read_rows
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

NAME = "p1"
SCHEME = IBUG68
LABELS = (NAME,)  # the only points there are
TABLE, PICTURES = "training_frames_keypoints.csv", "training"
EXPECTS = f"the table {TABLE} beside a folder {PICTURES}/"
TERMS = "P1's pictures, frames of YouTube Faces, are for non-commercial research only"
_COLUMNS = 1 + 2 * SCHEME.count


def recognises(root: Path) -> bool:
    """Whether `root` looks like this format, without reading labels."""
    return (root / TABLE).is_file()


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every picture that the table names, sorted by name; raises InputError without a table.

    `flips` and `points` change nothing: P1 has no mirrored twins, and one set of points.
    """
    table = Path(root) / TABLE
    sources = {}
    for picture, *values in _rows(table):
        source = _source(table, picture, values)
        if sources.setdefault(source.name, source) is not source:
            raise InputError(f"{table}: names {picture} twice; keep one of the rows")
    if not sources:
        raise InputError(f"{table}: holds no picture")
    return sorted(sources.values(), key=lambda source: source.name)


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found, and how many pictures have no row."""
    people = len({source.group for source in sources})
    rowless = {p.name for p in (Path(root) / PICTURES).glob("*.jpg")} - {
        source.picture.name for source in sources
    }
    lines = [f"  {'P1':<10} {len(sources):>7,} pictures of {people:,} people"]
    if rowless:
        lines.append(
            f"  {'':<10} {len(rowless):,} pictures in {PICTURES}/ have no row in {TABLE} and are"
            f" left out, {min(rowless)} for one"
        )
    return lines


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for."""
    return TERMS


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label in one row's numbers, `FaceSource.row`; `points` changes nothing.

    Raises Rejected.
    """
    where = f"{source.label}: the row of {source.picture.name}"
    values = data.decode().split(",")
    if len(values) != 2 * scheme.count:
        raise Rejected("point-count", f"{where} has {len(values)} numbers, not {2 * scheme.count}")
    landmarks = numbers(where, values).reshape(-1, 2)
    return checked_label(where, landmarks, np.ones(scheme.count, bool), scheme)


def _source(table: Path, picture: str, values: list[str]) -> FaceSource:
    name = f"{PICTURES}/{picture}"
    return FaceSource(
        name=name,
        format=NAME,
        picture=table.with_name(PICTURES) / picture,
        label=table,
        row=",".join(values).encode(),
        photo=name,  # frames of one video may well share their landmarks
        group=f"P1_{_person(picture)}",
        subset="P1",
    )


def _person(picture: str) -> str:
    """Luis_Fonsi of Luis_Fonsi_21.jpg; more digits than two are taken off as well."""
    return re.sub(r"_?\d+$", "", Path(picture).stem)


def _rows(table: Path) -> list[list[str]]:
    """The table without its header and empty lines; raises InputError for what is no table."""
    header, *rows = read_rows(table, f"DATA= names the folder that holds {TABLE} and {PICTURES}/")
    if len(header) != _COLUMNS:
        raise InputError(
            f"{table}: its first line has {len(header)} columns, not {_COLUMNS}:"
            f" name, x0, y0, ..., x{SCHEME.count - 1}, y{SCHEME.count - 1}"
        )
    return rows
