"""The gradient of a convolution, made of ops that the CPU runs quickly.

TensorFlow's own ops for it are the slowest part of a step on the CPU. With stride 1 the gradient
of the input is itself a convolution, of the gradient with the kernel turned round, and a 1x1
convolution is a product of matrices both ways. The numbers are the same but for rounding.
"""

from senet_kp.nets.tf1 import tf

NAME = "Conv2DByQuickOps"


def quick_gradients():
    """A context in which the convolutions that are made get this gradient."""
    return tf.get_default_graph().gradient_override_map({"Conv2D": NAME})


@tf.RegisterGradient(NAME)
def _conv2d_gradient(op, gradient):
    """The gradients of image [B, H, W, C] and kernel [h, w, C, K], from that of the result."""
    image, kernel = op.inputs
    how = {name: op.get_attr(name) for name in ("strides", "dilations")}
    how |= {"padding": op.get_attr("padding").decode()}
    height, width, channels, outputs = kernel.shape.as_list()
    at_every_cell = how["strides"] == how["dilations"] == [1, 1, 1, 1]
    if height == width == 1 and at_every_cell:
        rows = tf.reshape(gradient, [-1, outputs])
        of_image = tf.matmul(rows, tf.reshape(kernel, [channels, outputs]), transpose_b=True)
        of_kernel = tf.matmul(tf.reshape(image, [-1, channels]), rows, transpose_a=True)
        return tf.reshape(of_image, tf.shape(image)), tf.reshape(of_kernel, kernel.shape)
    of_kernel = tf.nn.conv2d_backprop_filter(image, kernel.shape.as_list(), gradient, **how)
    if at_every_cell and how["padding"] == "SAME" and height % 2 and width % 2:
        turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
        return tf.nn.conv2d(gradient, turned, **how), of_kernel
    of_image = tf.nn.conv2d_backprop_input(tf.shape(image), kernel, gradient, **how)
    return of_image, of_kernel
