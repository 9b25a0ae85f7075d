"""Safe unpacking of an untrusted zip archive."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from senet_kp.tfrecords.errors import InputError


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a zip archive into an existing folder; return the number of files.

    Raises InputError before writing anything if the file is not a zip archive, or if a member would
    be written outside the folder or is neither a file nor a folder; and, during unpacking, if the
    data of a member are damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            for member in members:
                if reason := _hostile(member):
                    raise InputError(
                        f"{archive}: refused, its member {member.filename!r} {reason}; nothing was"
                        " unpacked; remove the archive"
                    )
            for member in tqdm(members, unit="file", desc=archive.name, disable=None):
                opened.extract(member, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{archive}: not a complete zip archive ({error}); remove it") from None
    return sum(not member.is_dir() for member in members)


def _hostile(member: zipfile.ZipInfo) -> str | None:
    """Return why a member must not be unpacked, or None."""
    name = member.filename
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        return "has an absolute path"
    if ".." in PureWindowsPath(name).parts:  # a Windows path splits at both kinds of slash
        return "leads out of the folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is neither a file nor a folder"
    return None
