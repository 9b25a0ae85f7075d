"""The weights of a frozen graph, as a starting point for training.

Batch-norm folding, a part of freezing, replaces a convolution and its batch norm by a convolution z
and an offset b: y = z + b. This module undoes it. Batch norm with the mean and the variance that z
has on training pictures, scale = sqrt(variance + EPSILON) and offset = b + mean gives the same y at
inference, so training continues from the frozen graph's predictions.
"""

from pathlib import Path

import numpy as np

from senet_kp.inference.model_card import INPUT_NODE
from senet_kp.nets.options import EPSILON
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import ModelError

# Suffixes of the nodes that TensorFlow's folding makes, after the name of the layer.
_CONV, _WEIGHTS, _OFFSET = "/Conv2D", "/Conv2D_weights", "/Conv2D_bn_offset"


def unfolded_weights(path: Path, images) -> dict[str, np.ndarray]:
    """The values of a network's variables, by name, from the frozen graph at `path`.

    images: crops [n, S, S, 3] uint8, from which batch norm's statistics are estimated. Raises
    ModelError for a file that is not a frozen graph, and for a graph of crops of another size.
    """
    try:
        definition = tf.GraphDef.FromString(path.read_bytes())
    except Exception as error:  # protobuf's DecodeError is in different modules by version
        raise ModelError(f"{path}: not a frozen graph ({error})") from None
    constants = {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for node in definition.node
        if node.op == "Const"
    }
    _require_size(path, definition, images.shape[1])
    layers = [name.removesuffix(_WEIGHTS) for name in constants if name.endswith(_WEIGHTS)]
    values = dict(constants)
    for layer, (mean, variance) in _moments(definition, layers, images).items():
        values[f"{layer}/weights"] = constants[layer + _WEIGHTS]
        values[f"{layer}/BatchNorm/gamma"] = np.sqrt(variance + EPSILON)
        values[f"{layer}/BatchNorm/beta"] = constants[layer + _OFFSET] + mean
        values[f"{layer}/BatchNorm/moving_mean"] = mean
        values[f"{layer}/BatchNorm/moving_variance"] = variance
    return values


def _require_size(path: Path, definition, size_px: int):
    """Raise ModelError if the graph does not take crops of this size."""
    shapes = [node.attr["shape"].shape for node in definition.node if node.name == INPUT_NODE]
    frozen_px = shapes[0].dim[1].size if shapes and len(shapes[0].dim) == 4 else None
    if frozen_px != size_px:
        raise ModelError(
            f"{path}: was frozen for crops of {frozen_px} px, and the records have {size_px} px;"
            f" prepare records with --box.size-px {frozen_px}, or give the run folder that it was"
            " frozen from, whose weights fit every size"
        )


def _moments(definition, layers: list[str], images) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{layer: (mean [C], variance [C])} of each convolution's output on the crops."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        moments = [
            tf.nn.moments(graph.get_tensor_by_name(f"{layer}{_CONV}:0"), [0, 1, 2])
            for layer in layers
        ]
        with tf.Session(graph=graph) as session:
            by_image = [session.run(moments, {f"{INPUT_NODE}:0": image[None]}) for image in images]
    result = {}
    for layer, pairs in zip(layers, zip(*by_image, strict=True), strict=True):
        means, variances = map(np.array, zip(*pairs, strict=True))
        result[layer] = means.mean(0), variances.mean(0) + means.var(0)
    return result
