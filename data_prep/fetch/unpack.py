"""Safe unpacking of an untrusted zip or tar.gz archive."""

import gzip
import stat
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from senet_kp.tfrecords.errors import InputError

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) + (
    tarfile.TarError,
    gzip.BadGzipFile,
)


def unpack(archive: Path, folder: Path) -> int:
    """Unpack an archive into an existing folder; return the number of files.

    A name that ends in .tar.gz is that of a tar archive; others are zip archives. Raises InputError
    before writing anything if the file is no such archive, or if a member would be written outside
    the folder or is neither a file nor a folder; and, during unpacking, if the data of a member are
    damaged.
    """
    kind, reader = ("tar.gz", _tar) if archive.name.endswith(".tar.gz") else ("zip", _zip)
    try:
        with reader(archive) as (members, extract):
            for name, mode, _ in members:
                if reason := _hostile(name, mode):
                    raise InputError(
                        f"{archive}: refused, its member {name!r} {reason}; nothing was unpacked;"
                        " remove the archive"
                    )
            for *_, member in tqdm(members, unit="file", desc=archive.name, disable=None):
                extract(member, folder)
    except _DAMAGE as error:
        raise InputError(f"{archive}: not a complete {kind} archive ({error}); remove it") from None
    return sum(not stat.S_ISDIR(mode) for _, mode, _ in members)


@contextmanager
def _zip(archive: Path):
    """The members (name, mode with the file type, member) of a zip archive, and what extracts one.

    A file type of 0 means that the archive does not state it.
    """
    with zipfile.ZipFile(archive) as opened:
        members = [
            (m.filename, stat.S_IFDIR if m.is_dir() else m.external_attr >> 16, m)
            for m in opened.infolist()
        ]
        yield members, opened.extract


@contextmanager
def _tar(archive: Path):
    """As `_zip`, for a tar.gz archive."""
    with tarfile.open(archive, "r:gz") as opened:
        # The safe behaviour that Python 3.14 has by default; a few older releases lack it.
        opened.extraction_filter = getattr(tarfile, "data_filter", None)
        members = [(m.name, _type_in_tar(m), m) for m in opened.getmembers()]
        yield members, opened.extract


def _type_in_tar(member: tarfile.TarInfo) -> int:
    if member.isdir():
        return stat.S_IFDIR
    if member.isfile():
        return stat.S_IFREG
    return stat.S_IFLNK if member.issym() or member.islnk() else stat.S_IFIFO


def _hostile(name: str, mode: int) -> str | None:
    """Return why a member must not be unpacked, or None."""
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        return "has an absolute path"
    if ".." in PureWindowsPath(name).parts:  # a Windows path splits at both kinds of slash
        return "leads out of the folder"
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is neither a file nor a folder"
    return None
