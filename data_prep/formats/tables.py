"""Helpers for label files that are tables."""

import csv
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.face.pictures import damage
from senet_kp.tfrecords.errors import InputError


def files_in(root: Path, suffix: str) -> list[Path]:
    """Return `root` if it is a file, or else the files in it with that suffix, sorted."""
    if root.is_file():
        return [root]
    found = root.glob(f"*{suffix}")
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def read_rows(table: Path, hint: str) -> list[list[str]]:
    """Return the rows of a csv file, the header first, without empty rows.

    Raises InputError if it cannot be read; if it does not exist, `hint` says what to do.
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
        raise InputError(f"{table}: not a csv file ({error})") from None
    return [header, *(row for row in rows if any(row))]


def numbers(where: str, cells: list[str]) -> np.ndarray:
    """Convert text cells to float64 [n]. Raises Rejected, naming `where`, if one is no number."""
    try:
        return np.array(cells, np.float64)
    except ValueError as error:
        raise Rejected("not-numbers", f"{where}: {error}") from None
