"""A process that reads damaged files, and its watchdog: a crash, a hang or a memory hog is noticed.

The worker keeps the target of the last kind of input, so that its files are built once.
"""

import contextlib
import multiprocessing
import os
import re
import resource
import shutil
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.workers import end_with_parent
from tests.faults.mutators import Mutator, damaged
from tests.faults.targets import LONGEST_MESSAGE, Target

# Of the processor's time, so that a busy machine is no failure; a process that does nothing is
# given IDLE times as long.
HANG_S, BUILD_S, IDLE = 10, 300, 6
MEMORY_MB = 1024  # more than before the input
ADDRESS_SPACE = 6 << 30  # bytes more than before the first input; a hog ends in a MemoryError


@dataclass(frozen=True)
class Kind:
    """A kind of input: what reads it, and how it is damaged.

    name:   the operation in the table of the results
    make:   builds the target in a folder
    weight: share of the damaged inputs
    """

    name: str
    make: Callable[[Path], Target]
    mutators: list[Mutator]
    weight: int = 1

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "-", self.name).strip("-").lower()


class Worker:
    """A worker process; a new one is started after it died or was killed."""

    def __init__(self, folder: Path):
        self._folder, self._process, self._ready = folder, None, None

    def trial(self, kind: Kind, seed: int, number: int) -> str | None:
        """Damage and read one input of a kind; return what failed, or None."""
        if self._process is None or not self._process.is_alive():
            self._start()
        if self._ready != kind.name:
            self._ready = None
            if built := self._ask(("build", kind), BUILD_S):
                raise RuntimeError(f"{kind.name}: the undamaged files cannot be read: {built}")
            self._ready = kind.name
        failure = self._ask(("trial", seed, number), HANG_S)
        return failure and f"input {number} of seed {seed}{failure}"

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self):
        context = multiprocessing.get_context("spawn")
        self._channel, channel = context.Pipe()
        self._process = context.Process(target=_work, args=(channel, self._folder), daemon=True)
        self._process.start()
        channel.close()
        self._ready = None

    def _ask(self, task, limit_s: float) -> str | None:
        try:
            self._channel.send(task)
            start_s, process = time.monotonic(), self._process.pid
            busy_s = _cpu_s(process)
            while not self._channel.poll(0.2):
                waited_s = time.monotonic() - start_s
                if _cpu_s(process) - busy_s > limit_s or waited_s > IDLE * limit_s:
                    failure = f": took more than {limit_s} s"
                    break
            else:
                return self._channel.recv()
        except (EOFError, ConnectionError):
            self._process.join(10)
            failure = f": the process ended with code {self._process.exitcode}"
        self.close()
        return failure


def _cpu_s(process: int) -> float:
    """The processor's time that a process has used; a process that ended has used none."""
    with contextlib.suppress(OSError):
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _work(channel, folder: Path):
    """Do the tasks that come through the channel; all output goes into a file."""
    end_with_parent()
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
        stream.reconfigure(errors="backslashreplace")
    kind = target = None
    with contextlib.suppress(EOFError):
        while True:
            match channel.recv():
                case ("build", kind):
                    answer, target = _built(kind, folder)
                case ("trial", seed, number):
                    answer = trial(kind, target, seed, number, folder / "failures")
            channel.send(answer)


def _built(kind: Kind, folder: Path) -> tuple[str | None, Target | None]:
    root = folder / kind.slug
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    try:
        target = kind.make(root)
        target.start()
    except Exception:
        return traceback.format_exc(), None
    size = _status("VmSize") << 10
    resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, resource.RLIM_INFINITY))
    return None, target


def input_of(kind: Kind, target: Target, seed: int, number: int) -> tuple[Path, bytes, str]:
    """The damaged file, its new bytes and the names of the mutators, for one number."""
    random = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), number])
    file = target.damaged[int(random.integers(len(target.damaged)))]
    return file, *damaged(file.read_bytes(), kind.mutators, random)


def trial(kind: Kind, target: Target, seed: int, number: int, kept: Path) -> str | None:
    """Damage one file of a target and read it; return what failed, or None.

    The damaged file is written before it is read to the folder `kept`, and stays there if the
    process does not survive or the result is wrong.
    """
    file, new, how = input_of(kind, target, seed, number)
    copy = kept / f"{kind.slug}-{seed}-{number}-{file.name}"
    kept.mkdir(exist_ok=True)
    copy.write_bytes(new)
    old = file.read_bytes()
    try:
        file.write_bytes(new)
        failure = _failure(target, file, old, new, how)
    finally:
        file.write_bytes(old)
    if failure is None:
        copy.unlink()
        return None
    return f", {how}, {copy.name}: {failure}"


def _failure(target: Target, file: Path, old: bytes, new: bytes, how: str) -> str | None:
    before_mb = _reset_peak_mb()
    target.refused = []
    try:
        result = target.use()
        failure = target.problem(result, file, old, new, how) if new != old else None
    except UserError as error:
        failure = None
        target.refused.append(error)
    except BaseException as error:
        failure = f"{type(error).__name__}: {_folded(error)[:300]}, {_place_of(error)}"
    messages = (_message_fault(error, target) for error in target.refused)
    failure = failure or next(filter(None, messages), None)
    used_mb = (_status("VmHWM") >> 10) - before_mb
    return failure or (f"used {used_mb:,} MB of memory" if used_mb > MEMORY_MB else None)


def _message_fault(error: UserError, target: Target) -> str | None:
    """What is wrong with the message of an error: too long, or without the name of a file."""
    text = _folded(error)
    names = [str(target.root), *(path.name for path in target.damaged)]
    if not any(name in text for name in names):
        return f"a message that names no file: {text[:300]}"
    return f"a message of {len(text):,} characters" if len(text) > LONGEST_MESSAGE else None


def _folded(error) -> str:
    return " ".join(str(error).split())


def _place_of(error) -> str:
    """The last line of this project in a traceback, outside this program."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f for f in frames if "/site-packages/" not in f.filename and "/faults/" not in f.filename
    ]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno} in {last.name}"


def _status(key: str) -> int:
    """A value of /proc/self/status in KiB."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M)[1])


def _reset_peak_mb() -> int:
    """Reset the peak of the resident memory to what is resident now, and return it."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmHWM") >> 10
