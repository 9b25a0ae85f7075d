"""`inception`: the first Inception blocks on grey pictures, and a linear layer.

The blocks are those of Szegedy et al., "Going Deeper with Convolutions" (2015), as tf-slim
implements them, with batch norm, down to a sixteenth of the input's resolution. The network was
designed for Kaggle's 15 facial keypoints on grey pictures of 96x96 pixels; it converts colour
pictures to grey.
"""

from senet_kp.nets.layers import dropout, flat, grey, small_weights
from senet_kp.nets.network import Network, Outputs
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim

LAST_BLOCK = "Mixed_4f"  # the two blocks after it, at a thirty-second, hold nearly half the weights
NARROW = 64  # channels of the feature maps on which the linear layer works


def inception(image, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from [B, S, S, 3], S a multiple of 16: grey, blocks (to S/16), linear layer."""
    with slim.arg_scope(conv_scope(is_training, options)):
        net = (grey(image) - 127.5) * (1 / 127.5)
        net, _ = slim.nets.inception.inception_v1_base(net, LAST_BLOCK)
        net = slim.conv2d(net, NARROW, 1, scope="narrow")
        net = dropout(flat(net), is_training, options)
        landmarks = slim.fully_connected(
            net, outputs, activation_fn=None, weights_initializer=small_weights(), scope="points"
        )
    return Outputs(landmarks)


NETWORK = Network(
    inception,
    # The usual training for Kaggle's facial keypoints: a validation about every epoch of its 2,000
    # pictures, rotations that are evenly spread to 15 degrees, and linear contrast as the only
    # change of colours.
    recipe={
        "loss": "mse",
        "learning_rate": 3e-3,
        "schedule": "plateau",
        "warmup_steps": 0,
        "average_decay": 0.0,
        "validate_every_steps": 100,
        "augment": {
            "rotation": "uniform",
            "rotation_deg": 15.0,
            "scale": 0.2,
            "stretch": 0.0,
            "box_jitter": 0.0,
            "blur": 0.8,
            "brightness": 0.0,
            "gamma": 0.0,
            "colour": 0.0,
            "grey": 0.0,
            "noise": 0.0,
            "jpeg": 0.0,
            "patches": 0.0,
        },
    },
)
