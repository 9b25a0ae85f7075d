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

from benchmarks.measure import markdown_table
from benchmarks.training_step import StepConfig, timed_steps, training_step
from senet_kp.tf1 import tf
from tfrecords.errors import exit_code_of
from tfrecords.files import write_bytes

BACKWARD = "gradients/"


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


def profile(config: Config) -> Counter:
    """Milliseconds a step of every kind of op, by (kind, "forward" or "backward")."""
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
                    ms[_kind(node)] += node.op_end_rel_nanos / 1e6 / config.steps
    trace = timeline.Timeline(metadata.step_stats).generate_chrome_trace_format()
    write_bytes(config.out, trace.encode())
    return ms


def _kind(node) -> tuple[str, str]:
    """The op of a trace's node, whose label is `name = op(inputs)`, and its half of the step."""
    found = re.search(r"= (\w+)\(", node.timeline_label)
    backward = node.node_name.startswith(BACKWARD)
    return (found[1] if found else "other"), ("backward" if backward else "forward")


def table(ms: Counter, rows: int = 20) -> str:
    """The most costly kinds of op as a table of Markdown."""
    whole = sum(ms.values())
    found = [[op, half, f"{value:.1f}", f"{value / whole:.1%}"]
             for (op, half), value in ms.most_common(rows)]  # fmt: skip
    every = ["all", "", f"{whole:.1f}", ""]
    return markdown_table(["op", "half", "ms a step", "share"], [*found, every])


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.profile_step", description=__doc__)
    print(table(profile(config)), f"trace: {config.out}", sep="")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
