"""python -m benchmarks.profile_step --records out/tfrecords --net senet

Profile one training step with TensorFlow's tracer: the time by type of op, forward and backward.
The whole trace is written for chrome://tracing or https://ui.perfetto.dev.
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.measure import conditions, markdown_table, report_table
from benchmarks.training_step import StepConfig, timed_steps, training_step
from senet_kp.nets import NetName
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import exit_code_of
from senet_kp.tfrecords.files import write_bytes
from senet_kp.tfrecords.shards import read_manifest

BACKWARD = "gradients/"
# With AVX-512, TensorFlow replaces ops by oneDNN's, for example Conv2D by _MklNativeConv2D.
ONEDNN_PREFIX = re.compile(r"^_Mkl(Native)?")


@dataclass(frozen=True)
class Config:
    records: Path = Path("out/tfrecords")
    """record folder"""
    net: NetName = "senet"
    """network"""
    batch_size: int = 32
    """pictures per training step"""
    steps: int = 10
    """traced steps"""
    threads: int = 1
    """threads; with one, the times of the ops add up to the time of the step"""
    out: Path = Path("out/step-trace.json")
    """file for the trace of the last step"""
    write: bool = False
    """keep the result in benchmarks/results/step.json, the table in the docs"""


def profile(config: Config) -> dict:
    """Return the milliseconds per step by type of op, forward and backward, slowest first."""
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
    """Return the type of op of one node of a trace, and "forward" or "backward".

    timeline_label is `name = op(inputs)`. Ops of oneDNN count as the TensorFlow ops that they
    replace, so that profiles of different processors have the same rows.
    """
    found = re.search(r"= (\w+)\(", timeline_label)
    half = "backward" if node_name.startswith(BACKWARD) else "forward"
    return (ONEDNN_PREFIX.sub("", found[1]) if found else "other"), half


def table(result: dict, rows: int = 12) -> str:
    """Return the slowest types of op as a Markdown table."""
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
