"""The head pose as an auxiliary target: a head that only training adds to a network.

A frozen graph does not contain it.
"""

from senet_kp.nets.layers import small_weights
from senet_kp.nets.tf1 import slim, tf

# The first two columns of the identity, so that training starts with frontal poses.
FRONTAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def pose_head(features, weight_decay: float):
    """Head rotations [B, 3, 3], predicted from a network's feature maps [B, H, W, C].

    The layer predicts six numbers, which are made orthonormal. Unlike angles and quaternions they
    are continuous, so that similar poses always have similar targets: Zhou et al., "On the
    Continuity of Rotation Representations in Neural Networks" (2019).
    """
    with tf.variable_scope("pose", reuse=tf.AUTO_REUSE):
        six = slim.fully_connected(
            tf.reduce_mean(features, [1, 2]),
            len(FRONTAL),
            activation_fn=None,
            weights_initializer=small_weights(),
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_initializer=tf.constant_initializer(FRONTAL),
            scope="columns",
        )
    return orthonormal(six[:, :3], six[:, 3:])


def orthonormal(right, up):
    """Rotations [B, 3, 3] by the Gram-Schmidt process.

    `right` [B, 3] gives the direction of the first column, `up` [B, 3] that of the second as far
    as it is perpendicular to the first; the third is their cross product.
    """
    right = tf.math.l2_normalize(right, 1)
    up = tf.math.l2_normalize(up - right * tf.reduce_sum(right * up, 1, keepdims=True), 1)
    return tf.stack([right, up, tf.linalg.cross(right, up)], 2)
