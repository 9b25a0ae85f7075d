"""Helpers for label files that are tables or lists, and for finding them.

The cells of a table are separated by the mark that its first line has most of: a comma, a semicolon
or a tab. Coordinates may have decimal commas, as spreadsheets of many countries write them.
"""

import csv
import re
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.face.pictures import damage
from senet_kp.tfrecords.errors import InputError, brief


def found_in(root: Path, folders: tuple[str, ...], name: str) -> Path | None:
    """Return `name` in the first of the `folders` below `root` in which it exists, or None."""
    paths = (root / folder / name for folder in folders)
    return next((path for path in paths if path.exists()), None)


def files_in(root: Path, suffix: str) -> list[Path]:
    """Return `root` if it is a file, or else the files in it with that suffix, sorted."""
    if root.is_file():
        return [root]
    found = root.glob(f"*{suffix}")
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


_SEPARATORS = ",;\t"  # with equally many of them, the first counts
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def read_header(table: Path) -> list[str]:
    """Return the names in the first line of a csv file, without spaces around them."""
    with open(table, encoding="utf-8-sig", errors="replace") as file:
        line = file.readline().rstrip("\r\n")
    return [name.strip(' "') for name in line.split(_separator(line))]


def _separator(line: str) -> str:
    return max(_SEPARATORS, key=line.count)


def read_rows(table: Path, hint: str) -> list[list[str]]:
    """Return the rows of a csv file, the header first, without empty rows.

    Raises InputError if it cannot be read; if it does not exist, `hint` says what to do.
    """
    data = _bytes_of(table, f"; {hint}")
    try:
        lines = data.decode("utf-8-sig").splitlines() or [""]
        header, *rows = csv.reader(lines, delimiter=_separator(lines[0]))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a csv file ({error})") from None
    return [header, *(row for row in rows if any(row))]


def slashed(path: str) -> str:
    """Return the path of a picture in a table with / for the \\ of Windows."""
    return path.strip().replace("\\", "/")


def read_lines(path: Path) -> list[str]:
    """Return the lines that are not blank. Raises InputError if it is not a text file."""
    data = _bytes_of(path)
    try:
        return [line for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error})") from None


def _bytes_of(path: Path, advice: str = "") -> bytes:
    """Return the bytes of a file. Raises InputError if it cannot be read, is empty or a pointer.

    advice: what the message adds if the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}{advice}") from None
    if problem := damage(data):
        raise InputError(f"{path}: {problem[1]}")
    return data


def points_with_gaps(where: str, cells: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Convert text cells x, y, x, y, ... to points [n, 2] and mask [n], False where both are empty.

    Raises Rejected, naming `where`, if a cell is no number or only one of a point's is empty.
    """
    cells = [cell.strip() for cell in cells]
    known = np.array([cell != "" for cell in cells]).reshape(-1, 2)
    if (known[:, 0] != known[:, 1]).any():
        point = int(np.argmax(known[:, 0] != known[:, 1]))
        raise Rejected("half-point", f"{where} has only one coordinate of point {point}")
    points = numbers(where, [cell or "nan" for cell in cells]).reshape(-1, 2)
    return points, known.all(axis=1)


def numbers(where: str, cells: list[str]) -> np.ndarray:
    """Convert text cells to float64 [n]. Raises Rejected, naming `where`, if one is no number."""
    if any("," in cell for cell in cells):
        cells = _with_points(where, cells)
    try:
        return floats(cells)
    except ValueError as error:
        raise Rejected(
            "not-numbers", f"{where}: {brief(error)}; expected pixels, as 12.5"
        ) from None


def floats(cells) -> np.ndarray:
    """Convert text cells to float64, in the same shape. Raises ValueError if one is no number.

    Python also reads 1_0 as 10, and the digits of all scripts; no program writes labels with them.
    """
    cells = np.array(cells, object)
    for cell in cells.flat:
        if "_" in cell or not cell.isascii():
            raise ValueError(f"could not convert string to float: {cell!r}")
    return np.array([float(cell) for cell in cells.flat]).reshape(cells.shape)


def _with_points(where: str, cells: list[str]) -> list[str]:
    """Return the cells of one face with a decimal point for a decimal comma.

    Raises Rejected if a comma could separate thousands: if a cell has a point or all commas are
    before three digits, as in 1,250, although some cells are whole numbers.
    """
    cells = [cell.strip() for cell in cells]
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    whole = any(cell.lstrip("+-").isdigit() for cell in cells)
    if any("." in cell for cell in cells) or (whole and all(map(_THOUSANDS.fullmatch, commas))):
        raise Rejected(
            "not-numbers",
            f"{where}: {next(cell for cell in cells if ',' in cell)!r} may be a decimal comma or"
            " thousands; expected pixels with a decimal point and without thousands, as 1250.5",
        )
    return [cell.replace(",", ".") if cell in commas else cell for cell in cells]
