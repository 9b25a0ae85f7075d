"""`senet`: squeeze-and-excitation bottlenecks, a top-down path, a heatmap for every landmark.

The network is designed for accuracy per millisecond: no layer works at the input's own resolution,
most weights are in layers with small feature maps, feature maps are pooled before a convolution
instead of strided by it, and a landmark is the expectation of a 32x32 heatmap with an offset in
every cell of a 16x16 grid, so that no layer has to memorise coordinates.
"""

from senet_kp.nets.layers import expectation, se_gate, small_weights
from senet_kp.nets.network import Network, Outputs
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim, tf

STEM = (16, 32)
WIDTHS = (32, 96, 192, 256)  # at a quarter, an eighth, ... of the input's resolution
INNER = (24, 48, 64, 128)  # of the 3x3 convolutions; those at 8x8 cost the most time in OpenCV
DEPTHS = (1, 2, 3, 2)
PATH = (32, 64, 64, 64)  # widths of the top-down path at the same resolutions
MERGED = (48, 64)  # widths of the 3x3 convolutions that merge the two finest levels


def senet(image, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from [B, S, S, 3], S a multiple of 32: stem, stages, path up to S/4, heatmaps."""
    with slim.arg_scope(conv_scope(is_training, options)):
        net = (image - 127.5) * (1 / 127.5)
        for number, width in enumerate(STEM, 1):
            net = slim.conv2d(net, width, 3, 2, scope=f"stem{number}")
        levels = []
        for number, (width, inner, depth) in enumerate(zip(WIDTHS, INNER, DEPTHS, strict=True), 1):
            if number > 1:
                net = slim.avg_pool2d(net, 2, 2, scope=f"pool{number}")
            for block in range(1, depth + 1):
                net = bottleneck(net, width, inner, scope=f"stage{number}_block{block}")
            levels.append(net)
        maps, x, y = heatmaps(*top_down(levels), outputs // 2)
        landmarks = expectation(maps, x, y, is_training)
    return Outputs(landmarks, maps=maps, features=net)


def bottleneck(net, width: int, inner: int, scope: str):
    """[B, H, W, C] to [B, H, W, width]: reduce to `inner`, 3x3, expand, gate, add, ReLU."""
    with tf.variable_scope(scope):
        shortcut = net
        if int(net.shape[3]) != width:
            shortcut = slim.conv2d(net, width, 1, activation_fn=None, scope="shortcut")
        net = slim.conv2d(net, inner, 1, scope="reduce")
        net = slim.conv2d(net, inner, 3, scope="conv")
        net = slim.conv2d(net, width, 1, activation_fn=None, scope="expand")
        return tf.nn.relu(shortcut + net * se_gate(net))


def top_down(levels):
    """Add every coarser level to the next finer one; return the two finest, MERGED wide.

    levels: the stages' feature maps, the finest first.
    """
    net = above = None
    for number, (level, width) in reversed(list(enumerate(zip(levels, PATH, strict=True), 1))):
        lateral = slim.conv2d(level, width, 1, scope=f"lateral{number}")
        if net is not None:
            if int(net.shape[3]) != width:
                net = slim.conv2d(net, width, 1, scope=f"narrow{number}")
            size = [int(cells) for cells in lateral.shape[1:3]]
            lateral += tf.image.resize_nearest_neighbor(net, size)
        above, net = net, lateral
        if number <= len(MERGED):
            net = slim.conv2d(lateral, MERGED[number - 1], 3, scope=f"merge{number}")
    return net, above


def heatmaps(fine, coarse, count: int):
    """`count` heatmaps [B, H, W, N] from `fine`, and their offsets in x and in y from `coarse`."""
    plain = {"activation_fn": None, "normalizer_fn": None}
    maps = slim.conv2d(fine, count, 1, **plain, scope="maps")
    x, y = (
        slim.conv2d(
            coarse, count, 1, **plain, weights_initializer=small_weights(), scope=f"vote_{axis}"
        )
        for axis in "xy"
    )
    return maps, x, y


NETWORK = Network(senet)  # its recipe is TrainConfig's defaults
