"""One training step for benchmarks: a network and batch size, with synthetic or real input."""

import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from senet_kp.input.pipeline import Batch, training_batch
from senet_kp.nets.tf1 import session_config, slim, tf
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.config import recipe
from senet_kp.train.graph import build_training_graph
from senet_kp.train.setup import input_config

# Context managers that switch off one optimisation while a step is built and run.
WITHOUT = {
    "quick gradients": lambda: patch("senet_kp.nets.quick_gradients", nullcontext),
    "fused batch norm": lambda: slim.arg_scope([slim.batch_norm], fused=False),
    "kept pictures": lambda: patch("senet_kp.input.augment.DECODED_MB", 0),
}


@dataclass(frozen=True)
class StepConfig:
    records: Path
    net: str
    batch_size: int
    real_input: bool
    threads: int
    """threads of one op"""
    ops: int = 0
    """ops that run at a time; 0 for as many as threads"""
    without: str = ""
    """optimisation to switch off, one of WITHOUT; "" for none"""


@contextmanager
def training_step(config: StepConfig):
    """Yield a function that runs one training step and returns the seconds it waited for input.

    Its arguments, all optional, follow the fetches in `tf.Session.run`: feeds, options, metadata.
    """
    manifest = read_manifest(config.records)
    settings = replace(
        recipe(config.net),
        records=config.records,
        batch_size=config.batch_size,
        threads=config.threads,
    )
    with tf.Graph().as_default(), WITHOUT.get(config.without, nullcontext)():
        batch, start = (_real if config.real_input else _synthetic)(settings, manifest)
        graph = build_training_graph(batch, settings, manifest)
        fetches = [graph.train_op, batch.wait_s]
        threads = session_config(config.threads)
        threads.inter_op_parallelism_threads = config.ops or config.threads
        with tf.Session(config=threads) as session:
            session.run([tf.global_variables_initializer(), start])
            yield lambda *options: float(session.run(fetches, *options)[1])


def timed_steps(step, seconds: float, warmup_steps: int = 2, warmup_s: float = 0.0):
    """Run steps for about `seconds`; return their number, the seconds taken and those waiting.

    The warm-up before takes at least `warmup_steps` steps and at least `warmup_s` seconds.
    """
    began = time.perf_counter()
    while warmup_steps > 0 or time.perf_counter() - began < warmup_s:
        step()
        warmup_steps -= 1
    began, steps, waited_s = time.perf_counter(), 0, 0.0
    while time.perf_counter() - began < seconds:
        waited_s += step()
        steps += 1
    return steps, time.perf_counter() - began, waited_s


def _real(settings, manifest: dict):
    return training_batch(input_config(settings), manifest)


def _synthetic(settings, manifest: dict):
    """Return a batch with the same random pictures in every step, which takes no time to load."""
    size, count = settings.batch_size, len(manifest["mean_shape"])
    size_px, rng = manifest["box"]["size_px"], np.random.default_rng(settings.seed)
    values = (
        rng.integers(0, 256, (size, size_px, size_px, 3), np.uint8),
        np.tile(np.float32(manifest["mean_shape"]), (size, 1, 1)),
        np.ones((size, count), np.float32),
        np.tile(np.eye(2, dtype=np.float32), (size, 1, 1)),
        np.array([b"synthetic"] * size),
        np.array([b"synthetic"] * size),
    )
    # Not constants, because TensorFlow would fold them (compute their ops only once).
    fields = (tf.placeholder_with_default(value, value.shape) for value in values)
    return Batch(*fields, wait_s=tf.constant(0.0, tf.float64)), tf.no_op()
