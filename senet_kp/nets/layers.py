"""Layers that networks share: the squeeze-and-excitation gate and the expectation head."""

import numpy as np

from senet_kp.tf1 import slim, tf

MAPS = "maps"  # the collection of logits [B, H, W, N] that `losses.map_loss` looks at
SQUEEZE = 16  # the gate's hidden layer is this much narrower than the block


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


def expectation(maps, offset_x, offset_y, is_training: bool):
    """[B, 2N] x0, y0, x1, ...: where each map lies on average, its softmax as the probability.

    maps [B, H, W, N] logits; offset_x, offset_y [B, H, W, N]: how far from its centre a cell sees
    the point, in box sides. The expectation is that of Sun et al., "Integral Human Pose
    Regression" (2018), the votes beside the cells that of Xiong et al., "A2J" (2019).
    """
    height, width, count = (int(size) for size in maps.shape[1:])
    x, y = cell_centres(width)[None, :], cell_centres(height)[:, None]
    if is_training:
        tf.add_to_collection(MAPS, maps)
        share = tf.reshape(tf.nn.softmax(tf.reshape(maps, [-1, height * width, count]), 1),
                           [-1, height, width, count])  # fmt: skip
        means = [tf.reduce_sum(share * (offset + place[..., None]), [1, 2])
                 for offset, place in ((offset_x, x), (offset_y, y))]  # fmt: skip
        return tf.reshape(tf.stack(means, 2), [-1, 2 * count])
    # The same in ops that OpenCV runs quickly, and with TensorFlow's result: it has no softmax over
    # places, and answers wrongly, without a word, to sums over two axes.
    share = tf.exp(maps)
    columns, rows = _mean(share, height, 1), _mean(share, 1, width)
    total = _mean(columns, 1, width)
    x = _mean_place(columns, x) + _mean(share * offset_x, height, width)
    y = _mean_place(rows, y) + _mean(share * offset_y, height, width)
    return tf.reshape(_interleaved(x / total, y / total), [-1, 2 * count])


def cell_centres(cells: int) -> np.ndarray:
    """Box-relative coordinates of the middles of `cells` cells, by the rule of the face box."""
    return (np.arange(cells, dtype=np.float32) + 0.5) / cells


def _mean(maps, height: int, width: int):
    """[B, H / height, W / width, N] means over blocks of cells."""
    return tf.nn.avg_pool2d(maps, [height, width], 1, "VALID")


def _mean_place(maps, places):
    """[B, 1, 1, N] mean of value times place over a line of cells, `places` [H, 1] or [1, W]."""
    kernel = np.repeat(places[:, :, None, None], maps.shape[3], axis=2) / places.size
    return tf.nn.depthwise_conv2d(maps, kernel, [1, 1, 1, 1], "VALID")


def _interleaved(x, y):
    """[B, 1, 1, 2N] x0, y0, x1, ... of x and y [B, 1, 1, N], by a 1x1 convolution."""
    count = int(x.shape[3])
    swap = np.zeros((1, 1, 2 * count, 2 * count), np.float32)
    for point in range(count):
        swap[0, 0, point, 2 * point] = swap[0, 0, count + point, 2 * point + 1] = 1
    return tf.nn.conv2d(tf.concat([x, y], 3), swap, 1, "VALID")
