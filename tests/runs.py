"""Settings of small trainings, and readers of their results, for the tests of training."""

import csv
import dataclasses
import hashlib
import json

import numpy as np

from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.nets.tf1 import tf
from senet_kp.train.checkpoints import checkpoint_prefix
from senet_kp.train.config import recipe


def config(records, run, **options):
    small = {
        "records": records,
        "run": run,
        "steps": 12,
        "batch_size": 4,
        "bn_decay": 0.8,
        "threads": 1,
        "validate_every_steps": 4,
        "log_every_steps": 4,
    }
    return dataclasses.replace(recipe(options.get("net", "senet_classic")), **{**small, **options})


def variables(run, which="latest"):
    reader = tf.train.load_checkpoint(checkpoint_prefix(run, which))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_equal_to_the_bit(first, second):
    a, b = variables(first), variables(second)
    assert a.keys() == b.keys()
    assert any(name.endswith("Adam_1") for name in a) and "global_step" in a
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def command(records, run, *flags):
    return [
        "-m",
        "senet_kp.train",
        "--net",
        "senet_classic",
        "--records",
        str(records),
        "--run",
        str(run),
        "--steps",
        "12",
        "--batch-size",
        "4",
        "--bn-decay",
        "0.8",
        "--threads",
        "1",
        "--validate-every-steps",
        "4",
        "--log-every-steps",
        "1",
        *flags,
    ]


def diverged_model(path):
    """Write the included graph with offsets so large that its answers are NaN, and its card."""
    graph = tf.GraphDef.FromString(PRETRAINED.read_bytes())
    (offset,) = (n for n in graph.node if n.name == "senet/merge1/Conv2D_bn_offset")
    values = np.full_like(tf.make_ndarray(offset.attr["value"].tensor), 1e30)
    offset.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    data = graph.SerializeToString()
    path.write_bytes(data)
    card = json.loads(PRETRAINED.with_suffix(".json").read_text())
    card |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path
