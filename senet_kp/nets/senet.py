"""`senet`: squeeze-and-excitation bottlenecks, a top-down path, a map and a vote for each point.

Accuracy per millisecond: no layer works at the input's own resolution, most weights sit where
maps are small, and a point is the expectation of a 32x32 map with a vote in every cell, so that
nothing has to learn coordinates by heart.
"""

from senet_kp.nets.layers import FEATURES, SMALL, expectation, se_gate
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.tf1 import slim, tf

STEM = (16, 32)
WIDTHS = (48, 96, 192, 256)  # at a quarter, an eighth, ... of the input's resolution
DEPTHS = (1, 2, 3, 2)
PATH = (48, 64, 64, 64)  # on the way up, at the same resolutions
MERGED = 2  # so many of the finest levels mix what came from above with a 3x3 convolution


def senet(image, outputs: int, is_training: bool, options: NetOptions):
    """[B, outputs] from [B, S, S, 3], S a multiple of 32: stem, stages, path up to S/4, points."""
    with slim.arg_scope(conv_scope(is_training, options)):
        net = (image - 127.5) * (1 / 127.5)
        for number, width in enumerate(STEM, 1):
            net = slim.conv2d(net, width, 3, 2, scope=f"stem{number}")
        levels = []
        for number, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), 1):
            for block in range(1, depth + 1):
                stride = 2 if block == 1 and number > 1 else 1
                net = bottleneck(net, width, stride, scope=f"stage{number}_block{block}")
            levels.append(net)
        tf.add_to_collection(FEATURES, net)
        return points(top_down(levels), outputs // 2, is_training)


def bottleneck(net, width: int, stride: int, scope: str):
    """[B, H, W, C] to [B, H/stride, W/stride, width]: reduce, 3x3, expand, gate, add, ReLU."""
    with tf.variable_scope(scope):
        shortcut = net
        if stride > 1:
            shortcut = slim.avg_pool2d(net, 2, stride, scope="shortcut_pool")
        if int(net.shape[3]) != width:
            shortcut = slim.conv2d(shortcut, width, 1, activation_fn=None, scope="shortcut")
        net = slim.conv2d(net, width // 2, 1, scope="reduce")
        net = slim.conv2d(net, width // 2, 3, stride, scope="conv")
        net = slim.conv2d(net, width, 1, activation_fn=None, scope="expand")
        return tf.nn.relu(shortcut + net * se_gate(net))


def top_down(levels):
    """[B, H, W, PATH[0]] at the first level's resolution, from all levels, coarse to fine."""
    net = None
    for number, (level, width) in reversed(list(enumerate(zip(levels, PATH, strict=True), 1))):
        lateral = slim.conv2d(level, width, 1, scope=f"lateral{number}")
        if net is not None:
            if int(net.shape[3]) != width:
                net = slim.conv2d(net, width, 1, scope=f"narrow{number}")
            size = [int(side) for side in lateral.shape[1:3]]
            lateral += tf.image.resize_nearest_neighbor(net, size)
        merged = number <= MERGED
        net = slim.conv2d(lateral, width, 3, scope=f"merge{number}") if merged else lateral
    return net


def points(net, count: int, is_training: bool):
    """[B, 2N] from [B, H, W, C]: a map for each point, and in every cell a vote for its place."""
    plain = {"activation_fn": None, "normalizer_fn": None}
    maps = slim.conv2d(net, count, 1, **plain, scope="maps")
    x, y = (slim.conv2d(net, count, 1, **plain, weights_initializer=SMALL, scope=f"vote_{axis}")
            for axis in "xy")  # fmt: skip
    return expectation(maps, x, y, is_training)
