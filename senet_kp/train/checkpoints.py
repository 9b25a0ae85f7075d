"""Reading checkpoints: a run's settings, its weights, and the inference graph that takes them."""

from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np

from senet_kp.inference.backends import finite
from senet_kp.inference.model_card import INPUT_NODE, OUTPUT_NODE, SETTINGS, read_card
from senet_kp.input.crops import load_crops
from senet_kp.nets import NETWORKS, build_network, trunk_of
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError, ModelError
from senet_kp.tfrecords.files import sha256_of_file, sha256_of_lines
from senet_kp.tfrecords.forms import read_with_fault
from senet_kp.train.frozen_weights import unfolded_weights
from senet_kp.train.graph import AVERAGE
from senet_kp.train.keras_weights import SUFFIXES, vgg16_trunk

UNFOLD_FACES = 256  # from which batch norm's statistics are estimated


def read_settings(run: Path) -> dict:
    """The settings in a run folder's config.json; raises ModelError if it is no run folder."""
    path = run / "config.json"
    settings, fault = read_with_fault(path, SETTINGS)
    if fault:
        raise ModelError(
            f"{run}: not a training run: config.json is missing or damaged ({fault}); 'make train'"
            " makes one"
        )
    if settings.get("net") not in NETWORKS:
        raise ModelError(
            f"{run}: the run trained a network {settings.get('net')!r}, which this version does not"
            f" have; it has {', '.join(NETWORKS)}"
        )
    if "average_decay" not in settings:
        raise ModelError(f"{run}: an older version of this project made this run; train again")
    return settings


def require_same_records(run: Path, settings: dict, records: Path, manifest: dict):
    """Raise InputError if the run was trained on records other than these."""
    if settings.get("records_sha256") != manifest["records_sha256"]:
        raise InputError(
            f"{run} was trained on other records than {records} holds, and their train/test splits"
            " may differ; give the record folder of that training with --records"
        )


def checkpoint_prefix(run: Path, which: str = "best") -> str:
    """The prefix of a run's checkpoint. which: "best", "latest", or the path of any of its files.

    A run without a val split has no best checkpoint; "best" is then its latest one. Raises
    ModelError if there is no checkpoint.
    """
    if which not in ("best", "latest"):
        return which.removesuffix(".index").partition(".data-")[0]
    found = newest_checkpoint(run / which) or newest_checkpoint(run / "latest")
    if not found:
        raise ModelError(f"{run}: contains no checkpoint; 'make train' writes them")
    return found


def newest_checkpoint(folder: Path) -> str | None:
    """The prefix of the newest checkpoint in a folder, or None if there is none.

    TensorFlow's list of them, the file `checkpoint`, says which it is. If that is missing or
    damaged, it is the one with the most steps.
    """
    with suppress(ValueError, tf.errors.OpError):  # ValueError: a list that is not UTF-8
        found = tf.train.latest_checkpoint(str(folder))
        if found and found.rpartition("-")[2].isdecimal():
            return found
    steps = [path.stem.removeprefix("ckpt-") for path in folder.glob("ckpt-*.index")]
    newest = max(map(int, filter(str.isdecimal, steps)), default=None)
    return None if newest is None else str(folder / f"ckpt-{newest}")


def listed_checkpoints(folder: Path) -> list[str]:
    """The prefixes of the checkpoints that TensorFlow's list names; none if it is damaged."""
    with suppress(ValueError, tf.errors.OpError):
        state = tf.train.get_checkpoint_state(str(folder))
        return list(state.all_model_checkpoint_paths) if state else []
    return []


def restore(saver, session, prefix: str):
    """`saver.restore`; raises ModelError for a checkpoint that does not fit or cannot be read."""
    try:
        saver.restore(session, prefix)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        raise ModelError(
            f"{prefix}: the checkpoint does not exist or is of another network ({reason_of(error)})"
        ) from None
    except (tf.errors.OpError, ValueError) as error:
        raise ModelError(f"{prefix}: the checkpoint is damaged ({reason_of(error)})") from None


def averaged_saver(settings: dict):
    """A Saver that restores a checkpoint's averaged weights, or its weights if it has no averages.

    settings: those of the run, as `read_settings` returns them.
    """
    suffix = f"/{AVERAGE}" if settings["average_decay"] else ""
    return tf.train.Saver({f"{v.op.name}{suffix}": v for v in _variables_of(settings["net"])})


def _variables_of(net: str) -> list:
    """The network's own variables in the default graph, without those of a pose head."""
    return [v for v in tf.model_variables() if v.op.name.startswith(f"{net}/")]


def initial_settings(start: Path) -> dict:
    """The settings with which the initial weights `start` of a training were trained.

    start: a run folder, a frozen graph with its model card, or the public weights of a trunk, of
    which only the hash is known. Raises ModelError if it is none of them.
    """
    if files := _checkpoint_files(start):
        return {"trunk_sha256": sha256_of_lines(map(sha256_of_file, files))}
    if start.suffix != ".pb":
        return read_settings(start)
    card = read_card(start)
    known = card.get("training", {}).get("settings", {})
    return known | {"net": card.get("network"), "graph_sha256": card["sha256"]}


