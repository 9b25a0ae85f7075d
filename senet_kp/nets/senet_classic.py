"""`senet_classic`: squeeze-and-excitation bottlenecks and a dense head.

The squeeze-and-excitation gate is that of Hu et al., "Squeeze-and-Excitation Networks" (2018).
1.0 M weights, about 80 MFLOP at 128x128.
"""

from senet_kp.nets.layers import dropout, se_gate, small_weights
from senet_kp.nets.network import Network, Outputs
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.tf1 import slim, tf

WIDTHS = (64, 128, 128, 256, 512)


def senet_classic(image, outputs: int, is_training: bool, options: NetOptions) -> Outputs:
    """Landmarks from [B, S, S, 3]: stem, five blocks (to S/64), global mean, two dense layers."""
    with slim.arg_scope(conv_scope(is_training, options)):
        net = (image - 127.5) * (1 / 127.5)
        net = slim.conv2d(net, 32, 3, scope="stem")
        net = slim.avg_pool2d(net, 3, 2, scope="stem_pool")
        for number, width in enumerate(WIDTHS, 1):
            net = se_bottleneck(net, width, scope=f"block{number}")
        features = net
        net = tf.reduce_mean(net, [1, 2], name="mean")
        net = slim.fully_connected(net, 1024, scope="dense")
        net = dropout(net, is_training, options)
        landmarks = slim.fully_connected(
            net, outputs, activation_fn=None, weights_initializer=small_weights(), scope="points"
        )
    return Outputs(landmarks, features=features)


def se_bottleneck(net, width: int, scope: str, stride: int | None = 2):
    """[B, H, W, C] to [B, H/2, W/2, width]: bottleneck and shortcut, pooled, gated, added.

    stride: that of the pooling; None for a block that is not pooled and keeps H and W.
    """
    with tf.variable_scope(scope):
        inner = int(net.shape[3]) // 4
        shortcut = slim.avg_pool2d(net, 3, stride, scope="shortcut_pool") if stride else net
        if int(net.shape[3]) != width:
            shortcut = slim.conv2d(shortcut, width, 1, scope="shortcut")
        net = slim.conv2d(net, inner, 1, scope="reduce")
        net = slim.conv2d(net, inner, 3, scope="conv")
        net = slim.conv2d(net, width, 1, scope="expand")
        net = slim.avg_pool2d(net, 3, stride, scope="pool") if stride else net
        return shortcut + net * se_gate(net)


NETWORK = Network(
    senet_classic,
    # Squared error, dropout, and a learning rate of 0.001 x 0.98 ^ (step / 1000).
    recipe={
        "steps": 150_000,
        "loss": "mse",
        "learning_rate": 1e-3,
        "decay_steps": 1000,
        "warmup_steps": 0,
        "average_decay": 0.0,
        "bn_decay": 0.997,
        "dropout_keep": 0.8,
    },
)
