"""The head pose as an auxiliary target: what training adds to a network, and no use of it has."""

from senet_kp.nets.layers import FEATURES, SMALL
from senet_kp.nets.tf1 import slim, tf

# The first two columns of the identity: training starts with heads that look ahead.
AHEAD = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def pose_head(weight_decay: float):
    """[B, 3, 3] rotations of the heads, from the features of the network that was built last.

    Six numbers, made orthonormal: unlike angles and quaternions they jump nowhere, so that near
    poses always have near targets; Zhou et al., "On the Continuity of Rotation Representations in
    Neural Networks" (2019).
    """
    with tf.variable_scope("pose", reuse=tf.AUTO_REUSE):
        six = slim.fully_connected(
            tf.reduce_mean(tf.get_collection(FEATURES)[-1], [1, 2]),
            len(AHEAD),
            activation_fn=None,
            weights_initializer=SMALL,
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_initializer=tf.constant_initializer(AHEAD),
            scope="columns",
        )
    return orthonormal(six[:, :3], six[:, 3:])


def orthonormal(right, up):
    """[B, 3, 3] rotations of which `right` [B, 3] gives the first column's direction, and `up`
    [B, 3] the second's, after Gram and Schmidt."""
    right = tf.math.l2_normalize(right, 1)
    up = tf.math.l2_normalize(up - right * tf.reduce_sum(right * up, 1, keepdims=True), 1)
    return tf.stack([right, up, tf.linalg.cross(right, up)], 2)
