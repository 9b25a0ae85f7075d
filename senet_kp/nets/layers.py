"""Layers that several networks use: the squeeze-and-excitation gate, dropout, output heads."""

import numpy as np

from senet_kp.nets.options import NetOptions
from senet_kp.nets.tf1 import slim, tf

SQUEEZE = 16  # the reduction ratio of the gate's hidden layer
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, the grey of JPEG and OpenCV


def small_weights():
    """An initializer with small weights for the layer that predicts the landmarks.

    With it, training starts with nearly the same prediction for every picture. With weights of the
    usual size, the first predictions would be noise that training has to undo landmark by
    landmark, and that dropout turns into a noisy loss for thousands of steps.
    """
    return slim.variance_scaling_initializer(factor=1e-4)


def se_gate(net):
    """The squeeze-and-excitation gate [B, 1, 1, C] in 0..1 of feature maps [B, H, W, C].

    Hu et al., "Squeeze-and-Excitation Networks" (2018). It stays 4-D because OpenCV broadcasts
    only that correctly.
    """
    width = int(net.shape[3])
    with tf.variable_scope("gate"):
        gate = tf.reduce_mean(net, [1, 2], name="squeeze")
        gate = slim.fully_connected(gate, width // SQUEEZE, scope="down")
        gate = slim.fully_connected(gate, width, activation_fn=tf.nn.sigmoid, scope="up")
        return tf.reshape(gate, [-1, 1, 1, width], name="gate")


def grey(image):
    """The luma [B, H, W, 1] of RGB [B, H, W, 3], in the same range; it has no trained weights."""
    return tf.nn.conv2d(image, np.float32(LUMA).reshape(1, 1, 3, 1), 1, "VALID", name="grey")


def flat(net):
    """[B, H * W * C] from [B, H, W, C]; H, W and C must be known, since OpenCV needs constants."""
    return tf.reshape(net, [-1, int(np.prod(net.shape.as_list()[1:]))], name="flat")


def dropout(net, is_training: bool, options: NetOptions):
    """Dropout that depends on `options.dropout_seed` alone; without training, `net` itself."""
    if not is_training:
        return net
    rate = 1 - options.dropout_keep
    return tf.nn.experimental.stateless_dropout(net, rate, options.dropout_seed)


def unstandardised(net, options: NetOptions):
    """Box-relative landmarks [B, 2N] from standardised ones: net * spread + mean; and the spread.

    The mean and the spread [2N] of the labels are variables that are not trained, so that a
    checkpoint holds those of the labels that it was trained on.
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
    return net * spread + mean, spread


def expectation(maps, offset_x, offset_y, is_training: bool):
    """Landmarks [B, 2N] x0, y0, x1, ...: the expected position under each heatmap's softmax.

    maps: logits [B, H, W, N]. offset_x, offset_y: [B, H/k, W/k, N] for a whole number k, in box
    widths: each block of k x k cells adds its offset to the position that its cells stand for.
    `is_training` selects one of two implementations of the same function.

    The expectation is that of Sun et al., "Integral Human Pose Regression" (2018), the offsets are
    those of Xiong et al., "A2J: Anchor-to-Joint Regression Network" (2019).
    """
    height, width, count = (int(size) for size in maps.shape[1:])
    x, y = cell_centres(width)[None, :, None], cell_centres(height)[:, None, None]
    blocks = [height // int(offset_x.shape[1]), width // int(offset_x.shape[2])]
    if is_training:
        share = tf.reshape(
            tf.nn.softmax(tf.reshape(maps, [-1, height * width, count]), 1),
            [-1, height, width, count],
        )
        votes = tf.nn.avg_pool2d(share, blocks, blocks, "VALID") * np.prod(blocks)
        means = [
            tf.reduce_sum(share * centre, [1, 2]) + tf.reduce_sum(votes * offset, [1, 2])
            for offset, centre in ((offset_x, x), (offset_y, y))
        ]
        return tf.reshape(tf.stack(means, 2), [-1, 2 * count])
    # The same in ops that OpenCV runs quickly and correctly: it has no softmax over positions, and
    # its sums over two axes give wrong results without an error.
    share = tf.exp(maps)
    votes = tf.nn.avg_pool2d(share, blocks, blocks, "VALID")
    columns, rows = _mean(share, height, 1), _mean(share, 1, width)
    total = _mean(columns, 1, width)
    x = _weighted_mean(columns, x) + _mean(votes * offset_x, *offset_x.shape[1:3])
    y = _weighted_mean(rows, y) + _mean(votes * offset_y, *offset_y.shape[1:3])
    return tf.reshape(_interleaved(x / total, y / total), [-1, 2 * count])


def cell_centres(cells: int) -> np.ndarray:
    """Box-relative coordinates [cells] of the centres of `cells` equal cells along an axis."""
    return (np.arange(cells, dtype=np.float32) + 0.5) / cells


def _mean(maps, height: int, width: int):
    """The means [B, H - height + 1, W - width + 1, N] over every window of height x width cells."""
    return tf.nn.avg_pool2d(maps, [height, width], 1, "VALID")


def _weighted_mean(maps, centres):
    """The mean [B, 1, 1, N] of value times centre over a row or a column of cells.

    maps: [B, H, 1, N] with centres [H, 1, 1], or [B, 1, W, N] with centres [1, W, 1].
    """
    kernel = np.repeat(centres[..., None], maps.shape[3], axis=2) / centres.size
    return tf.nn.depthwise_conv2d(maps, kernel, [1, 1, 1, 1], "VALID")


def _interleaved(x, y):
    """[B, 1, 1, 2N] x0, y0, x1, ... from x and y [B, 1, 1, N], by a 1x1 convolution."""
    count = int(x.shape[3])
    swap = np.zeros((1, 1, 2 * count, 2 * count), np.float32)
    for point in range(count):
        swap[0, 0, point, 2 * point] = swap[0, 0, count + point, 2 * point + 1] = 1
    return tf.nn.conv2d(tf.concat([x, y], 3), swap, 1, "VALID")
