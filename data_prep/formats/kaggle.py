"""Kaggle's "Facial Keypoints Detection": 7,049 pictures and their 15 points in one table.

    training.csv     30 columns of coordinates, then Image: 96x96 grey values, spaces between

Left and right are the person's. Coordinates are published as "in the space of pixel indices",
taken here as 0-based, the first pixel's centre at 0. An empty cell is an unknown coordinate, and
its point is missing: two rows in three know but four of the points. The box is the whole picture,
and wants to be taken as it is:

    python -m data_prep.prepare --data facial-keypoints-detection --format kaggle \\
        --box.source label --box.scale 1 --context 1 --box.size-px 96

A round box about the known points would be another for every choice of them. Pictures have no
names, and some stand in several rows: the same bytes are one group.
"""

import hashlib
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import Cell, FaceLabel, FaceSource, Rejected
from senet_kp.face.known_schemes import KAGGLE15
from senet_kp.face.pictures import damage
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

NAME = "kaggle"
SCHEME = KAGGLE15
LABELS = (NAME,)  # the only points there are
TABLE = "training.csv"
EXPECTS = f"{TABLE} with 15 points and a picture in every row"
TERMS = "the pictures of Kaggle's Facial Keypoints Detection are under that competition's rules"
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
SIDE_PX = 96
PICTURE_BOX = np.array([-0.5, -0.5, SIDE_PX, SIDE_PX])  # [x, y, w, h], edges of the outer pixels


def recognises(root: Path) -> bool:
    """Whether a folder is laid out like this, by its files' names."""
    return (Path(root) / TABLE).is_file()


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every row of the table; raises InputError without a table or rows.

    `flips` and `points` change nothing. The pictures stay on disk.
    """
    table = Path(root) / TABLE
    sources = [
        FaceSource(
            name=f"{TABLE}#{number:04d}",
            format=NAME,
            picture=table,
            label=table,
            row=label,
            cell=cell,
            photo=f"{TABLE}#{number:04d}",  # one picture in two rows may well have equal points
            group=f"kaggle_{hashlib.sha256(pixels).hexdigest()[:16]}",
            subset="Kaggle",
        )
        for number, label, pixels, cell in rows(table, FEATURES)
    ]
    if not sources:
        raise InputError(f"{table}: holds no picture")
    return sources


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found."""
    complete = sum(all(cell.strip() for cell in source.row.split(b",")) for source in sources)
    different = len({source.group for source in sources})
    return [
        f"  {'Kaggle':<10} {len(sources):>7,} pictures, {different:,} different ones,"
        f" {complete:,} with all {SCHEME.count} points (published: 7,049 and 2,140)",
        f"  {'':<10} meant for --box.source label --box.scale 1 --context 1"
        f" --box.size-px {SIDE_PX}",
    ]


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for."""
    return TERMS


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label in one row's cells before the picture; `points` changes nothing.

    Raises Rejected.
    """
    cells = data.decode(errors="replace").split(",")
    if len(cells) != 2 * scheme.count:
        raise Rejected("point-count", f"its row has {len(cells)} cells, not {2 * scheme.count}")
    try:
        values = np.array([float(cell) if cell.strip() else np.nan for cell in cells])
    except ValueError as error:
        raise Rejected("not-numbers", f"its row: {error}") from None
    if np.isinf(values).any():
        raise Rejected("not-finite", "its row holds values that are not finite")
    landmarks = values.reshape(-1, 2)
    known = np.isfinite(landmarks).all(axis=1)
    return FaceLabel(np.where(known[:, None], landmarks, 0), known, np.full(3, np.nan), PICTURE_BOX)


def rows(table: Path, columns: tuple[str, ...]):
    """Yield every row of a table with these columns and then the picture.

    Each as its number from 1, the cells before the picture and the picture's text in bytes, and
    the Cell that the text is. Raises InputError for another table.
    """
    try:
        file = open(table, "rb")  # noqa: SIM115, closed below
    except OSError as error:
        raise InputError(
            f"{table}: {error.strerror}; the competition's data hold {TABLE} and test.csv"
        ) from None
    with file:
        position = _skip_header(file, table, (*columns, IMAGE))
        for number, line in enumerate(file, 1):
            before, comma, last = line.rpartition(b",")
            pixels = last.strip(b'"\r\n ')
            if line.strip():
                offset = position + len(before) + len(comma) + last.index(pixels)
                yield number, before, pixels, Cell(offset, len(pixels), SIDE_PX)
            position += len(line)


def _skip_header(file, table: Path, columns: tuple[str, ...]) -> int:
    """How many bytes the header takes; raises InputError where it names other columns."""
    line = file.readline()
    if problem := damage(line):
        raise InputError(f"{table}: {problem[1]}")
    text = line.decode("utf-8-sig", errors="replace")
    names = [name.strip('" \r\n') for name in text.split(",")]
    if len(names) != len(columns):
        raise InputError(f"{table}: its first line has {len(names)} columns, not {len(columns)}")
    for found, expected in zip(names, columns, strict=True):
        if found != expected:
            raise InputError(f"{table}: has a column {found!r} where {expected!r} is published")
    return len(line)
