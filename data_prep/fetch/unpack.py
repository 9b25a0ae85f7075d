"""Unpacking a zip archive that somebody else made, into a folder and nowhere else."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from senet_kp.tfrecords.errors import InputError


def unpack(archive: Path, folder: Path) -> int:
    """Unpack every file of a zip archive into an existing folder; return how many.

    Raises InputError, before anything is written, for no zip archive and for a member that would
    leave the folder or is neither file nor folder; and for damaged data where it comes to them.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            for member in members:
                if reason := _hostile(member):
                    raise InputError(
                        f"{archive}: refused, its member {member.filename!r} {reason}; nothing was"
                        " unpacked"
                    )
            for member in tqdm(members, unit="file", desc=archive.name, disable=None):
                opened.extract(member, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{archive}: no whole zip archive ({error}); remove it") from None
    return sum(not member.is_dir() for member in members)


def _hostile(member: zipfile.ZipInfo) -> str | None:
    """Why a member must not be unpacked."""
    name = member.filename
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        return "has an absolute path"
    if ".." in PureWindowsPath(name).parts:  # which knows both kinds of slash
        return "leads out of the folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is no file"
    return None
