"""The networks, by the name that `--net` takes.

Each is a function `(image, outputs, is_training, options) -> [B, outputs]` that makes ops inside
a variable scope of its own name and runs nothing. Input: float32 [B, S, S, 3], RGB, 0..255.
"""

from contextlib import nullcontext

from senet_kp.nets.gradients import quick_gradients
from senet_kp.nets.inception import inception
from senet_kp.nets.options import NetOptions
from senet_kp.nets.plain_cnn import plain_cnn
from senet_kp.nets.senet import senet
from senet_kp.nets.senet_classic import senet_classic
from senet_kp.nets.tf1 import tf
from senet_kp.nets.vgg16 import TRUNK, vgg16

NETWORKS = {
    "senet": senet,
    "senet_classic": senet_classic,
    "inception": inception,
    "vgg16": vgg16,
    "plain_cnn": plain_cnn,
}
STANDARDISED = ("plain_cnn",)  # learn labels of mean 0 and spread 1, as the manifest knows them
POSED = ("senet", "senet_classic", "vgg16")  # offer features to `pose_head`
TRUNKS = {"vgg16": TRUNK}  # networks with a trunk of slim's own, and the scope that holds it


def build_network(name: str, image, landmark_count: int, is_training: bool, options=None):
    """The named network's landmarks [B, 2N], box-relative x0, y0, x1, ... for `image`."""
    gradients = quick_gradients() if is_training else nullcontext()
    with gradients, tf.variable_scope(name, reuse=tf.AUTO_REUSE):
        return NETWORKS[name](image, 2 * landmark_count, is_training, options or NetOptions())
