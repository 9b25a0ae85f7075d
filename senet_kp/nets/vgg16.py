"""`vgg16`: the convolutions of VGG16 under a small head, so that public weights can be its trunk.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(2015). Below TRUNK every variable is called as in slim's own `vgg_16`, whose checkpoint holds
the trunk; that network's dense layers, nine tenths of its weights, are not made.
"""

import numpy as np

from senet_kp.nets.layers import FEATURES, SMALL, dropout, flat
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim, tf

TRUNK = "vgg_16"
STACKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions, their width
INPUT_MEANS = (123.68, 116.78, 103.94)  # of red, green, blue, which VGG subtracts
HEAD = 512


def vgg16(image, outputs: int, is_training: bool, options: NetOptions):
    """[B, outputs] in 0..1 from [B, S, S, 3], S a multiple of 32: trunk (S/32 left), head, points.

    The sigmoid cannot answer with a point outside the box.
    """
    with (
        slim.arg_scope(conv_scope(is_training, options)),
        slim.arg_scope([slim.conv2d], normalizer_fn=None),
    ):
        net = trunk(image, options)
        net = slim.conv2d(net, HEAD, 3, scope="head")
        net = slim.max_pool2d(net, 2, padding="SAME", scope="head_pool")
        tf.add_to_collection(FEATURES, net)
        net = slim.fully_connected(flat(net), HEAD, scope="dense")
        net = dropout(net, is_training, options)
        return slim.fully_connected(
            net, outputs, activation_fn=tf.nn.sigmoid, weights_initializer=SMALL, scope="points"
        )


def trunk(image, options: NetOptions):
    """[B, S/32, S/32, 512] from [B, S, S, 3]; what is not trained is not regularised either."""
    kept = {} if options.train_trunk else {"trainable": False, "weights_regularizer": None}
    with tf.variable_scope(TRUNK), slim.arg_scope([slim.conv2d], **kept):
        net = tf.nn.bias_add(image, -np.float32(INPUT_MEANS))
        for number, (depth, width) in enumerate(STACKS, 1):
            net = slim.repeat(net, depth, slim.conv2d, width, 3, scope=f"conv{number}")
            net = slim.max_pool2d(net, 2, scope=f"pool{number}")
        return net
