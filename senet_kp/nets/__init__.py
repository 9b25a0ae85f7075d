"""The networks, one file each.

To add a network, add a file to this folder that defines `NETWORK = Network(build, recipe)` (see
`network.py`). `--net` takes the file's name; nothing else has to be edited.
"""

from argparse import ArgumentParser
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal

from senet_kp.nets.gradients import quick_gradients
from senet_kp.nets.network import Network, Outputs, Trunk
from senet_kp.nets.options import NetOptions
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import ModelError

DEFAULT_NETWORK = "senet"


def discovered_networks() -> dict[str, Network]:
    """{file name: its NETWORK} of this package, the default network first, then by name."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    found = [name for name, module in modules.items() if hasattr(module, "NETWORK")]
    found.sort(key=lambda name: (name != DEFAULT_NETWORK, name))
    return {name: modules[name].NETWORK for name in found}


NETWORKS = discovered_networks()
NetName = Literal[tuple(NETWORKS)]


def net_of_command_line() -> NetName:
    """The network that `sys.argv` names with --net, or the default network.

    It is also the default network for an unknown name, which parsing the command line refuses.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--net", nargs="?", default=DEFAULT_NETWORK)
    net = parser.parse_known_args()[0].net
    return net if net in NETWORKS else DEFAULT_NETWORK


def build_network(
    name: str, image, landmark_count: int, is_training: bool, options: NetOptions | None = None
) -> Outputs:
    """Build the named network on `image`, in a variable scope of its name; reuses its variables.

    image: float32 [B, S, S, 3], RGB, 0..255. is_training: whether batch norm uses the statistics
    of the batch, dropout is applied and the quick gradients are used. Raises ValueError for
    pictures that are too small for the network.
    """
    if error := size_error(name, int(image.shape[1])):
        raise ValueError(error)
    with _scope(name, is_training):
        return NETWORKS[name].build(image, 2 * landmark_count, is_training, options or NetOptions())


def build_head(
    name: str, features, landmark_count: int, is_training: bool, options: NetOptions | None = None
) -> Outputs:
    """Build the named network as `build_network`, from the features of its trunk [B, H, W, C]."""
    head, options = trunk_of(name).head, options or NetOptions()
    with _scope(name, is_training):
        return head(features, 2 * landmark_count, is_training, options)


def build_trunk(name: str, image, options: NetOptions | None = None):
    """The features [B, H, W, C] of `image` (see `build_network`) from the named network's trunk."""
    with _scope(name, is_training=False):
        return trunk_of(name).build(image, options or NetOptions())


def trunk_of(name: str) -> Trunk:
    """The trunk of the named network; raises ModelError if it has none."""
    trunk = NETWORKS[name].trunk
    if trunk is None:
        able = [net for net, network in NETWORKS.items() if network.trunk]
        raise ModelError(f"{name} has no trunk of public weights; use --net {' or '.join(able)}")
    return trunk


def size_error(name: str, size_px: int) -> str:
    """Why the named network has no output for pictures of this width; empty if it has one."""
    smallest_px = NETWORKS[name].smallest_px
    if size_px >= smallest_px:
        return ""
    return (
        f"{name} needs pictures of at least {smallest_px} px, and these have {size_px} px; make the"
        f" records with --box.size-px {smallest_px} or more, or use another --net"
    )


@contextmanager
def _scope(name: str, is_training: bool):
    """The variable scope of a network, and in training the quick gradients."""
    gradients = quick_gradients() if is_training else nullcontext()
    with gradients, tf.variable_scope(name, reuse=tf.AUTO_REUSE):
        yield


def output_names(name: str) -> set[str]:
    """The names of the Outputs that a network has; builds it in a graph of its own to find out."""
    with tf.Graph().as_default():
        outputs = build_network(name, tf.zeros([1, 128, 128, 3]), 1, is_training=False)
    return {output for output, tensor in vars(outputs).items() if tensor is not None}
