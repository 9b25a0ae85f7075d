"""Your own csv file of landmarks, beside or above the pictures.

    picture,x0,y0,x1,y1,...[,group][,subset][,box_x,box_y,box_w,box_h]

The columns may have any order. `picture` is a path relative to the csv file; a picture with
several rows has several faces. Coordinates are pixels of the picture turned upright by its EXIF
orientation, as viewers show it; the centre of the first pixel is 0. If both cells of a point are
empty, the point is missing. Rows with the same `group` stay on one side of the split; without a
group, the path of the picture determines it (photos.py). The edges of the box are at x and x + w.
"""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import counts_by_subset, face_source, terms_of
from senet_kp.data_prep.formats.tables import (
    files_in,
    numbers,
    points_with_gaps,
    read_rows,
    slashed,
)
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

BOX = ("box_x", "box_y", "box_w", "box_h")
_OPTIONAL = ("group", "subset", *BOX)


class OwnCsv(Format):
    """Tables with a row for each face."""

    name = "csv"
    expects = "a .csv file with columns picture,x0,y0,x1,y1,... beside or above the pictures"

    def recognises(self, root: Path) -> bool:
        return any(map(_has_header, files_in(root, ".csv")))

    def find_faces(self, root: Path) -> list[FaceSource]:
        tables = [table for table in files_in(root, ".csv") if _has_header(table)]
        if not tables:
            found = "; ".join(map(_lack, files_in(root, ".csv"))) or f"{root}: no table found"
            raise InputError(f"{found}; expected {self.expects}")
        faces, sources = Counter(), []
        for table in tables:
            header, *rows = _rows(table)
            for row in rows:
                sources.append(self._source(root, table, header, row, faces))
        if not sources:
            raise InputError(f"{tables[0]}: contains no picture")
        return sorted(sources, key=lambda source: source.name)

    def _source(self, root: Path, table: Path, header: list[str], row: list[str], faces: Counter):
        """Return the face of one row; `faces` counts the faces of each picture so far."""
        cells = dict(zip(header, row, strict=False))
        picture = Path(os.path.normpath(table.parent / slashed(cells.get("picture", ""))))
        faces[picture] += 1
        values = [cells.get(name, "") for name in _point_columns(header)]
        box = [cells.get(name, "") for name in BOX]
        return face_source(
            self.name,
            table.parent if root.is_file() else root,
            picture,
            table,
            number=faces[picture],
            subset=cells.get("subset", "").strip(),
            default_subset=table.stem,
            group=cells.get("group", "").strip(),
            row=json.dumps([values, box]).encode() if len(row) == len(header) else b"",
        )

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = f"{source.label}: the row of {source.name}"
        if not data:
            raise Rejected("column-count", f"{where} has another number of columns than the header")
        given, box = ([cell.strip() for cell in part] for part in json.loads(data))
        landmarks, known = points_with_gaps(where, given)
        return checked_label(where, landmarks, known, scheme, _box(where, box))

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        lines = counts_by_subset(sources)
        for table in sorted({source.label for source in sources}):
            header = _rows(table)[0]
            known = {"picture", *_point_columns(header), *_OPTIONAL}
            if others := [name for name in header if name not in known]:
                lines.append(f"  {'':<10} {table.name}: columns not read: {', '.join(others)}")
        return lines

    def terms(self, sources: list[FaceSource]) -> str:
        return terms_of(sources)


def _box(where: str, cells: list[str]) -> np.ndarray | None:
    if not all(cells):
        return None
    box = numbers(where, cells)
    if not np.isfinite(box).all() or (box[2:] <= 0).any():
        raise Rejected("bad-box", f"{where} has a box without an area")
    return box


def _rows(table: Path) -> list[list[str]]:
    """Return the rows, with the names of the header in lower case. Raises InputError."""
    header, *rows = read_rows(table, f"expected {OwnCsv.expects}")
    header = [name.strip().lower() for name in header]
    if repeated := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise InputError(f"{table}: two columns have the name {repeated[0]}")
    return [header, *rows]


def _point_columns(header: list[str]) -> list[str]:
    """Return x0, y0, x1, y1, ... up to the first point that the header lacks."""
    names = []
    while {f"x{len(names) // 2}", f"y{len(names) // 2}"} <= set(header):
        names += [f"x{len(names) // 2}", f"y{len(names) // 2}"]
    return names


def _has_header(table: Path) -> bool:
    """Return whether the first line has columns for a picture and a point."""
    with open(table, encoding="utf-8-sig", errors="replace") as file:
        names = {name.strip(' "\r\n').lower() for name in file.readline().split(",")}
    return {"picture", "x0", "y0"} <= names


def _lack(table: Path) -> str:
    """Return what the header of a table lacks, in words that name the table."""
    with open(table, encoding="utf-8-sig", errors="replace") as file:
        line = file.readline().strip()
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if line.count(mark) > line.count(","):
            return (
                f"{table}: its columns are separated by {name}; save it with commas between"
                " columns and points in numbers"
            )
    names = [name.strip(' "').lower() for name in line.split(",")]
    missing = ", ".join(name for name in ("picture", "x0", "y0") if name not in names)
    return f"{table}: has no column {missing}, only {', '.join(names[:4])}, ..."


FORMAT = OwnCsv()
