"""python -m benchmarks.bench_training --records out/tfrecords

How fast the networks train on this machine: pictures a second with synthetic and with real input,
the share of time spent waiting for pictures, GFLOP/s beside those of a bare matrix product, peak
memory. Every measurement is a process of its own, and all take turns. A step counts as three times
the operations of a forward pass: once forward, and backward for weights and for inputs.
"""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.measure import (
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
from senet_kp.nets import NETWORKS
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.memory import peak_memory_mb

FORWARD_AND_BACKWARD = 3
PRODUCT_SIDE = 2048


@dataclass(frozen=True)
class Config:
    records: Path = Path("out/tfrecords")
    """record folder"""
    nets: tuple[str, ...] = tuple(NETWORKS)
    """networks to measure"""
    batch_sizes: tuple[int, ...] = (16, 32, 64, 128)
    """pictures in a step"""
    seconds: float = 8.0
    """length of one measurement, and with real pictures of a warm-up before it"""
    repeats: int = 3
    """rounds of all measurements"""
    longest_step_s: float = 20.0
    """larger batches are left out where a step would take longer than this"""
    threads: int = os.cpu_count() or 1
    """threads of one op, and ops at a time"""
    write: bool = False
    """keep the result in benchmarks/results/training.json, the table in the docs; rows of
    networks and batch sizes that are left out stay as they are there"""


def bench(config: Config) -> dict:
    """Measure everything in turn; raises UserError for no such network."""
    if unknown := set(config.nets) - set(NETWORKS):
        raise UserError(f"--nets: no {min(unknown)}, only {', '.join(NETWORKS)}")
    manifest = read_manifest(config.records)
    steps = [
        StepConfig(config.records, net, batch_size, real_input, config.threads)
        for net in config.nets
        for batch_size in sorted(config.batch_sizes)
        for real_input in (False, True)
    ]
    found, products = {step: [] for step in steps}, []
    with tqdm(total=config.repeats * len(steps), unit="run", disable=None) as bar:
        for _ in range(config.repeats):
            products.append(product_gflop_per_s())
            for step in steps:
                if not _too_long(step, found, config.longest_step_s):
                    found[step].append(alone(step, config.seconds))
                bar.update()
    sizes = {net: network_size(net, manifest) for net in config.nets}
    rate = float(np.median(products))
    return {
        "conditions": conditions(
            repeats=config.repeats,
            seconds=config.seconds,
            threads=config.threads,
            size_px=manifest["box"]["size_px"],
            product=f"{PRODUCT_SIDE} x {PRODUCT_SIDE}",
        ),
        "product_gflop_per_s": summary(products),
        "trainings": [
            _row(step, runs, sizes[step.net], rate) for step, runs in found.items() if runs
        ],
    }


def product_gflop_per_s() -> float:
    """What a product of two float32 matrices reaches on all cores."""
    a = np.random.default_rng(0).random((PRODUCT_SIDE, PRODUCT_SIDE), np.float32)
    seconds = interleaved_s({"product": lambda: a @ a}, 10, warmup=3)["product"]
    return 2 * PRODUCT_SIDE**3 / float(np.median(seconds)) / 1e9


def measure(step: StepConfig, seconds: float) -> dict:
    """Speed, share of waiting and peak memory of a training in this process."""
    with training_step(step) as run:
        # Real pictures are decoded in the first epoch alone, if there is room for them.
        warmup_s = seconds if step.real_input else 0.0
        steps, took_s, waited_s = timed_steps(run, seconds, warmup_s=warmup_s)
    return {
        "images_per_s": steps * step.batch_size / took_s,
        "wait_share": waited_s / took_s,
        "peak_mb": peak_memory_mb(),
    }


def alone(step: StepConfig, seconds: float, environment: dict | None = None) -> dict:
    """The same, in a process that does nothing before or after, with more in its environment."""
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            return process.submit(measure, step, seconds).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


def in_turn(steps: dict, repeats: int, seconds: float, environments: dict) -> dict[str, list]:
    """What each of these trainings measures alone, turn after turn, by the names they have.

    steps: {name: StepConfig}; environments: {name: what its environment has besides}.
    """
    found = {name: [] for name in steps}
    turns = [name for _ in range(repeats) for name in steps]
    for name in tqdm(turns, unit="run", disable=None):
        found[name].append(alone(steps[name], seconds, environments.get(name)))
    return found


def _too_long(step: StepConfig, found: dict, longest_s: float) -> bool:
    """Whether a step would take too long, by what smaller batches of the network took."""
    speeds = [
        run["images_per_s"]
        for other, runs in found.items()
        for run in runs
        if other.net == step.net and other.batch_size < step.batch_size
    ]
    return bool(speeds) and step.batch_size / max(speeds) > longest_s


def _row(step: StepConfig, runs: list[dict], size: tuple[int, float], rate: float) -> dict:
    """size: weights, and MFLOP of a forward pass; rate: GFLOP/s of the bare product."""
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
        "share_of_product": speed / rate,
    }


def with_older_rows(result: dict, older: dict) -> dict:
    """A result beside an older one's other rows; raises UserError where those are of another size.

    In the order of networks, batch sizes and inputs.
    """

    def by_name(result: dict) -> dict:
        return {(row["net"], row["batch_size"], row["input"]): row for row in result["trainings"]}

    rows = with_earlier(result, older, by_name, ("size_px", "threads"))
    order = sorted(
        rows, key=lambda name: (list(NETWORKS).index(name[0]), name[1], name[2] == "real")
    )
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
