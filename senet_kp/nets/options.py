"""The training options that all networks take, and the settings that their layers share."""

from dataclasses import dataclass

from senet_kp.nets.tf1 import BATCH_NORM_UPDATES, slim

EPSILON = 1e-5  # added to the variance in batch norm


@dataclass(frozen=True)
class NetOptions:
    """Hyper-parameters that act during training only; a frozen graph does not depend on them."""

    weight_decay: float = 1e-5
    """factor of the L2 regularisation of all weights"""
    bn_decay: float = 0.997
    """decay of batch norm's moving statistics"""
    dropout_keep: float = 0.8
    """share of the units that dropout keeps"""
    dropout_seed: object = (0, 0)
    """two integers, or an integer tensor [2]; training passes (seed, step), so that a resumed run
    drops the same units as an uninterrupted one"""
    train_trunk: bool = True
    """False keeps the weights of a trunk (`Network.trunk`) fixed"""
    label_mean: object = 0.0
    """[2N] or one number, initial value of the labels' mean in networks with standardised labels;
    a checkpoint overwrites it"""
    label_spread: object = 1.0
    """[2N] or one number, the labels' standard deviations; otherwise as label_mean"""


def conv_scope(is_training: bool, options: NetOptions):
    """A slim.arg_scope: batch norm and ReLU after every convolution, L2 on every weight."""
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
