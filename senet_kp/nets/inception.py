"""`inception`: the first Inception blocks on grey pictures and a linear layer.

The blocks are slim's of Szegedy et al., "Going Deeper with Convolutions" (2015), with batch norm,
as far as a sixteenth of the input's resolution; made for Kaggle's 15 points on 96x96 grey
pictures. A colour picture is turned grey first.
"""

from senet_kp.nets.layers import SMALL, dropout, flat, grey
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim

LAST_BLOCK = "Mixed_4f"  # the two after it, at a thirty-second, hold nearly half of all weights
NARROW = 64  # channels whose places the linear layer sees


def inception(image, outputs: int, is_training: bool, options: NetOptions):
    """[B, outputs] from [B, S, S, 3], S a multiple of 16: grey, blocks (S/16 left), points."""
    with slim.arg_scope(conv_scope(is_training, options)):
        net = (grey(image) - 127.5) * (1 / 127.5)
        net, _ = slim.nets.inception.inception_v1_base(net, LAST_BLOCK)
        net = slim.conv2d(net, NARROW, 1, scope="narrow")
        net = dropout(flat(net), is_training, options)
        return slim.fully_connected(
            net, outputs, activation_fn=None, weights_initializer=SMALL, scope="points"
        )
