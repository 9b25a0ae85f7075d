"""The quick gradient of a convolution equals TensorFlow's own."""

import numpy as np
import pytest

from senet_kp.nets import NETWORKS, build_network
from senet_kp.nets.gradients import NAME, quick_gradients
from senet_kp.nets.tf1 import tf

SHAPES = [(1, 1), (3, 3), (1, 3), (2, 2)]


def gradients(image, kernel, weights, strides, padding, quick: bool):
    """Both gradients of a weighted sum of a convolution's squares, and the types of all ops."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        image, kernel = tf.constant(image), tf.constant(kernel)
        with quick_gradients() if quick else graph.name_scope(None):
            result = tf.nn.conv2d(image, kernel, strides, padding)
        found = tf.gradients(tf.reduce_sum(tf.square(result) * weights), [image, kernel])
        return session.run(found), [op.type for op in graph.get_operations()]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [1, 2, [1, 2, 1, 1]])
@pytest.mark.parametrize("height, width", SHAPES)
def test_the_gradient_is_tensorflows(height, width, strides, padding):
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 7, 6, 5)).astype(np.float32)
    kernel = random.normal(size=(height, width, 5, 4)).astype(np.float32)
    rate = random.uniform(0.5, 2, 4).astype(np.float32)
    plain, _ = gradients(image, kernel, rate, strides, padding, quick=False)
    quick, ops = gradients(image, kernel, rate, strides, padding, quick=True)
    for expected, value in zip(plain, quick, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    if strides == 1 and height == 1 == width:
        assert not {"Conv2DBackpropInput", "Conv2DBackpropFilter"} & set(ops)
    if strides == 1 and height == 3 and padding == "SAME":
        assert "Conv2DBackpropInput" not in ops


@pytest.mark.parametrize("net", NETWORKS)
def test_networks_use_it_only_in_training(net):
    marks = {}
    for is_training in (True, False):
        with tf.Graph().as_default() as graph:
            build_network(net, tf.zeros([2, 128, 128, 3]), 68, is_training)
            convolutions = [op for op in graph.get_operations() if op.type == "Conv2D"]
        marks[is_training] = {
            op.node_def.attr["_gradient_op_type"].s.decode() for op in convolutions
        }
    assert NAME in marks[True] and marks[False] == {""}
