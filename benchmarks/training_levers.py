"""python -m benchmarks.training_levers --records out/tfrecords

Measure settings that could speed up a training step without changing what it computes. They are
measured in turn, each in a separate process, as pictures per second relative to the default.
"""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from benchmarks.bench_training import in_turn
from benchmarks.measure import (
    Record,
    conditions,
    markdown_table,
    report_table,
    summary,
    with_spread,
)
from benchmarks.training_step import StepConfig
from senet_kp.nets import NetName
from senet_kp.tfrecords.errors import exit_code_of

DEFAULT = "as it is"
# {name: (changes of the StepConfig, additional environment variables)}
LEVERS = {
    DEFAULT: ({}, {}),
    "TensorFlow's own gradients": ({"without": "quick gradients"}, {}),
    "batch norm not fused": ({"without": "fused batch norm"}, {}),
    "one op at a time": ({"ops": 1}, {}),
    "ops of one thread": ({"threads": 1, "ops": os.cpu_count()}, {}),
    "XLA": ({}, {"TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"}),
    "without oneDNN": ({}, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    "batch of 64": ({"batch_size": 64}, {}),
    "batch of 128": ({"batch_size": 128}, {}),
    "real pictures": ({"real_input": True}, {}),
    "real pictures, decoded in every epoch": ({"real_input": True, "without": "kept pictures"}, {}),
}


@dataclass(frozen=True)
class Config:
    records: Path = Path("out/tfrecords")
    """record folder"""
    net: NetName = "senet"
    """network"""
    seconds: float = 15.0
    """length of one measurement, and of the warm-up before one with real pictures"""
    repeats: int = 3
    """rounds of all levers"""
    write: bool = False
    """keep the result in benchmarks/results/levers.json, the table in the docs"""


def bench(config: Config) -> dict:
    """Return {lever: {"images_per_s": summary, "over_as_it_is": ratio, "peak_mb": summary}}."""
    usual = StepConfig(config.records, config.net, 32, False, os.cpu_count() or 1)
    steps = {name: replace(usual, **changes) for name, (changes, _) in LEVERS.items()}
    environments = {name: environment for name, (_, environment) in LEVERS.items()}
    found = in_turn(steps, config.repeats, config.seconds, environments, Record("levers"))
    speeds = {name: np.array([run["images_per_s"] for run in runs]) for name, runs in found.items()}
    return {
        name: {
            "images_per_s": summary(speed),
            "over_as_it_is": float(np.median(speed / speeds[DEFAULT])),
            "peak_mb": summary([run["peak_mb"] for run in found[name]]),
        }
        for name, speed in speeds.items()
    }


def table(result: dict) -> str:
    """Return the levers as a Markdown table."""
    rows = [
        [
            name,
            with_spread(row["images_per_s"]),
            f"{row['over_as_it_is']:.2f}",
            f"{row['peak_mb']['max']:,.0f} MB",
        ]
        for name, row in result["levers"].items()
    ]
    return markdown_table(["lever", "pictures/s (slowest, fastest)", "ratio", "memory"], rows)


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.training_levers", description=__doc__)
    levers = bench(config)
    known = conditions(net=config.net, repeats=config.repeats, seconds=config.seconds)
    result = {"conditions": known, "levers": levers}
    report_table("levers", result, table(result), config.write)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
