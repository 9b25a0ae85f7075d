"""Label files that are tables: reading their rows, and finding them in a folder."""

import csv
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.face.pictures import damage
from senet_kp.tfrecords.errors import InputError


def files_in(root, suffix: str) -> list[Path]:
    """`root` itself where it is a file, else the files of that suffix in it, sorted.

    Raises InputError where there is no such file or folder.
    """
    root = Path(root)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise InputError(f"{root}: no such file or folder")
    found = root.glob(f"*{suffix}")
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def read_rows(table: Path, hint: str) -> list[list[str]]:
    """A csv file's rows, the header first, without empty ones.

    Raises InputError for what is no table; `hint` says what to do about one that is not there.
    """
    try:
        data = table.read_bytes()
    except OSError as error:
        raise InputError(f"{table}: {error.strerror}; {hint}") from None
    if problem := damage(data):
        raise InputError(f"{table}: {problem[1]}")
    try:
        header, *rows = list(csv.reader(data.decode("utf-8-sig").splitlines())) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: no csv file ({error})") from None
    return [header, *(row for row in rows if any(row))]


def numbers(where: str, cells: list[str]) -> np.ndarray:
    """Text cells as float64 [n]; raises Rejected for what is no number."""
    try:
        return np.array(cells, np.float64)
    except ValueError as error:
        raise Rejected("not-numbers", f"{where}: {error}") from None
