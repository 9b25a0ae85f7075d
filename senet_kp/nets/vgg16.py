"""`vgg16`: the convolutions of VGG16 and a small head, so that public weights can be its trunk.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(2015). The variables of the trunk, in the scope TRUNK, have the names that they have in tf-slim's
own `vgg_16`, whose checkpoint therefore fits. That network's dense layers, nine tenths of its
weights, are left out.
"""

import numpy as np

from senet_kp.nets.layers import dropout, flat, small_weights
from senet_kp.nets.network import Network, Outputs
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim, tf

TRUNK = "vgg_16"
STACKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # number of convolutions, their width
INPUT_MEANS = (123.68, 116.78, 103.94)  # of red, green, blue, which VGG subtracts
HEAD = 512


def vgg16(image, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from [B, S, S, 3], S a multiple of 32: trunk (to S/32), head, two dense layers.

    A sigmoid follows the last layer, so that no landmark can lie outside the box.
    """
    with (
        slim.arg_scope(conv_scope(is_training, options)),
        slim.arg_scope([slim.conv2d], normalizer_fn=None),
    ):
        net = trunk(image, options)
        net = slim.conv2d(net, HEAD, 3, scope="head")
        features = net = slim.max_pool2d(net, 2, padding="SAME", scope="head_pool")
        net = slim.fully_connected(flat(net), HEAD, scope="dense")
        net = dropout(net, is_training, options)
        landmarks = slim.fully_connected(
            net,
            outputs,
            activation_fn=tf.nn.sigmoid,
            weights_initializer=small_weights(),
            scope="points",
        )
    return Outputs(landmarks, features=features)


def trunk(image, options: NetOptions):
    """[B, S/32, S/32, 512] from [B, S, S, 3]; a trunk that is not trained is not regularised."""
    fixed = {} if options.train_trunk else {"trainable": False, "weights_regularizer": None}
    with tf.variable_scope(TRUNK), slim.arg_scope([slim.conv2d], **fixed):
        net = tf.nn.bias_add(image, -np.float32(INPUT_MEANS))
        for number, (depth, width) in enumerate(STACKS, 1):
            net = slim.repeat(net, depth, slim.conv2d, width, 3, scope=f"conv{number}")
            net = slim.max_pool2d(net, 2, scope=f"pool{number}")
        return net


NETWORK = Network(
    vgg16,
    # The steps are for a trunk that stays fixed; one that is trained from scratch needs 40,000.
    recipe={"steps": 10_000, "learning_rate": 1e-4, "average_decay": 0.0, "dropout_keep": 0.5},
    trunk=TRUNK,
)
