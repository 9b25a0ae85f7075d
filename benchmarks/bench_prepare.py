"""python -m benchmarks.bench_prepare --data out/sample

Preparation's pictures a second against a bare loop on as many processes, in turn within one run,
and its peak memory. The bare loop reads, decodes, warps and encodes, and throws away what it made:
no labels, no checks, no hashes, nothing handed on, nothing written. About three minutes.
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

from benchmarks.measure import conditions, interleaved_s, report, summary
from data_prep.config import PrepareConfig
from data_prep.lp300w import scan
from data_prep.prepare import CHUNK, prepare
from tfrecords.errors import exit_code_of


@dataclass(frozen=True)
class Config:
    data: Path = Path("out/sample")
    """folder in the layout of 300W-LP"""
    copies: int = 10
    """how often every picture is taken, under names of its own: start-up should not show"""
    repeats: int = 5
    """counted turns of each"""
    processes: int = cpu_count() or 1
    """processes of each"""
    write: bool = False
    """keep the result in benchmarks/results/prepare.json"""


def bare_picture(path: Path, matrix) -> int:
    """Read, decode, warp, encode: what no preparation can do without."""
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    stored = cv2.warpAffine(picture, matrix, (192, 192), flags=cv2.INTER_LINEAR)
    return len(cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def bare_loop(paths: list[Path], processes: int):
    matrix = np.array([[0.53, 0, -20], [0, 0.53, -20]])
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,)) as pool:
        for _ in pool.map(partial(bare_picture, matrix=matrix), paths, chunksize=CHUNK):
            pass


def linked_copies(data: Path, folder: Path, copies: int) -> Path:
    """The tree `copies` times under new photo names, as links."""
    for source in scan(data):
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


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.bench_prepare", description=__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        data = linked_copies(config.data, Path(temporary) / "data", config.copies)
        paths = [source.picture for source in scan(data)]
        numbers = iter(range(1000))

        def ours():  # into a new folder each time, so that there is something to do
            out = Path(temporary) / f"records{next(numbers)}"
            prepare(PrepareConfig(data=(data,), out=out, detector_pictures=0,
                                  processes=config.processes))  # fmt: skip

        bare = partial(bare_loop, paths, config.processes)
        seconds = interleaved_s({"prepare": ours, "bare": bare}, config.repeats)
    rates = {name: len(paths) / np.array(values) for name, values in seconds.items()}
    kb = [resource.getrusage(who).ru_maxrss for who in
          (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]  # fmt: skip
    report("prepare", {
        "conditions": conditions(pictures=len(paths), processes=config.processes,
                                 repeats=config.repeats),
        **{f"{name}_pictures_per_s": summary(values) for name, values in rates.items()},
        "prepare_over_bare": summary(rates["prepare"] / rates["bare"]),
        "peak_memory_mb": (kb[0] + config.processes * kb[1]) / 1024,
    }, config.write)  # fmt: skip


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
