"""Kaggle's "Facial Keypoints Detection": 7,049 pictures and their 15 points in one table.

    training.csv     30 columns of coordinates, then Image: 96x96 grey values, spaces between

Left and right are the person's. The publishers describe the coordinates as "in the space of pixel
indices", which is read here as 0-based: the centre of the first pixel is 0. An empty cell is an
unknown coordinate, and its point is missing: two rows in three have only four known points. The
box of a label is the whole picture. By default it is the face box and the network's input, at its
own size of 96x96 pixels, because a box around the known points would differ with every choice of
them. Pictures have no names, and some occur in several rows: pictures with identical bytes are one
group.
"""

import hashlib
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import (
    Cell,
    FaceLabel,
    FaceSource,
    Rejected,
    checked_label,
)
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.tables import numbers
from senet_kp.face.known_schemes import KAGGLE15
from senet_kp.face.pictures import damage
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

TABLE = "training.csv"
POINTS = (
    "left_eye_center",
    "right_eye_center",
    "left_eye_inner_corner",
    "left_eye_outer_corner",
    "right_eye_inner_corner",
    "right_eye_outer_corner",
    "left_eyebrow_inner_end",
    "left_eyebrow_outer_end",
    "right_eyebrow_inner_end",
    "right_eyebrow_outer_end",
    "nose_tip",
    "mouth_left_corner",
    "mouth_right_corner",
    "mouth_center_top_lip",
    "mouth_center_bottom_lip",
)
FEATURES = tuple(f"{point}_{axis}" for point in POINTS for axis in "xy")
IMAGE = "Image"
PICTURE_PX = 96  # width and height
PICTURE_BOX = np.array([-0.5, -0.5, PICTURE_PX, PICTURE_PX])  # [x, y, w, h], outer pixels' edges


class Kaggle(Format):
    """One table with the points and the pixels of every picture."""

    name = "kaggle"
    expects = f"{TABLE} with 15 points and a picture in every row"
    scheme = KAGGLE15
    settings = {
        "box": {"source": "label", "scale": 1.0, "size_px": PICTURE_PX},
        "context": 1.0,
    }
    terms_of_use = (
        "the pictures of Kaggle's Facial Keypoints Detection are under that competition's rules"
    )

    def recognises(self, root: Path) -> bool:
        return (root / TABLE).is_file()

    def find_faces(self, root: Path) -> list[FaceSource]:
        table = root / TABLE
        sources = [
            FaceSource(
                name=f"{TABLE}#{number:04d}",
                format=self.name,
                picture=table,
                label=table,
                row=label,
                cell=cell,
                photo=f"{TABLE}#{number:04d}",  # two rows of one picture may have equal points
                group=f"kaggle_{hashlib.sha256(pixels).hexdigest()[:16]}",
                subset="Kaggle",
            )
            for number, label, pixels, cell in rows(table, FEATURES)
        ]
        if not sources:
            raise InputError(f"{table}: contains no picture")
        return sources

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        cells = [cell.strip() for cell in data.decode(errors="replace").split(",")]
        if len(cells) != 2 * scheme.count:
            raise Rejected("point-count", f"its row has {len(cells)} cells, not {2 * scheme.count}")
        points = numbers("its row", [cell or "nan" for cell in cells]).reshape(-1, 2)
        known = np.array([cell != "" for cell in cells]).reshape(-1, 2).all(axis=1)
        return checked_label("its row", points, known, scheme, PICTURE_BOX)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        complete = sum(all(cell.strip() for cell in source.row.split(b",")) for source in sources)
        different = len({source.group for source in sources})
        return [
            f"  {'Kaggle':<10} {len(sources):>7,} pictures, {different:,} of them different,"
            f" {complete:,} with all {KAGGLE15.count} points (published: 7,049 and 2,140)",
        ]


def rows(table: Path, columns: tuple[str, ...]):
    """Yield every row of a table that has these columns and then the picture.

    A row is its number from 1, the bytes of the cells before the picture, the bytes of the picture
    as text, and the Cell of that text. Raises InputError if the table has other columns.
    """
    try:
        file = open(table, "rb")  # noqa: SIM115, closed below
    except OSError as error:
        raise InputError(
            f"{table}: {error.strerror}; the data of the competition are {TABLE} and test.csv"
        ) from None
    with file:
        position = _skip_header(file, table, (*columns, IMAGE))
        for number, line in enumerate(file, 1):
            before, comma, last = line.rpartition(b",")
            pixels = last.strip(b'"\r\n ')
            if line.strip():
                offset = position + len(before) + len(comma) + last.index(pixels)
                yield number, before, pixels, Cell(offset, len(pixels), PICTURE_PX)
            position += len(line)


def _skip_header(file, table: Path, columns: tuple[str, ...]) -> int:
    """Read the header and return its length in bytes. Raises InputError for other columns."""
    line = file.readline()
    if problem := damage(line):
        raise InputError(f"{table}: {problem[1]}")
    text = line.decode("utf-8-sig", errors="replace")
    names = [name.strip('" \r\n') for name in text.split(",")]
    if len(names) != len(columns):
        raise InputError(
            f"{table}: its first line has {len(names)} columns, not {len(columns)} with commas"
            " between"
        )
    for found, expected in zip(names, columns, strict=True):
        if found != expected:
            raise InputError(f"{table}: has a column {found!r} instead of {expected!r}")
    return len(line)


FORMAT = Kaggle()
