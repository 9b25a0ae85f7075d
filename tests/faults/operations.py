"""The commands that are disturbed, on a few small faces, and what each of them leaves.

Every trial has a folder of its own, in which a command works with relative paths, beside files of
a stranger whose names look like temporary ones. `Bench` prepares the inputs and the undisturbed
results once.
"""

import csv
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180.0  # no undisturbed command takes more than a tenth of this


@dataclass(frozen=True)
class Operation:
    """A stage of `senet-kp`, with what it reads and writes in the folder of a trial."""

    name: str
    words: str  # stage and options
    results: tuple[str, ...]  # files and folders that it writes
    needs: tuple[str, ...] = ()  # results of other operations that it reads or completes
    timed: tuple[str, ...] = ()  # patterns of files that hold a time or the number of a process
    grows: tuple[str, ...] = ()  # patterns of files that are complete only at the end
    marked: tuple[str, ...] = ()  # patterns of files whose name says that they are incomplete
    # Patterns of results that hold more or other values after a run that saved when it was stopped:
    # the rows and columns of that moment.
    saved: tuple[str, ...] = ()
    older: str = ""  # stage and options that leave older results of the same names

    def is_result(self, path: str) -> bool:
        return any(path == result or path.startswith(f"{result}/") for result in self.results)


TRAIN = (
    "train --net plain_cnn --records records --run run --steps 12 --batch-size 4 --bn-decay 0.8"
    " --threads 1 --validate-every-steps 4 --log-every-steps 1"
)
PREPARE = "--data sample --box.size-px 32 --detector-pictures 4 --processes 2"
FREEZE = "freeze --run run --records records --out net.pb"
DRAWN = "--model net.pb --out drawn --json drawn.jsonl"
GRAPH = ("net.pb", "net.json", "net.fingerprints")

OPERATIONS = (
    Operation("sample", "sample --out sample --count 24 --views 2 --processes 2", ("sample",)),
    Operation(
        "prepare",
        f"prepare {PREPARE} --out records --overwrite",
        ("records", "records-rejects.csv"),
        ("sample",),
        older=f"prepare {PREPARE} --out records --seed 1",
    ),
    Operation(
        "beam-prepare",
        f"beam-prepare {PREPARE} --out beam --overwrite",
        ("beam", "beam-rejects.csv"),
        ("sample",),
        older=f"beam-prepare {PREPARE} --out beam --seed 1",
    ),
    Operation(
        "train",
        TRAIN,
        ("run",),
        ("records",),
        timed=("run/events.out.tfevents.*", "run/.lock"),
        grows=("run/*",),
        saved=(
            *("run/metrics.csv", "run/curves.png", "run/progress.*", "run/latest/checkpoint"),
            *("run/latest/ckpt-[1-9].*", "run/latest/ckpt-1[01].*"),
        ),
    ),
    Operation("freeze", FREEZE, GRAPH, ("records", "run")),
    Operation(
        "export",
        "export --model net.pb --records records --formats onnx",
        ("net.json", "net.onnx"),
        ("records", *GRAPH),
    ),
    Operation(
        "report",
        "report --models net.pb --records records --out report.html",
        ("report.html", "report.json"),
        ("records", *GRAPH),
    ),
    Operation(
        "demo on a folder",
        f"demo sample/SAMPLE {DRAWN} --processes 2",
        ("drawn", "drawn.jsonl", "drawn.jsonl.part", "drawn.jsonl.resume"),
        ("sample", *GRAPH),
        marked=("drawn.jsonl.part", "drawn.jsonl.resume"),
    ),
    Operation(
        "demo on a video",
        f"demo clip.mp4 {DRAWN}",
        ("drawn", "drawn.jsonl"),
        ("clip.mp4", *GRAPH),
        grows=("drawn.jsonl",),
        marked=("drawn/*-incomplete.mp4",),
    ),
)

# Names that resemble the temporary ones of this project, in places where it writes.
STRANGERS = (
    "notes.txt",
    "work/thesis.txt",
    ".records.tmp/mine.txt",
    ".net.pb.tmp",
    ".net.pb.1.tmp",
    ".sample.backup.old/mine.txt",
)


