"""Reads the convolutions of VGG16 from an HDF5 file that Keras wrote.

Keras publishes them as vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5. Every layer has a group
of its name, and in it a kernel [h, w, in, out] and a bias [out]. The names around them depend on
Keras's version and on whether weights or a model were saved:

    block1_conv1/block1_conv1_W_1:0                      Keras 1, the published file
    block1_conv1/block1_conv1/kernel:0                   Keras 2, weights
    model_weights/block1_conv1/block1_conv1/kernel       Keras 3, a model saved as .h5
    model_weights/vgg16/block1_conv1/kernel              the same, inside another model

The last two also hold the optimiser's state, in the group optimizer_weights.
"""

import re
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import ModelError, brief

SUFFIXES = (".h5", ".hdf5")
_LAYER = re.compile(r"(?:^|/)block([1-5])_conv([1-3])/")
_FIRST = "conv1/conv1_1/weights"


def vgg16_trunk(path: Path) -> dict[str, np.ndarray]:
    """The kernels and biases by the names that they have in tf-slim: conv1/conv1_1/weights, ...

    Keras feeds the network blue, green, red, and tf-slim red, green, blue. The kernel of the first
    layer is therefore returned with its input channels in the reverse order. Raises ModelError if
    the file is not HDF5 or names no layer of VGG16.
    """
    import h5py  # comes with TensorFlow

    found = {}

    def collect(name, node):
        layer = _LAYER.search(name)
        if layer and isinstance(node, h5py.Dataset) and not name.startswith("optimizer_weights"):
            block, number = layer.groups()
            part = "weights" if node.ndim == 4 else "biases"
            found[f"conv{block}/conv{block}_{number}/{part}"] = node[()]

    try:
        with h5py.File(path) as file:
            file.visititems(collect)
    except Exception as error:  # h5py raises exceptions of many types for a damaged file
        raise ModelError(f"{path}: not a complete HDF5 file ({brief(error)})") from None
    if not found:
        raise ModelError(
            f"{path}: names no layer of VGG16 such as block1_conv1; give Keras's file of VGG16's"
            " weights, or save the model in Keras as .h5"
        )
    if _FIRST in found:
        found[_FIRST] = found[_FIRST][:, :, ::-1]
    return found
