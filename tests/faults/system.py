"""Commands run short of disk, permission, file handles or memory: one line, a code, nothing half.

The disk is a small tmpfs, which only root can mount; without root these trials are left out, and
the table says so. After the shortage is removed, the same command has to succeed.
"""

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.deadline import Deadline
from tests.faults.kills import bad_repetition, changed_strangers, half_written, orphans_of
from tests.faults.operations import Bench, Ended, Operation, begin, contents, ended, strangers
from tests.faults.table import Row

CODES = (2, 3, 4, 5, 6)  # documented in docs/errors.md
DISK_FULL, READ_ONLY = "disk full", "read-only disk"
HANDLES, MEMORY = "out of file handles", "memory limit"
ROOM_BYTES = 256 << 20  # of a disk that is not full


def starve_all(bench: Bench, seed: int, rounds: int, until: Deadline) -> Iterator[Row]:
    """Let every operation run short of everything, `rounds` times or until the end.

    Yields a row of every operation and shortage after each trial; the last of each is its result.
    """
    rng = random.Random(seed)
    shortages = [HANDLES, MEMORY] + [DISK_FULL, READ_ONLY] * (os.geteuid() == 0)
    rows = {}
    for number in range(rounds):
        for operation in bench.operations:
            for shortage in shortages:
                if until.over():
                    return
                share = rng.random()
                row = rows.setdefault((operation, shortage), Row(operation.name, shortage))
                failure = starved(bench, operation, shortage, share)
                row.count(failure and f"{failure} (round {number} of seed {seed}, at {share:.3f})")
                yield row


def starved(bench: Bench, operation: Operation, shortage: str, share: float) -> str | None:
    """Run the operation short of something once; return what went wrong, on one line, or None.

    share: how much of what it needs is there, in [0, 1)
    """
    normal = bench.undisturbed(operation)
    on_disk = shortage in (DISK_FULL, READ_ONLY)
    with _disk(bench.folder / "disk") if on_disk else contextlib.nullcontext() as disk:
        folder = bench.trial(operation, parent=disk)
        before, kept = contents(operation, folder), strangers(operation, folder)
        if shortage == DISK_FULL:
            _remount(disk, f"size={_used(disk) + int(share * normal.size_bytes)}")
        elif shortage == READ_ONLY:
            _remount(disk, "ro")
        process = begin(operation.words, folder, _limits(shortage, share))
        end = ended(process)
        if on_disk:
            _remount(disk, f"rw,size={ROOM_BYTES}")
        problem = (
            _bad_end(end, shortage)
            or orphans_of(process.pid)
            or half_written(operation, folder, before, normal.results)
            or changed_strangers(operation, folder, kept, finished=True)
            or bad_repetition(operation, folder, kept, normal.results, saved=False)
        )
        if not problem or disk:
            shutil.rmtree(folder)
        return problem


def _limits(shortage: str, share: float) -> list[str]:
    """Return the start of a command line that limits what the rest of it may use."""
    if shortage == HANDLES:
        limit = f"ulimit -n {int(16 + share * 48)}"
    elif shortage == MEMORY:
        limit = f"ulimit -v {int(400 + share * 1600) << 10}"
    else:
        return []
    return ["bash", "-c", f'{limit}; exec "$@"', "limited"]


def _bad_end(end: Ended, shortage: str) -> str | None:
    """The command ended well all the same, or with one line and a documented code.

    Where memory runs out, the system or a library may also end the process by a signal.
    """
    if end.hung:
        return "did not end"
    if shortage == MEMORY and end.code < 0:
        return None
    if "Traceback" in end.errors or (end.code not in CODES and end.code != 0):
        return f"exit code {end.code}: {end.errors[-400:]!r}"
    lines = [line for line in end.errors.splitlines() if line.startswith("error: ")]
    return f"{len(lines)} lines of errors" if end.code and not lines else None


@contextlib.contextmanager
def _disk(folder: Path):
    """Yield the folder of a new tmpfs."""
    folder.mkdir(exist_ok=True)
    size = f"size={ROOM_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def _remount(folder: Path, options: str):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def _used(folder: Path) -> int:
    """Return the bytes that are used on the disk of a folder."""
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize
