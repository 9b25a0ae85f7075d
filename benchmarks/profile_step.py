"""python -m benchmarks.profile_step --records out/tfrecords --net senet

Where the time of one training step goes, by kind of op, as TensorFlow's own tracer measures it; the
whole trace is written for chrome://tracing or https://ui.perfetto.dev.
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.measure import conditions, markdown_table, report_table
from benchmarks.training_step import StepConfig, timed_steps, training_step
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import exit_code_of
from senet_kp.tfrecords.files import write_bytes
from senet_kp.tfrecords.shards import read_manifest

BACKWARD = "gradients/"
# With AVX-512, TensorFlow replaces ops by equivalent ops of oneDNN: Conv2D by _MklNativeConv2D.
ONEDNN_PREFIX = re.compile(r"^_Mkl(Native)?")


@dataclass(frozen=True)
class Config:
    records: Path = Path("out/tfrecords")
    """record folder"""
    net: str = "senet"
    """network"""
    batch_size: int = 32
    """pictures in a step"""
    steps: int = 10
    """traced steps"""
    threads: int = 1
    """threads; with one the times of the ops add up to the step's"""
    out: Path = Path("out/step-trace.json")
    """the last step's trace"""
    write: bool = False
    """keep the result in benchmarks/results/step.json, the table in the docs"""


def profile(config: Config) -> dict:
    """What every kind of op takes of a step, forward and backward, the most costly first."""
    from tensorflow.python.client import timeline

    step = StepConfig(config.records, config.net, config.batch_size, False, config.threads)
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    ms = Counter()
    with training_step(step) as run:
        timed_steps(run, seconds=0, warmup_steps=5)
        for _ in range(config.steps):
            metadata = tf.RunMetadata()
            run(None, options, metadata)
            for device in metadata.step_stats.dev_stats:
                for node in device.node_stats:
                    kind = op_and_half(node.node_name, node.timeline_label)
                    ms[kind] += node.op_end_rel_nanos / 1e6 / config.steps
    trace = timeline.Timeline(metadata.step_stats).generate_chrome_trace_format()
    write_bytes(config.out, trace.encode())
    return {
        "conditions": conditions(
            net=config.net,
            batch_size=config.batch_size,
            steps=config.steps,
            threads=config.threads,
            size_px=read_manifest(config.records)["box"]["size_px"],
        ),
        "ops": [{"op": op, "half": half, "ms": value} for (op, half), value in ms.most_common()],
    }


def op_and_half(node_name: str, timeline_label: str) -> tuple[str, str]:
    """The kind of op of one node of a trace, and its half of the step.

    timeline_label is `name = op(inputs)`. An op of oneDNN's counts as the TensorFlow op that it
    replaces, so that profiles of different processors have the same rows.
    """
    found = re.search(r"= (\w+)\(", timeline_label)
    half = "backward" if node_name.startswith(BACKWARD) else "forward"
    return (ONEDNN_PREFIX.sub("", found[1]) if found else "other"), half


def table(result: dict, rows: int = 12) -> str:
    """The most costly kinds of op as a table of Markdown."""
    ops = result["ops"]
    whole = sum(row["ms"] for row in ops)
    rest = sum(row["ms"] for row in ops[rows:])
    found = [(row["op"], row["half"], row["ms"]) for row in ops[:rows]]
    lines = [
        [op, half, f"{ms:.1f}", f"{ms / whole:.1%}"]
        for op, half, ms in (*found, ("all else", "", rest))
    ]
    every = ["a step", "", f"{whole:.1f}", ""]
    return markdown_table(["op", "half", "ms", "share"], [*lines, every])


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.profile_step", description=__doc__)
    result = profile(config)
    report_table("step", result, table(result), config.write)
    print(f"trace: {config.out}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
