"""A csv file of one's own beside pictures.

    picture,x0,y0,x1,y1,...[,group][,subset][,box_x,box_y,box_w,box_h]

The columns stand in any order. `picture` is a path relative to the csv file; one that stands in
several rows has several faces. Coordinates are pixels, the first pixel's centre at 0; where both
cells of a point are empty it is missing. Rows with the same `group` stay on one side of the split;
without one the picture's name says it (photos.py). The box has its edges at x and x + w.
"""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.photos import counts_by_subset, face_source, terms_of
from senet_kp.data_prep.formats.tables import files_in, numbers, read_rows
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

NAME = "csv"
SCHEME = IBUG68
LABELS = (NAME,)  # the only points there are
EXPECTS = "a .csv file with columns picture,x0,y0,x1,y1,... beside or above the pictures"
BOX = ("box_x", "box_y", "box_w", "box_h")
_OPTIONAL = ("group", "subset", *BOX)


def recognises(root: Path) -> bool:
    """Whether `root` looks like this format, without reading labels."""
    return any(map(_has_header, files_in(root, ".csv")))


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every row of the tables in `root`, sorted by name; raises InputError for none.

    `flips` and `points` change nothing: a table's rows are all taken, and have one set of points.
    """
    root = Path(root)
    tables = [table for table in files_in(root, ".csv") if _has_header(table)]
    if not tables:
        raise InputError(f"{root}: no table found; expected {EXPECTS}")
    faces, sources = Counter(), []
    for table in tables:
        header, *rows = _rows(table)
        for row in rows:
            sources.append(_source(root, table, header, row, faces))
    if not sources:
        raise InputError(f"{tables[0]}: holds no picture")
    return sorted(sources, key=lambda source: source.name)


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found, and which columns are not read."""
    lines = counts_by_subset(sources)
    for table in sorted({source.label for source in sources}):
        header = _rows(table)[0]
        known = {"picture", *_point_columns(header), *_OPTIONAL}
        if others := [name for name in header if name not in known]:
            lines.append(f"  {'':<10} {table.name}: not read: {', '.join(others)}")
    return lines


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for; empty where no folder is named as 300-W's are."""
    return terms_of(sources)


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label in one row's cells, `FaceSource.row`; `points` changes nothing. Raises Rejected."""
    where = f"{source.label}: the row of {source.name}"
    if not data:
        raise Rejected("column-count", f"{where} has not as many columns as the header")
    given, box = ([cell.strip() for cell in part] for part in json.loads(data))
    known = np.array([cell != "" for cell in given]).reshape(-1, 2)
    if (known[:, 0] != known[:, 1]).any():
        point = int(np.argmax(known[:, 0] != known[:, 1]))
        raise Rejected("half-point", f"{where} gives only one coordinate of point {point}")
    landmarks = numbers(where, [cell or "nan" for cell in given]).reshape(-1, 2)
    return checked_label(where, landmarks, known.all(axis=1), scheme, _box(where, box))


def _box(where: str, cells: list[str]) -> np.ndarray | None:
    if not all(cells):
        return None
    box = numbers(where, cells)
    if not np.isfinite(box).all() or (box[2:] <= 0).any():
        raise Rejected("bad-box", f"{where} gives a box without an area")
    return box


def _source(root: Path, table: Path, header: list[str], row: list[str], faces: Counter):
    """The face in one row; `faces` counts those of each picture."""
    cells = dict(zip(header, row, strict=False))
    picture = Path(os.path.normpath(table.parent / cells.get("picture", "").strip()))
    faces[picture] += 1
    values = [cells.get(name, "") for name in _point_columns(header)]
    box = [cells.get(name, "") for name in BOX]
    return face_source(
        NAME,
        table.parent if root.is_file() else root,
        picture,
        table,
        number=faces[picture],
        subset=cells.get("subset", "").strip(),
        otherwise=table.stem,
        group=cells.get("group", "").strip(),
        row=json.dumps([values, box]).encode() if len(row) == len(header) else b"",
    )


def _rows(table: Path) -> list[list[str]]:
    """The table, its header's names in lower case; raises InputError for what is no table."""
    header, *rows = read_rows(table, f"expected {EXPECTS}")
    header = [name.strip().lower() for name in header]
    if repeated := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise InputError(f"{table}: two columns are named {repeated[0]}")
    return [header, *rows]


def _point_columns(header: list[str]) -> list[str]:
    """x0, y0, x1, y1, ..., as far as the header has them."""
    names = []
    while {f"x{len(names) // 2}", f"y{len(names) // 2}"} <= set(header):
        names += [f"x{len(names) // 2}", f"y{len(names) // 2}"]
    return names


def _has_header(table: Path) -> bool:
    """Whether the first line names a picture and a point."""
    with open(table, encoding="utf-8-sig", errors="replace") as file:
        names = {name.strip(' "\r\n').lower() for name in file.readline().split(",")}
    return {"picture", "x0", "y0"} <= names
