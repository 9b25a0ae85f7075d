"""Atomic writes of files and folders, and hashes of contents and names."""

import contextlib
import csv
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import InputError, OutputError, UserError, brief, explained
from senet_kp.tfrecords.leftovers import (
    OLD,
    remove_leftovers,
    replaced_folders,
    temporary_name,
)

NAMES = "surrogateescape"  # file names are bytes: what is not UTF-8 in them is written unchanged


@contextlib.contextmanager
def naming(path, *own):
    """Raise OutputError, which names this path, for an error of the system that belongs to it.

    It does if it names no file, as that of a full disk, or one at or below `path` or `own`. Errors
    with a file that is only read inside the block pass.
    """
    try:
        yield
    except OSError as error:
        named = error.filename is not None
        ours = not named or str(error.filename).startswith((str(path), *map(str, own)))
        if error.errno is None or not ours:
            raise
        raise OutputError(f"{path}: {explained(error)}") from None


def make_folder(path):
    """Make a folder and those above it that are missing; raises OutputError if it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # below /proc, for example
        raise OutputError(f"{path}: no folder can be made there: choose another") from None
    except OSError as error:
        raise OutputError(f"{path}: {explained(error)}") from None


@contextlib.contextmanager
def atomic_path(path, suffix: str = ""):
    """Yield a temporary path in the folder of `path`; rename it to `path` after the block.

    If the block raises an exception or the process is killed, no file appears under the final
    name. `suffix` is appended to the temporary name, for writers that choose a format by suffix.
    Raises OutputError for an error of writing, and for a folder or a device of that name, such as
    /dev/null, which would be replaced.
    """
    path = writable(Path(path))
    make_folder(path.parent)
    remove_leftovers(path.parent.resolve())
    temporary = path.with_name(temporary_name(path.name) + suffix)
    try:
        with naming(path, temporary):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def writable(path: Path) -> Path:
    """The same path, or where it leads if it is a link; raises OutputError if it is no file."""
    with naming(path):
        path = path.resolve() if path.is_symlink() else path
        if path.exists() and not path.is_file():
            raise OutputError(f"{path}: a folder or a device, not a file: choose another name")
    return path


def write_bytes(path, data: bytes):
    """Write `data` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def link_or_copy(source, target):
    """Make `target` a further name of the file `source`, or a copy of it on another disk.

    The file appears under its name only when it is complete.
    """
    target = Path(target)
    make_folder(target.parent)
    try:
        os.link(Path(source).resolve(), target)
    except OSError:  # another disk, or one that has no links
        write_bytes(target, Path(source).read_bytes())


def write_json(path, value):
    """Write `value` atomically as indented JSON; arrays become lists, NaN raises ValueError."""
    text = json.dumps(value, indent=1, allow_nan=False, default=_plain)
    # Put lists of plain values on one line. JSON strings contain no raw line breaks.
    text = re.sub(r"\[\n[^\[\]{}]*\n *\]", _on_one_line, text)
    write_bytes(path, text.encode() + b"\n")