class Bench:
    """Inputs and undisturbed results of all operations, made once in a folder."""

    def __init__(self, folder: Path, operations=OPERATIONS):
        self.folder = folder
        self.operations = operations
        self._results = {}
        self._trials = 0

    def trial(self, operation: Operation, old: bool = False, parent: Path | None = None) -> Path:
        """Return a new folder with what the operation reads, and a stranger's files."""
        self._trials += 1
        folder = (parent or self.folder) / f"trial-{self._trials}"
        folder.mkdir(parents=True)
        for name in operation.needs:
            _copy(self.given(name), folder / name)
        if old:
            for name in operation.results:
                _copy(self.older(operation) / name, folder / name)
        for name in STRANGERS:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(f"{name} belongs to somebody else\n")
        return folder

    def given(self, name: str) -> Path:
        """Return the undisturbed result of this name, which its operation makes once."""
        path = self.folder / "inputs" / name
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "clip.mp4":
            write_clip(path, sorted(self.given("sample").glob("SAMPLE/*.jpg")))
            return path
        maker = next(operation for operation in OPERATIONS if name in operation.results)
        for need in maker.needs:
            self.given(need)
        _must_succeed(maker, run(maker.words, path.parent))
        return path

    def older(self, operation: Operation) -> Path:
        """Return a folder with results of the same names from other settings."""
        folder = self.folder / f"older-{operation.name}"
        if not folder.exists():
            folder.mkdir()
            for name in operation.needs:
                _copy(self.given(name), folder / name)
            _must_succeed(operation, run(operation.older, folder))
        return folder

    def undisturbed(self, operation: Operation) -> "Undisturbed":
        """Run the operation twice, once for its results and once to see that they repeat."""
        if operation not in self._results:
            first, second = (self._once(operation) for _ in range(2))
            if first.results != second.results:
                changed = difference(first.results, second.results)
                raise RuntimeError(f"{operation.name}: two undisturbed runs differ in {changed}")
            self._results[operation] = second
        return self._results[operation]

    def _once(self, operation: Operation) -> "Undisturbed":
        folder = self.trial(operation)
        before = snapshot(folder)
        start = time.perf_counter()
        process = begin(operation.words, folder)
        writes_after_s = None
        while process.poll() is None and time.perf_counter() - start < PATIENCE_S:
            if writes_after_s is None and snapshot(folder).keys() != before.keys():
                writes_after_s = time.perf_counter() - start
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        _must_succeed(operation, ended(process, PATIENCE_S))
        results = contents(operation, folder)
        size = sum((folder / name).stat().st_size for name in results)
        shutil.rmtree(folder)
        return Undisturbed(results, seconds, writes_after_s or 0.0, size)


@dataclass(frozen=True)
class Undisturbed:
    """What an operation leaves when nothing disturbs it, and how long it takes."""

    results: dict[str, bytes]
    seconds: float
    writes_after_s: float  # until the first new file
    size_bytes: int


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int  # negative for a signal, as in subprocess
    output: str
    errors: str

    @property
    def hung(self) -> bool:
        return self.output == "hung"


def begin(words: str, folder: Path, prefix=()) -> subprocess.Popen:
    """Start `senet-kp WORDS` in the folder, as the leader of a session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "senet_kp", *words.split()],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def ended(process: subprocess.Popen, timeout_s: float = PATIENCE_S) -> Ended:
    """Wait for a process; one that does not end in time is killed and called hung."""
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return Ended(process.wait(), "hung", "hung")
    return Ended(process.returncode, output, errors)


def run(words: str, folder: Path, prefix=()) -> Ended:
    return ended(begin(words, folder, prefix))


def snapshot(folder: Path) -> dict[str, tuple]:
    """Return {relative path: (size, time of change)} of all files below a folder."""
    found = {}
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:  # removed while the folder was listed
            continue
        if not path.is_dir():
            found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns)
    return found


def contents(operation: Operation, folder: Path) -> dict[str, bytes]:
    """Return {relative path: bytes} of the operation's results, less times and marked files."""
    return {
        name: _comparable(folder / name)
        for name in sorted(snapshot(folder))
        if operation.is_result(name) and not matches(name, (*operation.timed, *operation.marked))
    }


def strangers(operation: Operation, folder: Path) -> dict[str, bytes]:
    """Return {relative path: bytes} of all other files in the folder."""
    names = (name for name in sorted(snapshot(folder)) if not operation.is_result(name))
    return {name: (folder / name).read_bytes() for name in names}


def difference(a: dict[str, bytes], b: dict[str, bytes]) -> str:
    """Return the names of the files in which two results differ, on one line."""
    return ", ".join(sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name)))


def matches(name: str, patterns) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def write_clip(path: Path, pictures: list[Path]):
    """Write a clip of 24 frames of 256x256 in which the first picture drifts to the right."""
    import cv2
    import numpy as np

    picture = cv2.resize(cv2.imread(str(pictures[0])), (256, 256))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 24, (256, 256))
    for frame in range(24):
        writer.write(np.roll(picture, frame, axis=1))
    writer.release()


def _comparable(path: Path) -> bytes:
    """Return the bytes of a file, less the times that it holds.

    These are the minutes of a training run, and the fingerprint of a record folder's sources, into
    which the times go at which their files were last changed.
    """
    data = path.read_bytes()
    if path.name == "manifest.json":
        manifest = json.loads(data)
        manifest.pop("listing", None)
        return json.dumps(manifest).encode()
    if path.name == "metrics.csv":
        rows = list(csv.DictReader(data.decode().splitlines()))
        return json.dumps([row | {"minutes": ""} for row in rows]).encode()
    return data


def _must_succeed(operation: Operation, end: Ended):
    if end.code != 0:
        raise RuntimeError(f"{operation.name} fails undisturbed, exit {end.code}: {end.errors}")


def _copy(source: Path, target: Path):
    """Copy a file or folder, if it exists, with its times."""
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy2(source, target)
