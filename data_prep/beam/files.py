"""Atomic files and record folders on any file system that Apache Beam supports.

A local folder is written under a temporary name and renamed (`tfrecords.files.atomic_folder`).
Object stores cannot rename folders. There, existing records are removed, the manifest first, and
the new manifest is written last, so that an incomplete folder never has a manifest.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.files import atomic_folder
from senet_kp.tfrecords.shards import MANIFEST, read_manifest


@dataclass(frozen=True)
class Output:
    """The folder `out` in which workers write shards, with its working folder `work`.

    In the working folder, workers and launcher exchange pickled values; the launcher removes it.
    """

    out: str

    @property
    def work(self) -> str:
        return f"{self.out}/work"

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
        with self.whole_file(f"work/{name}") as file:
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


def is_remote(out: str) -> bool:
    """Return whether a path is not local but a URL such as gs://bucket/folder."""
    return "://" in out


def remote_manifest(out: str) -> dict | None:
    """Read the manifest of a remote record folder; None if there is none that can be used."""
    with _naming_packages(out), TemporaryDirectory() as folder:
        if not FileSystems.exists(f"{out}/{MANIFEST}"):
            return None
        with FileSystems.open(f"{out}/{MANIFEST}") as file:
            (Path(folder) / MANIFEST).write_bytes(file.read())
        try:
            return read_manifest(folder)
        except InputError:
            return None


@contextmanager
def record_folder(out: str) -> Iterator[tuple[Path, Output]]:
    """Yield a local folder for tables and manifest, and the Output for the shards.

    After the block, both together become the record folder `out`. Raises UserError if `out` holds
    something else, or if Beam lacks the packages for its file system.
    """
    if not is_remote(out):
        with atomic_folder(out, ours=MANIFEST) as folder:
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
        _remove(out)
        raise


def _make_free(output: Output):
    """Remove the records of a remote folder, or the incomplete records of a killed run."""
    manifest = f"{output.out}/{MANIFEST}"
    if FileSystems.exists(manifest):
        FileSystems.delete([manifest])
    elif _holds_files(output.out) and not _holds_files(output.work):
        raise UserError(
            f"{output.out}: the folder holds something else than this command writes;"
            " choose another"
        )
    _remove(output.out)


def _holds_files(folder: str) -> bool:
    try:
        return bool(FileSystems.match([f"{folder}/*"], [1])[0].metadata_list)
    except BeamIOError:
        return False  # file systems with real folders raise this for a missing one


def _remove(folder: str):
    if _holds_files(folder):
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
