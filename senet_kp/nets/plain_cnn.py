"""`plain_cnn`: stacks of convolutions and pooling, and a dense layer, on grey pictures.

No batch norm: input and labels are standardised instead (LeCun et al., "Efficient BackProp",
1998), with the mean and the spread of the training labels kept in the network.
"""

from senet_kp.nets.layers import dropout, flat, grey, unstandardised
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim

STACKS = (32, 64, 128, 256)  # widths of pairs of convolutions
DENSE = 256
GREY_MEAN, GREY_SPREAD = 109.0, 62.0  # of the pixels of face crops (300W-LP's HELEN and AFW)


def plain_cnn(image, outputs: int, is_training: bool, options: NetOptions):
    """[B, outputs] from [B, S, S, 3], S a multiple of 16: grey, stacks (S/16 left), dense."""
    with (
        slim.arg_scope(conv_scope(is_training, options)),
        slim.arg_scope([slim.conv2d], normalizer_fn=None),
    ):
        net = (grey(image) - GREY_MEAN) * (1 / GREY_SPREAD)
        for number, width in enumerate(STACKS, 1):
            net = slim.repeat(net, 2, slim.conv2d, width, 3, scope=f"stack{number}")
            net = slim.max_pool2d(net, 2, scope=f"pool{number}")
        net = slim.fully_connected(flat(net), DENSE, scope="dense")
        net = dropout(net, is_training, options)
        net = slim.fully_connected(net, outputs, activation_fn=None, scope="points")
        return unstandardised(net, is_training, options)
