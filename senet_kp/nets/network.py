"""What a network file defines: a `Network`, whose build function returns its `Outputs`."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outputs:
    """The tensors that a network returns; an output that it does not have is None.

    What training can do with a network follows from them: see each output.
    """

    landmarks: object
    """[B, 2N], box-relative x0, y0, x1, y1, ..."""
    maps: object = None
    """[B, H, W, N], logits of a heatmap for every landmark, to which --map-loss applies"""
    features: object = None
    """[B, H, W, C], the last feature maps, from which --pose-weight learns the head pose"""
    label_spread: object = None
    """[2N], the standard deviations of standardised labels, in which the loss measures errors"""


@dataclass(frozen=True)
class Trunk:
    """The first layers of a network, which public weights can initialise, and the layers after it.

    Without training, a trunk computes the same features of a picture in every epoch, so that they
    can be stored (--cache-features) and the head alone can be trained on them.
    """

    scope: str
    """variable scope of the trunk, in which --init-from loads the public weights"""
    build: Callable
    """called as build(image, options), it returns the features [B, H, W, C] of the pictures"""
    head: Callable[..., Outputs]
    """called as `Network.build`, but with the features in place of the pictures"""


@dataclass(frozen=True)
class Network:
    """A network, as the one constant NETWORK of its file. The file's name is the network's name."""

    build: Callable[..., Outputs]
    """called as build(image, outputs, is_training, options): image [B, S, S, 3] float32, RGB,
    0..255; outputs: 2N for N landmarks; is_training: a Python bool; options: a NetOptions. It
    creates ops in the current variable scope and runs nothing."""
    recipe: dict = field(default_factory=dict)
    """values of the TrainConfig fields whose defaults differ for this network; the value of
    `augment` is in turn a dict of AugmentConfig fields"""
    trunk: Trunk | None = None
    """the layers that --init-from can load from public weights; None without such layers"""
    smallest_px: int = 1
    """the smallest width of the pictures for which the network has an output"""
