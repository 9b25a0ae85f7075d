"""Atomic files and record folders on any file system that Apache Beam supports.

A local folder is written under a temporary name and renamed (`tfrecords.files.atomic_folder`).
Object stores cannot rename folders. There, existing records are removed, the manifest first, and
the new manifest is written last, so that an incomplete folder never has a manifest. Only files that
this project writes are removed, and a folder that holds any other file is refused.
"""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.files import atomic_folder
from senet_kp.tfrecords.shards import (
    CONTACT_SHEET,
    MANIFEST,
    REJECTS,
    SPLIT,
    files_written,
    read_manifest,
)
from senet_kp.tfrecords.sides import SIDES

WORK = "senet-kp-work"  # no one else's folder has this name
_SHARD = re.compile(rf"({'|'.join(SIDES)})(-\d{{5}}-of-\d{{5}}\.tfrecord|\.tfrecords)")


@dataclass(frozen=True)
class Output:
    """The folder `out` in which workers write shards, with its working folder WORK.

    In the working folder, workers and launcher exchange pickled values; the launcher removes it.
    """

    out: str

    @property
    def work(self) -> str:
        return f"{self.out}/{WORK}"

    @contextmanager
    def whole_file(self, name: str):
        """Yield a file to write, which is renamed to `name` after the block.

        Every attempt of a retried bundle writes its own temporary file, and the last one to finish
        replaces the result of an earlier one, which has the same bytes.
        """
        temporary, path = f"{self.work}/{uuid4().hex}", f"{self.out}/{name}"
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield file
        try:
            FileSystems.rename([temporary], [path])
        except BeamIOError:  # HDFS does not replace files; the earlier attempt wrote the same bytes
            if not FileSystems.exists(path):
                raise
            FileSystems.delete([temporary])

    def keep(self, name: str, value):
        """Pickle a value into the working folder."""
        with self.whole_file(f"{WORK}/{name}") as file:
            file.write(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def kept(self, name: str):
        """Return a value from the working folder, or None if it was never written."""
        path = f"{self.work}/{name}"
        if not FileSystems.exists(path):
            return None
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return pickle.loads(file.read())

    def clear_work(self):
        """Remove the working folder."""
        _remove(self.work)

    def clear(self):
        """Remove the records, the manifest first, and the working folder."""
        names = sorted(_names_in(self.out), key=lambda name: name != MANIFEST)
        for name in filter(_is_ours, names):
            FileSystems.delete([f"{self.out}/{name}"])
        if not _names_in(self.out):
            _remove(self.out)


def is_remote(out: str) -> bool:
    """Return whether a path is not local but a URL such as gs://bucket/folder."""
    return "://" in out


def remote_manifest(out: str) -> dict | None:
    """Read the manifest of a remote record folder; None if there is none that can be used."""
    return _with_manifest(out, read_manifest)


def _remote_files(out: str) -> set[str] | None:
    return _with_manifest(out, files_written)


def _with_manifest(out: str, read):
    """Return read(folder) of a local folder with a copy of the manifest; None if there is none."""
    with _naming_packages(out), TemporaryDirectory() as folder:
        if not FileSystems.exists(f"{out}/{MANIFEST}"):
            return None
        with FileSystems.open(f"{out}/{MANIFEST}") as file:
            (Path(folder) / MANIFEST).write_bytes(file.read())
        with suppress(InputError):
            return read(Path(folder))


@contextmanager
def record_folder(out: str) -> Iterator[tuple[Path, Output]]:
    """Yield a local folder for tables and manifest, and the Output for the shards.

    After the block, both together become the record folder `out`. Raises UserError if `out` holds
    something else, or if Beam lacks the packages for its file system.
    """
    if not is_remote(out):
        with atomic_folder(out, files_written) as folder:
            output = Output(str(folder.resolve()))
            yield folder, output
            output.clear_work()
        return
    output = Output(out)
    with _naming_packages(out):
        _make_free(output)
    try:
        with TemporaryDirectory() as folder:
            yield Path(folder), output
            output.clear_work()
            _upload(Path(folder), output)
    except BaseException:
        output.clear()
        raise


def _make_free(output: Output):
    """Remove the records of a remote folder, or the incomplete records of a killed run."""
    names = _names_in(output.out)
    strangers = [name for name in names if not _is_ours(name)]
    started = any(name.startswith(f"{WORK}/") for name in names)
    if names and not started and _remote_files(output.out) is None:
        strangers = strangers or names
    if strangers:
        raise UserError(
            f"{output.out}: the folder holds something else than this command writes"
            f" ({strangers[0]}); choose another"
        )
    output.clear()


def _is_ours(name: str) -> bool:
    """Return whether a path below a record folder is one that preparation writes there."""
    known = (MANIFEST, SPLIT, REJECTS, CONTACT_SHEET)
    return name in known or bool(_SHARD.fullmatch(name)) or name.startswith(f"{WORK}/")


def _names_in(folder: str) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted."""
    try:
        found = FileSystems.match([f"{folder}/**"])[0].metadata_list
    except BeamIOError:
        return []  # file systems with real folders raise this for a missing one
    # Some file systems return paths without the host of the URL, so that only the end is compared.
    return sorted(file.path.rpartition(f"/{folder.rpartition('/')[2]}/")[2] for file in found)


def _remove(folder: str):
    if _names_in(folder):
        FileSystems.delete([f"{folder}/"])  # its contents, recursively
    if FileSystems.exists(folder):  # false on object stores, where folders are name prefixes
        FileSystems.delete([folder])


def _upload(folder: Path, output: Output):
    """Copy the files that the launcher wrote, the manifest last."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST):
        target = f"{output.out}/{path.name}"
        with FileSystems.create(target, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(path.read_bytes())


@contextmanager
def _naming_packages(out: str):
    try:
        yield
    except ValueError as error:  # Beam raises it if no installed file system has this URL scheme
        raise UserError(f"{out}: {error}") from None
