"""Commands are killed at random moments; the same command then ends well, with equal results."""

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.deadline import Deadline
from tests.faults.operations import (
    Bench,
    Operation,
    begin,
    contents,
    difference,
    ended,
    matches,
    run,
    strangers,
)
from tests.faults.table import Row

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SAVED = "stopped and saved"  # what a training says that a signal has ended
ORPHANS_END_IN_S = 20.0  # worker processes whose parent was killed


def kill_all(bench: Bench, seed: int, kills: int, until: Deadline) -> Iterator[Row]:
    """Kill every operation in turn, by every signal in turn, `kills` times in all.

    Stops early when `until` is over. Yields a row of every operation and signal after
    each trial, so that the last row of each is its result.
    """
    rng = random.Random(seed)
    rows = {}
    for trial in range(kills):
        if until.over():
            return
        operation = bench.operations[trial % len(bench.operations)]
        number = SIGNALS[trial // len(bench.operations) % len(SIGNALS)]
        old = bool(operation.older) and rng.random() < 0.5
        share = rng.random()
        row = rows.setdefault((operation, number), Row(operation.name, number.name))
        failure = killed(bench, operation, number, share, old)
        row.count(failure and f"{failure} (kill {trial} of seed {seed}, at {share:.3f})")
        yield row


def killed(bench: Bench, operation: Operation, number, share: float, old: bool) -> str | None:
    """Kill the operation once; return what went wrong, on one line, or None.

    share: the moment in [0, 1), from shortly before its first new file to shortly after its end
    """
    normal = bench.undisturbed(operation)
    folder = bench.trial(operation, old)
    before, kept = contents(operation, folder), strangers(operation, folder)
    begins = 0.7 * normal.writes_after_s
    process = begin(operation.words, folder)
    time.sleep(begins + share * (1.05 * normal.seconds - begins))
    with contextlib.suppress(ProcessLookupError):
        # Ctrl-C reaches all processes of a terminal, the other signals reach the one named.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    end = ended(process, 60)
    problem = (
        _bad_end(end, number)
        or orphans_of(process.pid)
        or half_written(operation, folder, before, normal.results)
        or changed_strangers(operation, folder, kept, finished=False)
        or bad_repetition(operation, folder, kept, normal.results, SAVED in end.output)
    )
    if not problem:
        shutil.rmtree(folder)
    return problem


def _bad_end(end, number) -> str | None:
    """The process ended by the signal, told of it on one line, or had already ended well."""
    if end.hung:
        return "did not end in 60 s after the signal"
    if end.code not in (0, 130, -number):
        return f"exit code {end.code} after {number.name}: {end.errors[-300:]!r}"
    told = end.errors.count("error: interrupted") + end.output.count(SAVED)
    if end.code == 130 and told != 1:
        return f"exit code 130 without its line: {end.errors[-300:]!r}"
    return f"a traceback: {end.errors[-300:]!r}" if "Traceback" in end.errors else None


def orphans_of(session: int) -> str | None:
    """Wait for the processes of a session to end; name those that do not."""
    until = time.monotonic() + ORPHANS_END_IN_S
    while left := [pid for pid in _processes() if _session(pid) == session]:
        if time.monotonic() > until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return f"{len(left)} processes go on {ORPHANS_END_IN_S:.0f} s after their parent's end"
        time.sleep(0.1)
    return None


def half_written(operation: Operation, folder: Path, before: dict, final: dict) -> str | None:
    """Every result under its final name is the one of before or the undisturbed one."""
    for name, data in contents(operation, folder).items():
        partial = matches(name, operation.grows) or Path(name).name.startswith(".")
        if not partial and data not in (before.get(name), final.get(name)):
            return f"{name}: is neither the result of before nor the undisturbed one"
    return None


def changed_strangers(operation: Operation, folder: Path, kept: dict, finished: bool) -> str | None:
    """Files of others are unchanged; after a finished command nothing else is there."""
    found = strangers(operation, folder)
    if lost := [name for name in kept if found.get(name) != kept[name]]:
        return f"changed or removed files of others: {', '.join(lost)}"
    left = [name for name in found if name not in kept]
    return f"left behind: {', '.join(left[:5])}" if finished and left else None


def bad_repetition(
    operation: Operation, folder: Path, kept: dict, final: dict, saved: bool
) -> str | None:
    """The same command, undisturbed, ends well and leaves the undisturbed result.

    saved: the command saved what it had done before it ended by the signal
    """
    end = run(operation.words, folder)
    if end.code != 0:
        return f"the same command afterwards: exit code {end.code}: {end.errors[-300:]!r}"
    results = contents(operation, folder)
    if saved:
        results, final = (_without(found, operation.saved) for found in (results, final))
    if results != final:
        return f"the same command afterwards leaves other results: {difference(results, final)}"
    return changed_strangers(operation, folder, kept, finished=True)


def _without(results: dict, patterns: tuple[str, ...]) -> dict:
    return {name: data for name, data in results.items() if not matches(name, patterns)}


def _processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _session(pid: int) -> int | None:
    """Return the session of a process that has not ended, from /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[3]) if fields[0] != "Z" else None
