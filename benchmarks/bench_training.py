"""python -m benchmarks.bench_training --records out/tfrecords

Measure the training throughput of the networks on this machine: pictures per second with synthetic
and with real input, the share of time spent waiting for input, GFLOP/s as a share of the matmul
peak, and peak memory. Every measurement runs in a separate process, and all take turns. A training
step counts as three times the operations of a forward pass: the forward pass itself, and the
backward pass for weights and for inputs.
"""

import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.measure import (
    Record,
    conditions,
    footnote,
    interleaved_s,
    mark,
    markdown_table,
    read_result,
    report_table,
    summary,
    with_earlier,
    with_spread,
)
from benchmarks.training_step import StepConfig, timed_steps, training_step
from benchmarks.trials import network_size
from senet_kp.nets import NETWORKS, NetName
from senet_kp.tfrecords.errors import exit_code_of
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.memory import peak_memory_mb

FORWARD_AND_BACKWARD = 3
MATMUL_SIZE = 2048  # rows and columns of the matrices


@dataclass(frozen=True)
class Config:
    records: Path = Path("out/tfrecords")
    """record folder"""
    nets: tuple[NetName, ...] = tuple(NETWORKS)
    """networks to measure"""
    batch_sizes: tuple[int, ...] = (16, 32, 64, 128)
    """pictures per training step"""
    seconds: float = 8.0
    """length of one measurement, and of the warm-up before one with real pictures"""
    repeats: int = 3
    """rounds of all measurements"""
    longest_step_s: float = 20.0
    """skip a batch size if its step would take longer than this"""
    threads: int = os.cpu_count() or 1
    """threads of one op, and number of ops that run at a time"""
    write: bool = False
    """keep the result in benchmarks/results/training.json, the table in the docs; rows of
    networks and batch sizes that are left out stay as they are there"""


def bench(config: Config) -> dict:
    """Measure all networks, batch sizes and inputs in turn."""
    manifest = read_manifest(config.records)
    steps = [
        StepConfig(config.records, net, batch_size, real_input, config.threads)
        for net in config.nets
        for batch_size in sorted(config.batch_sizes)
        for real_input in (False, True)
    ]
    found, peaks, record = {step: [] for step in steps}, [], Record("training")
    with tqdm(total=config.repeats * len(steps), unit="run", disable=None) as bar:
        for _ in range(config.repeats):
            peaks.append(matmul_gflop_per_s())
            for step in steps:
                if not _too_long(step, found, config.longest_step_s):
                    found[step].append(alone(step, config.seconds))
                    kind = "real" if step.real_input else "synthetic"
                    record.add(f"{step.net}, {step.batch_size}, {kind}", **found[step][-1])
                bar.update()
    sizes = {net: network_size(net, manifest) for net in config.nets}
    peak = float(np.median(peaks))
    return {
        "conditions": conditions(
            repeats=config.repeats,
            seconds=config.seconds,
            threads=config.threads,
            size_px=manifest["box"]["size_px"],
            product=f"{MATMUL_SIZE} x {MATMUL_SIZE}",
        ),
        "product_gflop_per_s": summary(peaks),
        "trainings": [
            _row(step, runs, sizes[step.net], peak) for step, runs in found.items() if runs
        ],
    }


def matmul_gflop_per_s() -> float:
    """Measure the matmul peak: GFLOP/s of NumPy's product of two float32 matrices on all cores."""
    a = np.random.default_rng(0).random((MATMUL_SIZE, MATMUL_SIZE), np.float32)
    seconds = interleaved_s({"matmul": lambda: a @ a}, 10, warmup=3)["matmul"]
    return 2 * MATMUL_SIZE**3 / float(np.median(seconds)) / 1e9


def measure(step: StepConfig, seconds: float) -> dict:
    """Measure throughput, share of waiting and peak memory of a training in this process."""
    with training_step(step) as run:
        # Decoded pictures are cached in the first epoch if they fit, so warm up before timing.
        warmup_s = seconds if step.real_input else 0.0
        steps, took_s, waited_s = timed_steps(run, seconds, warmup_s=warmup_s)
    return {
        "images_per_s": steps * step.batch_size / took_s,
        "wait_share": waited_s / took_s,
        "peak_mb": peak_memory_mb(),
    }


