"""The names of unfinished files and folders, and what becomes of those that a kill has left.

A result is written under the name `.NAME.HOST-PROCESS.tmp` and renamed when it is complete; a
folder that it replaces is called `.NAME.HOST-PROCESS.old` meanwhile. HOST is a hash of this
project's name and the machine's, so that nobody else's files have such names, and PROCESS is the
number of the process, so that the files of one that still runs are left alone, also by a machine
that shares the disk.
"""

import contextlib
import hashlib
import os
import platform
import re
import shutil
from functools import cache
from pathlib import Path

TEMPORARY, OLD = ".tmp", ".old"


def temporary_name(name: str) -> str:
    """The name under which this process writes the file or folder `name`."""
    return f".{name}.{_host()}-{os.getpid()}{TEMPORARY}"


@cache
def remove_leftovers(folder: Path):
    """Remove the unfinished files and folders that ended processes have left in a folder.

    Once for each folder and process, since a folder may hold many files.
    """
    with contextlib.suppress(OSError):
        for path in [path for path in folder.iterdir() if _is_left(path.name, TEMPORARY)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def replaced_folders(path: Path) -> list[Path]:
    """The earlier contents of the folder `path`, set aside by processes that ended since.

    Call it before this process sets anything aside: a folder with its number is of an earlier one.
    """
    candidates = path.parent.glob(f".{_literal(path.name)}.{_host()}-*{OLD}")
    own = temporary_name(path.name).removesuffix(TEMPORARY) + OLD
    found = [e for e in candidates if e.is_dir() and (e.name == own or _is_left(e.name, OLD))]
    return sorted(found, key=lambda each: each.stat().st_mtime)


def _is_left(name: str, ending: str) -> bool:
    """Whether a name is one of this project and this machine, of a process that has ended."""
    found = re.fullmatch(rf"\..+\.{_host()}-(\d+){re.escape(ending)}(\.\w+)*", name, re.DOTALL)
    return bool(found) and _has_ended(int(found[1]))


def _has_ended(process: int) -> bool:
    if os.name != "posix":  # elsewhere, os.kill ends a process whatever the signal
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@cache
def _host() -> str:
    """Eight digits for this machine and, on Linux, its processes' name space (a container's)."""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
        return hashlib.sha256(f"senet_kp/{platform.node()}/{space}".encode()).hexdigest()[:8]
    return hashlib.sha256(f"senet_kp/{platform.node()}".encode()).hexdigest()[:8]


def _literal(name: str) -> str:
    """A name as a pattern of glob that matches only itself."""
    return re.sub(r"([*?[])", r"[\1]", name)
