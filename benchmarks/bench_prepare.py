"""python -m benchmarks.bench_prepare --data out/sample

Measure the throughput of data preparation in pictures per second, by number of processes, and its
peak memory. It is compared, in turn within one run, with a bare loop on as many processes, with the
same loop in one process, and with only reading the files. The bare loop reads, decodes, warps and
encodes every picture and discards the result: it has no labels, checks or hashes, and passes on and
writes nothing. All variants read from the page cache. It takes about six minutes.
"""

import resource
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import cv2
import numpy as np
import tyro

from benchmarks.measure import Record, conditions, interleaved_s, report, summary
from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.prepare import CHUNK, prepare
from senet_kp.tfrecords.errors import UserError, exit_code_of

MATRIX = np.array([[0.53, 0, -20], [0, 0.53, -20]])  # scales 450 px to about 192 px


@dataclass(frozen=True)
class Config:
    data: Path = Path("out/sample")
    """folder in the layout of 300W-LP"""
    copies: int = 10
    """use every picture this many times under different names, to make start-up negligible"""
    repeats: int = 5
    """number of timed rounds"""
    processes: tuple[int, ...] = tuple(sorted({1, cpu_count() or 1}))
    """numbers of processes to measure"""
    write: bool = False
    """store the result in benchmarks/results/prepare.json"""


def bare_picture(path: Path) -> int:
    """Read, decode, warp and encode one picture, which every preparation must do."""
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    stored = cv2.warpAffine(picture, MATRIX, (192, 192), flags=cv2.INTER_LINEAR)
    return len(cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def plain_loop(paths: list[Path]):
    cv2.setNumThreads(1)
    for path in paths:
        bare_picture(path)


def bare_loop(paths: list[Path], processes: int):
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,)) as pool:
        for _ in pool.map(bare_picture, paths, chunksize=CHUNK):
            pass


def read_files(paths: list[Path]):
    for path in paths:
        path.read_bytes()


def linked_copies(data: Path, folder: Path, copies: int) -> Path:
    """Link every picture and its labels `copies` times, under new photo names; return `folder`."""
    for source in FORMATS["300w-lp"].scan(data):
        subset, stem = source.subset, source.picture.stem.partition("_")[2]
        for number in range(copies):
            name = f"{subset}_c{number}{stem}"
            for part, old, new in (
                (subset, source.picture, f"{name}.jpg"),
                (subset, source.picture.with_suffix(".mat"), f"{name}.mat"),
                (f"landmarks/{subset}", source.label, f"{name}_pts.mat"),
            ):
                (folder / part).mkdir(parents=True, exist_ok=True)
                if old.exists():
                    (folder / part / new).symlink_to(old.resolve())
    return folder


def measured_s(config: Config, folder: Path) -> tuple[int, dict[str, list[float]]]:
    """Return the number of pictures, and {name: seconds} of all variants."""
    data = linked_copies(config.data, folder / "data", config.copies)
    paths = [source.picture for source in FORMATS["300w-lp"].scan(data)]
    numbers = iter(range(1000))

    def ours(processes: int):  # into a new folder each time, since finished records are not redone
        out = folder / f"records{next(numbers)}"
        prepare(PrepareConfig(data=(data,), out=out, detector_pictures=0, processes=processes))

    functions = {"reading": partial(read_files, paths), "plain_loop": partial(plain_loop, paths)}
    for processes in config.processes:
        functions[f"prepare_{processes}"] = partial(ours, processes)
        functions[f"bare_{processes}"] = partial(bare_loop, paths, processes)
    return len(paths), interleaved_s(functions, config.repeats, record=Record("prepare"))


def speeds(rates: dict, processes: int) -> dict:
    """Return the pictures per second of preparation and bare loop with this many processes."""
    ours, bare = rates[f"prepare_{processes}"], rates[f"bare_{processes}"]
    return {
        "prepare_pictures_per_s": summary(ours),
        "bare_pictures_per_s": summary(bare),
        "prepare_over_bare": summary(ours / bare),
    }


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.bench_prepare", description=__doc__)
    if not config.processes or min(config.processes) < 1:
        raise UserError("--processes needs one or more numbers, each at least 1")
    with tempfile.TemporaryDirectory() as temporary:
        pictures, seconds = measured_s(config, Path(temporary))
    rates = {name: pictures / np.array(values) for name, values in seconds.items()}
    most = max(config.processes)
    kb = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    report(
        "prepare",
        {
            "conditions": conditions(pictures=pictures, processes=most, repeats=config.repeats),
            **speeds(rates, most),
            "peak_memory_mb": (kb[0] + most * kb[1]) / 1024,
            "plain_loop_pictures_per_s": summary(rates["plain_loop"]),
            "reading_pictures_per_s": summary(rates["reading"]),
            "by_processes": {str(count): speeds(rates, count) for count in config.processes},
        },
        config.write,
    )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
