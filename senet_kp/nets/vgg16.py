"""`vgg16`: the convolutions of VGG16 and a small head, for transfer learning.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(2015). The variables of the trunk, in the scope TRUNK, have the names that they have in tf-slim's
own `vgg_16`, whose checkpoint therefore fits. That network's dense layers, nine tenths of its
weights, are left out.
"""

import numpy as np

from senet_kp.nets.layers import dropout, flat, small_weights
from senet_kp.nets.network import Network, Outputs, Trunk
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim, tf

TRUNK = "vgg_16"
STACKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # number of convolutions, their width
INPUT_MEANS = (123.68, 116.78, 103.94)  # of red, green, blue, which VGG subtracts
HEAD = 512


def vgg16(image, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from [B, S, S, 3], S at least 128: the head on the features of the trunk."""
    return head(trunk(image, options), outputs, is_training, options)


def trunk(image, options: NetOptions):
    """[B, S/32, S/32, 512] from [B, S, S, 3]; a trunk that is not trained is not regularised."""
    fixed = {} if options.train_trunk else {"trainable": False, "weights_regularizer": None}
    with (
        slim.arg_scope(conv_scope(False, options)),
        slim.arg_scope([slim.conv2d], normalizer_fn=None, **fixed),
        tf.variable_scope(TRUNK),
    ):
        net = tf.nn.bias_add(image, -np.float32(INPUT_MEANS))
        for number, (depth, width) in enumerate(STACKS, 1):
            net = slim.repeat(net, depth, slim.conv2d, width, 3, scope=f"conv{number}")
            net = slim.max_pool2d(net, 2, scope=f"pool{number}")
        return net


def head(features, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from the trunk's [B, H, H, 512], H at least 4; 7 for a picture of 224 px.

    A convolution without padding (to H - 2) and a pooling (to half of that) precede the two dense
    layers. A sigmoid follows the last layer, so that no landmark can lie outside the box.
    """
    with (
        slim.arg_scope(conv_scope(is_training, options)),
        slim.arg_scope([slim.conv2d], normalizer_fn=None),
    ):
        net = slim.conv2d(features, HEAD, 3, padding="VALID", scope="head")
        pooled = slim.max_pool2d(net, 2, scope="head_pool")
        net = slim.fully_connected(flat(pooled), HEAD, scope="dense")
        net = dropout(net, is_training, options)
        landmarks = slim.fully_connected(
            net,
            outputs,
            activation_fn=tf.nn.sigmoid,
            weights_initializer=small_weights(),
            scope="points",
        )
    return Outputs(landmarks, features=pooled)


NETWORK = Network(
    vgg16,
    # The usual training of a head on a fixed trunk: mean absolute error (the default loss), Adam at
    # its default rate, and dropout as the only regularisation. 1,000 steps of 32 are about ten
    # epochs of P1. From scratch, the network needs 40,000 and a learning rate of 1e-4.
    recipe={
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup_steps": 0,
        "steps": 1_000,
        "validate_every_steps": 100,
        "average_decay": 0.0,
        "weight_decay": 0.0,
        "dropout_keep": 0.5,
    },
    trunk=Trunk(TRUNK, trunk, head),
    smallest_px=128,
)
