"""`plain_cnn`: stacks of convolutions and pooling, and a dense layer, on grey pictures.

It has no batch norm. Instead, inputs and labels are standardised (LeCun et al., "Efficient
BackProp", 1998); the network stores the mean and the standard deviation of its training labels.
"""

from senet_kp.nets.layers import dropout, flat, grey, unstandardised
from senet_kp.nets.network import Network, Outputs
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim

STACKS = (32, 64, 128, 256)  # the width of each pair of convolutions
DENSE = 256
GREY_MEAN, GREY_SPREAD = 109.0, 62.0  # of the pixels of face crops (300W-LP's HELEN and AFW)


def plain_cnn(image, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from [B, S, S, 3], S a multiple of 16: grey, stacks (to S/16), dense layers."""
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
        landmarks, spread = unstandardised(net, options)
    return Outputs(landmarks, label_spread=spread)


NETWORK = Network(
    plain_cnn,
    recipe={
        "loss": "mse",
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "average_decay": 0.0,
        "dropout_keep": 0.8,
    },
)