def write_csv(path, header, rows):
    """Write a header and rows of values atomically as CSV."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors=NAMES) as file,
    ):
        csv.writer(file).writerows([header, *rows])


def read_csv(path) -> list[dict]:
    """Return the rows of a CSV file as {column: text}, or no rows if there is no such file.

    In a row with fewer cells than the header, the others are None. Raises InputError if the file
    cannot be read as CSV.
    """
    if not Path(path).exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8", errors=NAMES) as file:
            return list(csv.DictReader(file))
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: not a readable csv file ({brief(error)})") from None


@contextlib.contextmanager
def atomic_folder(path, ours: Callable[[Path], set[str] | None] = lambda folder: None):
    """Yield a temporary folder in the parent of `path`; replace `path` by it after the block.

    `ours(folder)` returns the paths below `folder` that this project has written there, or None if
    it has written none; without it, only a missing or empty folder is replaced. Raises UserError,
    and leaves the folder unchanged, if it holds any other file, before and after the block. After
    an interrupt at any moment the old or the new folder is there, complete; after a kill at the
    wrong moment `restore_folder` brings the old one back, which this function begins with.
    """
    named, path = path, Path(path).resolve()  # of a link, the folder that it leads to
    restore_folder(path, ours)
    refuse_strangers(named, path, ours)
    make_folder(path.parent)
    remove_leftovers(path.parent)
    temporary = path.with_name(temporary_name(path.name))
    old = temporary.with_suffix(OLD)
    try:
        with naming(path, temporary, old):
            shutil.rmtree(temporary, ignore_errors=True)  # of an earlier process of this number
            temporary.mkdir()
            yield temporary
            refuse_strangers(named, path, ours)
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def restore_folder(path, ours: Callable[[Path], set[str] | None]):
    """Bring back the folder that a killed command had set aside to replace it; see `atomic_folder`.

    What others have set aside before it, and what has been replaced, is removed. A folder with any
    file that is not of this project is neither brought back nor removed.
    """
    path = Path(path).resolve()
    for old in reversed(replaced_folders(path)):
        if _stranger(old, ours):
            continue
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            with naming(path, old):
                os.replace(old, path)


def refuse_strangers(named, path: Path, ours: Callable[[Path], set[str] | None]):
    """Raise UserError, calling the folder `named`, unless all files in it are of this project."""
    if stranger := _stranger(path, ours):
        raise UserError(
            f"{named}: the folder holds something else than this command writes ({stranger});"
            " choose another"
        )


def _stranger(path: Path, ours: Callable[[Path], set[str] | None]) -> str | None:
    """A file at or below `path` that is not of this project, or None."""
    if not path.is_dir():
        return "a file of that name" if path.exists() else None
    written = ours(path) or set()
    found = (file for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
    names = sorted(file.relative_to(path).as_posix() for file in found)
    return next((name for name in names if name not in written), None)


def read_json(path):
    """Return the value that a JSON file holds. Raises OSError, and ValueError for any damage."""
    return parse_json(Path(path).read_bytes())


def parse_json(data: bytes | str):
    """Return the value of a JSON text; raises ValueError for any damage.

    Python reads numbers that JSON does not have, NaN and Infinity, and 1e999 as infinity. Here they
    are damage, since no result that is made from them could be written.
    """
    try:
        return json.loads(data, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number")
    return value


def load_array(file) -> np.ndarray:
    """Return the array in a .npy file, a path or an open file; a file is mapped, not copied.

    Raises OSError, and ValueError for any damage.
    """
    try:
        return np.load(file, "r" if isinstance(file, (str, Path)) else None, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy raises exceptions of many types for a damaged header
        raise ValueError(f"not an array in NumPy's format: {brief(error)}") from None


def json_of(path) -> dict:
    """Return the object that a JSON file holds; {} if there is no such file or no object in it."""
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def sha256_of_file(path) -> str:
    """Return the SHA-256 of the bytes of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of(path) -> str:
    """Return the SHA-256 of a file, or of the names and hashes of all files in a folder."""
    path = Path(path)
    if path.is_file():
        return sha256_of_file(path)
    names = ((file, file.relative_to(path).as_posix()) for file in _files_in(path))
    return sha256_of_lines(f"{name} {sha256_of_file(file)}" for file, name in names)


def size_of(path) -> int:
    """Return the size in bytes of a file, or of all files in a folder together."""
    return sum(file.stat().st_size for file in _files_in(Path(path)))


def _files_in(path: Path) -> list[Path]:
    """Return the file itself, or all files below a folder."""
    return [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())


def sha256_of_lines(lines) -> str:
    """Return the SHA-256 of lines of text, each followed by a newline."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode(errors=NAMES) + b"\n")
    return digest.hexdigest()


def fraction(name: str, seed: int, purpose: str) -> float:
    """Return a pseudo-random number in [0, 1) that depends only on the three arguments."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{name}".encode(errors=NAMES)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _on_one_line(found) -> str:
    return "[" + re.sub(r"\n *", " ", found[0][1:-1]).strip() + "]"


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
