"""What the networks share besides their layers."""

from dataclasses import dataclass

from senet_kp.nets.tf1 import BATCH_NORM_UPDATES, slim

EPSILON = 1e-5  # of batch norm, added to the variance


@dataclass(frozen=True)
class NetOptions:
    """Hyper-parameters that act during training only; a frozen graph does not depend on them."""

    weight_decay: float = 1e-5
    bn_decay: float = 0.997
    dropout_keep: float = 0.8
    dropout_seed: object = (0, 0)
    """two integers (or a tensor [2]); training passes (seed, step), so that a resumed run drops
    what the uninterrupted one would have dropped"""
    train_trunk: bool = True
    """false keeps the layers that came from another network's checkpoint as they are"""
    label_mean: object = 0.0
    """[2N], what networks with standardised labels start with; a checkpoint brings its own"""
    label_spread: object = 1.0
    """[2N], standard deviations, see label_mean"""


def conv_scope(is_training: bool, options: NetOptions):
    """slim.arg_scope: every convolution with batch norm and ReLU, L2 on every weight."""
    regulariser = slim.l2_regularizer(options.weight_decay)
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_initializer=slim.variance_scaling_initializer(),
            weights_regularizer=regulariser,
        ),
        slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm),
        slim.arg_scope(
            [slim.batch_norm],
            is_training=is_training,
            decay=options.bn_decay,
            epsilon=EPSILON,
            scale=True,
            updates_collections=BATCH_NORM_UPDATES,
        ),
        slim.arg_scope([slim.avg_pool2d], padding="SAME") as scope,
    ):
        return scope
