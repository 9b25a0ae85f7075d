"""Files that are either whole or absent, and the hashes of contents and names."""

import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import UserError


@contextlib.contextmanager
def naming(path):
    """Let an OSError that does not say where it happened (a full disk) name this path."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_path(path, suffix: str = ""):
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    A block that fails or is killed leaves no file under the real name. `suffix` ends the
    temporary name, for writers that choose a format by it.
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


def write_json(path, value):
    """Write `value` atomically as indented JSON; arrays become lists, NaN is refused."""
    text = json.dumps(value, indent=1, allow_nan=False, default=_plain)
    # Lists of plain values go on one line; a line break never stands inside a JSON string.
    text = re.sub(r"\[\n[^\[\]{}]*\n *\]", _on_one_line, text)
    write_bytes(path, text.encode() + b"\n")


def write_csv(path, header, rows):
    """Write rows of values below a header atomically."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def read_csv(path) -> list[dict]:
    """The rows of a table by their columns' names, values as text; none if it is not there."""
    if not Path(path).exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@contextlib.contextmanager
def atomic_folder(path, ours: str):
    """Yield a temporary folder beside `path`; put it in the place of `path` when all went well.

    `ours` is a file that marks a folder as made by this project: raises UserError rather than
    replace a folder that holds anything else.
    """
    path = Path(path)
    free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    if not free and not (path / ours).is_file():
        raise UserError(f"{path}: holds something else than this command writes; name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    temporary.chmod(0o755)  # mkdtemp's 0700 would hide the result from everyone else
    old = temporary.with_suffix(".old")
    try:
        with naming(path):
            yield temporary
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def sha256_of_file(path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of(path) -> str:
    """The SHA-256 of a file, or of a folder: of the names and hashes of the files in it."""
    path = Path(path)
    if path.is_file():
        return sha256_of_file(path)
    names = ((file, file.relative_to(path).as_posix()) for file in _files_in(path))
    return sha256_of_lines(f"{name} {sha256_of_file(file)}" for file, name in names)


def size_of(path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in _files_in(Path(path)))


def _files_in(path: Path) -> list[Path]:
    """A file itself, or the files in a folder, to any depth."""
    return [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())


def sha256_of_lines(lines) -> str:
    """The SHA-256 of text lines, each ended by a newline: a fingerprint of an ordered list."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def fraction(name: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) that depends on the three arguments and on nothing else."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _on_one_line(found) -> str:
    return "[" + re.sub(r"\n *", " ", found[0][1:-1]).strip() + "]"


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into JSON")
