"""Layers that networks share: the squeeze-and-excitation gate, heads, grey and standard values."""

import numpy as np

from senet_kp.nets.options import NetOptions
from senet_kp.nets.tf1 import slim, tf

MAPS = "maps"  # the collection of logits [B, H, W, N] that `losses.map_loss` looks at
FEATURES = "features"  # the collection of maps [B, H, W, C] from which `pose_head` reads
UNITS = "units"  # the collection of label spreads [2N] in which the loss measures differences
SQUEEZE = 16  # the gate's hidden layer is this much narrower than the block
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, the grey of JPEG and OpenCV
# Points start as one face. At full size the last layer's random weights are noise that training has
# to take back point by point, and that dropout turns into a noisy loss for thousands of steps.
SMALL = slim.variance_scaling_initializer(factor=1e-4)


def se_gate(net):
    """[B, 1, 1, C] in 0..1, from the spatial mean; stays 4-D, which OpenCV broadcasts right.

    Hu et al., "Squeeze-and-Excitation Networks" (2018).
    """
    width = int(net.shape[3])
    with tf.variable_scope("gate"):
        gate = tf.reduce_mean(net, [1, 2], name="squeeze")
        gate = slim.fully_connected(gate, width // SQUEEZE, scope="down")
        gate = slim.fully_connected(gate, width, activation_fn=tf.nn.sigmoid, scope="up")
        return tf.reshape(gate, [-1, 1, 1, width], name="gate")


def grey(image):
    """[B, H, W, 1] from RGB [B, H, W, 3], in the same range: constant weights, none to train."""
    return tf.nn.conv2d(image, np.float32(LUMA).reshape(1, 1, 3, 1), 1, "VALID", name="grey")


def flat(net):
    """[B, H * W * C] from [B, H, W, C] of a known size, which is all that OpenCV flattens right."""
    return tf.reshape(net, [-1, int(np.prod(net.shape.as_list()[1:]))], name="flat")


def dropout(net, is_training: bool, options: NetOptions):
    """Dropout that depends on its seed alone, and is no op at all in use."""
    if not is_training:
        return net
    rate = 1 - options.dropout_keep
    return tf.nn.experimental.stateless_dropout(net, rate, options.dropout_seed)


def unstandardised(net, is_training: bool, options: NetOptions):
    """[B, 2N] box-relative landmarks from standardised ones: times the labels' spread, plus mean.

    Both are kept as variables, so that a checkpoint goes with the labels it was trained on.
    """
    mean, spread = (
        slim.model_variable(
            f"label_{name}",
            [int(net.shape[1])],
            initializer=tf.constant_initializer(np.broadcast_to(value, net.shape[1:])),
            trainable=False,
        )
        for name, value in (("mean", options.label_mean), ("spread", options.label_spread))
    )
    if is_training:
        tf.add_to_collection(UNITS, spread)
    return net * spread + mean


def expectation(maps, offset_x, offset_y, is_training: bool):
    """[B, 2N] x0, y0, x1, ...: where each map lies on average, its softmax as the probability.

    maps [B, H, W, N] logits; offset_x, offset_y [B, H/k, W/k, N] for a whole k: how far from where
    the map has it a block of k x k cells sees the point, in box sides. The expectation is that of
    Sun et al., "Integral Human Pose Regression" (2018), the votes beside the cells that of Xiong
    et al., "A2J" (2019).
    """
    height, width, count = (int(size) for size in maps.shape[1:])
    x, y = cell_centres(width)[None, :, None], cell_centres(height)[:, None, None]
    blocks = [height // int(offset_x.shape[1]), width // int(offset_x.shape[2])]
    if is_training:
        tf.add_to_collection(MAPS, maps)
        share = tf.reshape(
            tf.nn.softmax(tf.reshape(maps, [-1, height * width, count]), 1),
            [-1, height, width, count],
        )
        votes = tf.nn.avg_pool2d(share, blocks, blocks, "VALID") * np.prod(blocks)
        means = [
            tf.reduce_sum(share * place, [1, 2]) + tf.reduce_sum(votes * offset, [1, 2])
            for offset, place in ((offset_x, x), (offset_y, y))
        ]
        return tf.reshape(tf.stack(means, 2), [-1, 2 * count])
    # The same in ops that OpenCV runs quickly, and with TensorFlow's result: it has no softmax over
    # places, and answers wrongly, without a word, to sums over two axes.
    share = tf.exp(maps)
    votes = tf.nn.avg_pool2d(share, blocks, blocks, "VALID")
    columns, rows = _mean(share, height, 1), _mean(share, 1, width)
    total = _mean(columns, 1, width)
    x = _mean_place(columns, x) + _mean(votes * offset_x, *offset_x.shape[1:3])
    y = _mean_place(rows, y) + _mean(votes * offset_y, *offset_y.shape[1:3])
    return tf.reshape(_interleaved(x / total, y / total), [-1, 2 * count])


def cell_centres(cells: int) -> np.ndarray:
    """Box-relative coordinates of the middles of `cells` cells, by the rule of the face box."""
    return (np.arange(cells, dtype=np.float32) + 0.5) / cells


def _mean(maps, height: int, width: int):
    """[B, H / height, W / width, N] means over blocks of cells."""
    return tf.nn.avg_pool2d(maps, [height, width], 1, "VALID")


def _mean_place(maps, places):
    """[B, 1, 1, N] mean of value times place over a line of cells.

    places: [H, 1, 1] or [1, W, 1].
    """
    kernel = np.repeat(places[..., None], maps.shape[3], axis=2) / places.size
    return tf.nn.depthwise_conv2d(maps, kernel, [1, 1, 1, 1], "VALID")


def _interleaved(x, y):
    """[B, 1, 1, 2N] x0, y0, x1, ... of x and y [B, 1, 1, N], by a 1x1 convolution."""
    count = int(x.shape[3])
    swap = np.zeros((1, 1, 2 * count, 2 * count), np.float32)
    for point in range(count):
        swap[0, 0, point, 2 * point] = swap[0, 0, count + point, 2 * point + 1] = 1
    return tf.nn.conv2d(tf.concat([x, y], 3), swap, 1, "VALID")
