"""Checkpoints in use: the inference graph, and a run's settings and weights put into it."""

import json
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from senet_kp.inference.model_card import INPUT_NODE, OUTPUT_NODE, read_card
from senet_kp.nets import NETWORKS, TRUNKS, build_network
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError, ModelError
from senet_kp.tfrecords.files import sha256_of_file, sha256_of_lines
from senet_kp.train.frozen_weights import unfolded_weights
from senet_kp.train.graph import AVERAGE

UNFOLD_FACES = 256  # that show what batch norm sees


def read_settings(run: Path) -> dict:
    """The settings of a training run; raises ModelError where there is none."""
    try:
        settings = json.loads((run / "config.json").read_text())
    except (OSError, ValueError):
        raise ModelError(f"{run}: no training run here; 'make train' makes one") from None
    if settings.get("net") not in NETWORKS:
        raise ModelError(f"{run}: trained a network {settings.get('net')!r} that is not known here")
    if "average_decay" not in settings:
        raise ModelError(f"{run}: a run of an older version of this project; train again")
    return settings


def require_same_records(run: Path, settings: dict, records: Path, manifest: dict):
    """Raise InputError where the run was trained on other records than these."""
    if settings["records_sha256"] != manifest["records_sha256"]:
        raise InputError(
            f"{run} was trained on other records than {records} holds, whose sides may be split"
            " otherwise; give the ones it was trained on with --records"
        )


def checkpoint_prefix(run: Path, which: str = "best") -> str:
    """The checkpoint's prefix for "best", "latest" or a path of any of its files.

    A run without a validation side has no best checkpoint: then it is the latest.
    """
    if which not in ("best", "latest"):
        return which.removesuffix(".index").partition(".data-")[0]
    found = tf.train.latest_checkpoint(str(run / which)) or tf.train.latest_checkpoint(
        str(run / "latest")
    )
    if not found:
        raise ModelError(f"{run}: holds no checkpoint; 'make train' writes them")
    return found


def restore(saver, session, prefix: str):
    """`saver.restore` with one line for a checkpoint that does not fit or cannot be read."""
    try:
        saver.restore(session, prefix)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        raise ModelError(
            f"{prefix}: the checkpoint is not there, or of another network ({reason_of(error)})"
        ) from None
    except (tf.errors.OpError, ValueError) as error:
        raise ModelError(f"{prefix}: not a readable checkpoint ({reason_of(error)})") from None


def averaged_saver(settings: dict):
    """A Saver that puts a checkpoint's averaged weights, if it has them, into the network."""
    suffix = f"/{AVERAGE}" if settings["average_decay"] else ""
    return tf.train.Saver({f"{v.op.name}{suffix}": v for v in _variables_of(settings["net"])})


def _variables_of(net: str) -> list:
    """The network's own variables in the default graph: a pose head is none of them."""
    return [v for v in tf.model_variables() if v.op.name.startswith(f"{net}/")]


def initial_settings(start: Path) -> dict:
    """How what a training starts from was trained: a run folder, a frozen graph with its card, or
    slim's checkpoint of a trunk, of which nothing but its hash is known.

    Raises ModelError where there is none of them.
    """
    if files := _checkpoint_files(start):
        return {"trunk_sha256": sha256_of_lines(map(sha256_of_file, files))}
    if start.suffix != ".pb":
        return read_settings(start)
    card = read_card(start)
    known = card.get("training", {}).get("settings", {})
    return known | {"net": card.get("network"), "graph_sha256": card["sha256"]}


def initial_weights(config, crops_of):
    """A function that puts the weights of `config.init_from` into a session.

    Weights alone, averaged ones where a run has them: step, optimiser and schedule start anew.
    crops_of(n): n training crops [n, S, S, 3], from which a frozen graph's batch norm is made
    again. To be called while the graph can still grow; raises ModelError for what does not fit.
    """
    start = Path(config.init_from)
    settings = initial_settings(start)
    if "trunk_sha256" in settings:
        return partial(restore, _trunk_saver(config.net, start), prefix=str(start))
    if settings["net"] != config.net:
        raise ModelError(f"{start}: is a {settings['net']}, not a {config.net}")
    if start.suffix == ".pb":
        return partial(_load, unfolded_weights(start, crops_of(UNFOLD_FACES)), config.net, start)
    return partial(restore, averaged_saver(settings), prefix=checkpoint_prefix(start))


def _checkpoint_files(start: Path) -> list[Path]:
    """What holds the values of a checkpoint with this prefix, of either format; none if not one."""
    if start.is_file() and start.suffix != ".pb":
        return [start]
    return sorted(start.parent.glob(f"{start.name}.data-*"))


def _trunk_saver(net: str, start: Path):
    """A Saver that reads the trunk's variables by the names that slim gives them."""
    if net not in TRUNKS:
        raise ModelError(
            f"{start}: a checkpoint can be the trunk of {', '.join(TRUNKS)} alone, not of {net}"
        )
    inside = f"{net}/{TRUNKS[net]}/"
    trunk = [v for v in _variables_of(net) if v.op.name.startswith(inside)]
    return tf.train.Saver({v.op.name.removeprefix(f"{net}/"): v for v in trunk})


def _load(values: dict, net: str, start: Path, session):
    """Put values into the network's variables; raises ModelError where one is missing."""
    for variable in _variables_of(net):
        value = values.get(variable.op.name)
        if value is None or value.shape != tuple(variable.shape.as_list()):
            raise ModelError(
                f"{start}: holds no {variable.op.name} {variable.shape}: a graph of another version"
                " of the network, or of another number of landmarks"
            )
        variable.load(value, session)


def build_inference_graph(net: str, manifest: dict):
    """Ops from INPUT_NODE to OUTPUT_NODE, batch 1, in the default graph; returns the input.

    A literal is_training=False: no loss, no dropout, no input pipeline.
    """
    size_px = manifest["box"]["size_px"]
    image_in = tf.placeholder(tf.float32, [1, size_px, size_px, 3], name=INPUT_NODE)
    points = build_network(net, image_in, manifest["scheme"]["landmarks"], is_training=False)
    # Not an identity: OpenCV removes those, and the name with them.
    tf.reshape(points, [1, 2 * manifest["scheme"]["landmarks"]], name=OUTPUT_NODE)
    return image_in


@contextmanager
def restored_session(settings: dict, manifest: dict, prefix: str):
    """A session on a new inference graph with a checkpoint's weights, averaged if it has them."""
    with tf.Graph().as_default() as graph:
        build_inference_graph(settings["net"], manifest)
        with tf.Session(graph=graph) as session:
            restore(averaged_saver(settings), session, prefix)
            yield session


def run_images(session, images) -> np.ndarray:
    """Box-relative landmarks [n, N, 2] of uint8 images [n, S, S, 3], one by one."""
    feed, fetch = f"{INPUT_NODE}:0", f"{OUTPUT_NODE}:0"
    points = [session.run(fetch, {feed: image[None]}) for image in images]
    return np.concatenate(points).reshape(len(images), -1, 2)


def reason_of(error) -> str:
    """The one line that matters of what TensorFlow says: it stands after the node's name."""
    text = str(getattr(error, "message", error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    after = [number + 1 for number, line in enumerate(lines) if line.startswith("Node: ")]
    return lines[after[0] if after and after[0] < len(lines) else 0]