def initial_weights(config, manifest: dict):
    """A function that loads the weights of `config.init_from` into a session.

    It loads nothing but weights (the averaged ones of a run that has them): step, optimiser and
    schedule start from the beginning. The batch norm of a frozen graph is restored from training
    crops of the records that `manifest` describes. Call this before the graph is finalised, since
    it creates ops. Raises ModelError for weights that do not fit the network.
    """
    start = Path(config.init_from)
    settings = initial_settings(start)
    if "trunk_sha256" in settings:
        return _trunk_weights(config.net, start)
    if settings["net"] != config.net:
        raise ModelError(
            f"{start}: the network is a {settings['net']}, not a {config.net}; give"
            f" --net {settings['net']} or other weights"
        )
    if start.suffix == ".pb":
        crops = load_crops(config.records, manifest, "train", UNFOLD_FACES)
        return partial(_load, unfolded_weights(start, crops.images), config.net, start)
    return partial(restore, averaged_saver(settings), prefix=checkpoint_prefix(start))


def _checkpoint_files(start: Path) -> list[Path]:
    """The data files of the checkpoint with this prefix, in TensorFlow's old or new format.

    The list is empty if there is no such checkpoint.
    """
    if start.is_file() and start.suffix != ".pb":
        return [start]
    return sorted(start.parent.glob(f"{start.name}.data-*"))


def _trunk_weights(net: str, start: Path):
    """A function that loads public weights into the trunk: tf-slim's checkpoint or Keras's file.

    Raises ModelError if the network has no trunk, or the file does not fit it.
    """
    try:
        inside = f"{net}/{trunk_of(net).scope}/"
    except ModelError as error:
        raise ModelError(f"{start}: holds the weights of a trunk, but {error}") from None
    trunk = [v for v in _variables_of(net) if v.op.name.startswith(inside)]
    if start.suffix in SUFFIXES:
        values = {f"{inside}{name}": value for name, value in vgg16_trunk(start).items()}
        return partial(_load, values, net, start, within=inside)
    saver = tf.train.Saver({v.op.name.removeprefix(f"{net}/"): v for v in trunk})
    return partial(restore, saver, prefix=str(start))


def _load(values: dict, net: str, start: Path, session, within: str = ""):
    """Load values, by variable name, into the network's variables whose names begin with `within`.

    Raises ModelError if one is missing.
    """
    for variable in _variables_of(net):
        name = variable.op.name
        value = values.get(name)
        if not name.startswith(within):
            continue
        if value is None or value.shape != tuple(variable.shape.as_list()):
            raise ModelError(
                f"{start}: has no {name} of shape {variable.shape}; it contains another version of"
                " the network, or one for another number of landmarks"
            )
        variable.load(value, session)


def build_inference_graph(net: str, manifest: dict):
    """Build the network from INPUT_NODE to OUTPUT_NODE, batch 1, in the default graph.

    Returns the input placeholder. The graph has no loss, no dropout and no input pipeline.
    """
    size_px = manifest["box"]["size_px"]
    image_in = tf.placeholder(tf.float32, [1, size_px, size_px, 3], name=INPUT_NODE)
    count = manifest["scheme"]["landmarks"]
    outputs = build_network(net, image_in, count, is_training=False)
    # A reshape gives the output its name: OpenCV would remove an identity, and the name with it.
    tf.reshape(outputs.landmarks, [1, 2 * count], name=OUTPUT_NODE)
    return image_in


@contextmanager
def restored_session(settings: dict, manifest: dict, prefix: str):
    """A session on a new inference graph with a checkpoint's weights (see `averaged_saver`)."""
    with tf.Graph().as_default() as graph:
        build_inference_graph(settings["net"], manifest)
        with tf.Session(graph=graph) as session:
            restore(averaged_saver(settings), session, prefix)
            yield session


def run_images(session, images, prefix: str) -> np.ndarray:
    """Box-relative landmarks [n, N, 2] of uint8 images [n, S, S, 3], predicted one by one.

    session: one on an inference graph, as `restored_session` returns it. Raises ModelError, which
    names the checkpoint by its prefix, if not all landmarks are finite.
    """
    feed, fetch = f"{INPUT_NODE}:0", f"{OUTPUT_NODE}:0"
    points = [session.run(fetch, {feed: image[None]}) for image in images]
    return finite(np.concatenate(points), prefix).reshape(len(images), -1, 2)


def reason_of(error) -> str:
    """The informative line of a TensorFlow error's message: the first after the node names."""
    text = str(getattr(error, "message", error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    after = [number + 1 for number, line in enumerate(lines) if line.startswith("Node: ")]
    return lines[after[0] if after and after[0] < len(lines) else 0]
