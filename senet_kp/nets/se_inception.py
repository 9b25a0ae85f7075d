"""`se_inception`: the blocks of `inception`, each with a squeeze-and-excitation gate.

The Inception blocks are those of Szegedy et al., "Going Deeper with Convolutions" (2015), Table 1,
with batch norm; the gate at the end of every block is that of Hu et al., "Squeeze-and-Excitation
Networks" (2018), where it is called SE-Inception.
"""

from senet_kp.nets.inception import NARROW
from senet_kp.nets.inception import NETWORK as INCEPTION
from senet_kp.nets.layers import dropout, flat, grey, se_gate, small_weights
from senet_kp.nets.network import Network, Outputs
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim, tf

STEM = "MaxPool_3a_3x3"  # the layers before the first block, down to an eighth of the resolution
# The widths of a block's branches: 1x1; 1x1 and 3x3; 1x1 and 3x3 again, which tf-slim uses in place
# of the paper's 5x5; 1x1 after pooling.
BLOCKS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "MaxPool_4a_3x3": None,
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
}


def se_inception(image, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from [B, S, S, 3], S a multiple of 16: grey, blocks (to S/16), linear layer."""
    with slim.arg_scope(conv_scope(is_training, options)):
        net = (grey(image) - 127.5) * (1 / 127.5)
        net, _ = slim.nets.inception.inception_v1_base(net, STEM)
        for name, widths in BLOCKS.items():
            net = (
                se_block(net, widths, name)
                if widths
                else slim.max_pool2d(net, 3, 2, padding="SAME", scope=name)
            )
        net = slim.conv2d(net, NARROW, 1, scope="narrow")
        net = dropout(flat(net), is_training, options)
        landmarks = slim.fully_connected(
            net, outputs, activation_fn=None, weights_initializer=small_weights(), scope="points"
        )
    return Outputs(landmarks)


def se_block(net, widths, scope: str):
    """[B, H, W, C] to [B, H, W, sum of the branches' widths]: four branches, joined and gated."""
    single, reduce3, conv3, reduce5, conv5, pooled = widths
    with tf.variable_scope(scope):
        branches = [slim.conv2d(net, single, 1, scope="Branch_0")]
        for number, (reduced, width) in enumerate(((reduce3, conv3), (reduce5, conv5)), 1):
            branch = slim.conv2d(net, reduced, 1, scope=f"Branch_{number}/reduce")
            branches.append(slim.conv2d(branch, width, 3, scope=f"Branch_{number}/conv"))
        pool = slim.max_pool2d(net, 3, 1, padding="SAME", scope="Branch_3/pool")
        branches.append(slim.conv2d(pool, pooled, 1, scope="Branch_3/conv"))
        net = tf.concat(branches, 3)
        return net * se_gate(net)


NETWORK = Network(se_inception, recipe=INCEPTION.recipe)
