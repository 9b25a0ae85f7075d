"""Atomic writes of files and folders, and hashes of contents and names."""

import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import InputError, UserError, brief

NAMES = "surrogateescape"  # file names are bytes: what is not UTF-8 in them is written unchanged


@contextlib.contextmanager
def naming(path):
    """Add this path to any OSError that names no file, such as the one for a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_path(path, suffix: str = ""):
    """Yield a temporary path in the folder of `path`; rename it to `path` after the block.

    If the block raises an exception or the process is killed, no file appears under the final
    name. `suffix` is appended to the temporary name, for writers that choose a format by suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{suffix}")
    try:
        with naming(path):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path, data: bytes):
    """Write `data` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def link_or_copy(source, target):
    """Make `target` a further name of the file `source`, or a copy of it on another disk.

    The file appears under its name only when it is complete.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
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
    an interrupt at any moment the old or the new folder is there, complete.
    """
    named, path = path, Path(path).resolve()  # of a link, the folder that it leads to
    refuse_strangers(named, path, ours)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    temporary.chmod(0o755)  # mkdtemp's 0700 would hide the result from everyone else
    old = temporary.with_suffix(".old")
    try:
        with naming(path):
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


def refuse_strangers(named, path: Path, ours: Callable[[Path], set[str] | None]):
    """Raise UserError, calling the folder `named`, unless all files in it are of this project."""
    if path.is_dir():
        written = ours(path) or set()
        found = (file for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
        names = sorted(file.relative_to(path).as_posix() for file in found)
        stranger = next((name for name in names if name not in written), None)
    else:
        stranger = "a file of that name" if path.exists() else None
    if stranger:
        raise UserError(
            f"{named}: the folder holds something else than this command writes ({stranger});"
            " choose another"
        )


def read_json(path):
    """Return the value that a JSON file holds. Raises OSError, and ValueError for any damage."""
    return parse_json(Path(path).read_bytes())


def parse_json(data: bytes | str):
    """Return the value of a JSON text; raises ValueError for any damage."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


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