def alone(step: StepConfig, seconds: float, environment: dict | None = None) -> dict:
    """Call `measure` in a new process, which an interrupt ends, with more environment variables."""
    before, context = dict(os.environ), multiprocessing.get_context("spawn")
    os.environ.update(environment or {})
    try:
        with ProcessPoolExecutor(1, context, _leave_interrupts_to_the_parent) as process:
            try:
                return process.submit(measure, step, seconds).result()
            except KeyboardInterrupt:
                for child in multiprocessing.active_children():
                    child.kill()
                raise
    finally:
        os.environ.clear()
        os.environ.update(before)


def _leave_interrupts_to_the_parent():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def in_turn(
    steps: dict, repeats: int, seconds: float, environments: dict, record: Record
) -> dict[str, list]:
    """Measure several trainings in turn, each in a new process; return {name: measurements}.

    steps: {name: StepConfig}. environments: {name: additional environment variables}. record: where
    to keep each measurement.
    """
    found = {name: [] for name in steps}
    turns = [name for _ in range(repeats) for name in steps]
    for name in tqdm(turns, unit="run", disable=None):
        found[name].append(alone(steps[name], seconds, environments.get(name)))
        record.add(name, **found[name][-1])
    return found


def _too_long(step: StepConfig, found: dict, longest_s: float) -> bool:
    """Return whether a step would take too long, judging by smaller batches of the network."""
    speeds = [
        run["images_per_s"]
        for other, runs in found.items()
        for run in runs
        if other.net == step.net and other.batch_size < step.batch_size
    ]
    return bool(speeds) and step.batch_size / max(speeds) > longest_s


def _row(step: StepConfig, runs: list[dict], size: tuple[int, float], peak: float) -> dict:
    """Return one row of the result.

    size: number of weights, and MFLOP of a forward pass. peak: the matmul peak in GFLOP/s.
    """
    weights, mflop = size
    values = {key: summary([run[key] for run in runs]) for key in runs[0]}
    speed = FORWARD_AND_BACKWARD * mflop / 1000 * values["images_per_s"]["median"]
    return {
        "net": step.net,
        "batch_size": step.batch_size,
        "input": "real" if step.real_input else "synthetic",
        "weights": weights,
        **values,
        "gflop_per_s": speed,
        "share_of_product": speed / peak,
    }


def with_older_rows(result: dict, older: dict) -> dict:
    """Add the rows of an older result for other networks, batch sizes or inputs.

    Networks keep the order of the older result; new ones follow. The rows of a network are sorted
    by batch size and input. Raises UserError if the conditions differ.
    """

    def by_name(result: dict) -> dict:
        return {(row["net"], row["batch_size"], row["input"]): row for row in result["trainings"]}

    rows = with_earlier(result, older, by_name, ("size_px", "threads"))
    nets = list(dict.fromkeys([row["net"] for row in older["trainings"]] + list(NETWORKS)))
    order = sorted(rows, key=lambda name: (nets.index(name[0]), name[1], name[2] == "real"))
    return result | {"trainings": [rows[name] for name in order]}


def table(result: dict) -> str:
    """The measurements as a table of Markdown."""
    columns = [
        "network",
        "batch",
        "input",
        "pictures/s (slowest, fastest)",
        "waiting",
        "GFLOP/s",
        "share of matmul peak",
        "peak memory",
    ]
    rows = [
        [
            f"`{row['net']}`{mark(row)}",
            str(row["batch_size"]),
            row["input"],
            with_spread(row["images_per_s"]),
            f"{row['wait_share']['median']:.1%}",
            f"{row['gflop_per_s']:.0f}",
            f"{row['share_of_product']:.0%}",
            f"{row['peak_mb']['max']:,.0f} MB",
        ]
        for row in result["trainings"]
    ]
    return markdown_table(columns, rows) + footnote(result["trainings"])


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.bench_training", description=__doc__)
    result = bench(config)
    if config.write:
        result = with_older_rows(result, read_result("training"))
    report_table("training", result, table(result), config.write)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
