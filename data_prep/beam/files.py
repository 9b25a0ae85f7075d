"""Files and record folders on any file system that Apache Beam knows, whole or absent.

A local folder is written beside its place and renamed, as `tfrecords.files.atomic_folder` does. An
object store renames no folders: what is there is removed, manifest first, and the new manifest is
written last, so that no half-written folder looks like a record set.
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
class Place:
    """Where workers write: `out` the shards, `work` what the launcher reads and removes."""

    out: str

    @property
    def work(self) -> str:
        return f"{self.out}/work"

    @contextmanager
    def whole_file(self, name: str):
        """Yield a file to write; it gets its name when the block ends well.

        Attempts of a retried bundle write temporary files of their own, and the last one to end
        replaces what an earlier one left: the same bytes.
        """
        temporary, path = f"{self.work}/{uuid4().hex}", f"{self.out}/{name}"
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield file
        try:
            FileSystems.rename([temporary], [path])
        except BeamIOError:  # HDFS does not replace: an earlier attempt's file is as good
            if not FileSystems.exists(path):
                raise
            FileSystems.delete([temporary])

    def keep(self, name: str, value):
        """Write a value into the working folder."""
        with self.whole_file(f"work/{name}") as file:
            file.write(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def kept(self, name: str):
        """A value from the working folder; None where it was never written."""
        path = f"{self.work}/{name}"
        if not FileSystems.exists(path):
            return None
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return pickle.loads(file.read())

    def clear_work(self):
        """Remove the working folder."""
        _remove(self.work)


def is_remote(out: str) -> bool:
    """Whether a path is another file system's, such as gs://bucket/folder."""
    return "://" in out


def remote_manifest(out: str) -> dict | None:
    """The manifest of a record folder elsewhere, or None."""
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
def record_folder(out: str) -> Iterator[tuple[Path, Place]]:
    """Yield a local folder for tables and manifest, and the place for the shards.

    They become the record folder `out` when the block ends well. Raises UserError where something
    else is there, or where Beam lacks the packages for such a path.
    """
    if not is_remote(out):
        with atomic_folder(out, ours=MANIFEST) as folder:
            place = Place(str(folder.resolve()))
            yield folder, place
            place.clear_work()
        return
    place = Place(out)
    with _naming_packages(out):
        _make_free(place)
    try:
        with TemporaryDirectory() as folder:
            yield Path(folder), place
            place.clear_work()
            _upload(Path(folder), place)
    except BaseException:
        _remove(out)
        raise


def _make_free(place: Place):
    """Remove the records in a folder elsewhere, or what a killed run left of them."""
    manifest = f"{place.out}/{MANIFEST}"
    if FileSystems.exists(manifest):
        FileSystems.delete([manifest])
    elif _holds_files(place.out) and not _holds_files(place.work):
        raise UserError(f"{place.out}: holds something else than this command writes; name another")
    _remove(place.out)


def _holds_files(folder: str) -> bool:
    try:
        return bool(FileSystems.match([f"{folder}/*"], [1])[0].metadata_list)
    except BeamIOError:
        return False  # file systems with folders complain of one that is not there


def _remove(folder: str):
    if _holds_files(folder):
        FileSystems.delete([f"{folder}/"])  # all that is in it, to any depth
    if FileSystems.exists(folder):  # not where folders are but beginnings of names
        FileSystems.delete([folder])


def _upload(folder: Path, place: Place):
    """Copy the launcher's files, the manifest last."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST):
        target = f"{place.out}/{path.name}"
        with FileSystems.create(target, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(path.read_bytes())


@contextmanager
def _naming_packages(out: str):
    try:
        yield
    except ValueError as error:  # Beam's way to say that no installed file system has this scheme
        raise UserError(f"{out}: {error}") from None
