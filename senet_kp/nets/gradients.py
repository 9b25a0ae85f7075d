"""The gradient of a convolution, composed of ops that the CPU runs quickly.

TensorFlow's own gradient ops are the slowest part of a training step on the CPU. With stride 1 the
gradient of the input is itself a convolution, that of the output's gradient with the rotated
kernel; for a 1x1 convolution both gradients are matrix products. The results are equal up to
rounding.
"""

import functools

from senet_kp.nets.tf1 import tf

NAME = "Conv2DByQuickOps"


def quick_gradients():
    """A context in which new convolutions of the default graph use this gradient."""
    _register()
    return tf.get_default_graph().gradient_override_map({"Conv2D": NAME})


@functools.cache  # TensorFlow refuses to register a name twice
def _register():
    tf.RegisterGradient(NAME)(_conv2d_gradient)


def _conv2d_gradient(op, gradient):
    """The gradients of a convolution's inputs, from `gradient` [B, H', W', K] of its output.

    The inputs of `op` are an image [B, H, W, C] and a kernel [h, w, C, K].
    """
    image, kernel = op.inputs
    settings = {name: op.get_attr(name) for name in ("strides", "dilations")}
    settings |= {"padding": op.get_attr("padding").decode()}
    height, width, channels, outputs = kernel.shape.as_list()
    stride_one = settings["strides"] == settings["dilations"] == [1, 1, 1, 1]
    if height == width == 1 and stride_one:
        rows = tf.reshape(gradient, [-1, outputs])
        of_image = tf.matmul(rows, tf.reshape(kernel, [channels, outputs]), transpose_b=True)
        of_kernel = tf.matmul(tf.reshape(image, [-1, channels]), rows, transpose_a=True)
        return tf.reshape(of_image, tf.shape(image)), tf.reshape(of_kernel, kernel.shape)
    of_kernel = tf.nn.conv2d_backprop_filter(image, kernel.shape.as_list(), gradient, **settings)
    if stride_one and settings["padding"] == "SAME" and height % 2 and width % 2:
        rotated = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
        return tf.nn.conv2d(gradient, rotated, **settings), of_kernel
    of_image = tf.nn.conv2d_backprop_input(tf.shape(image), kernel, gradient, **settings)
    return of_image, of_kernel
