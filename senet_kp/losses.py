"""Losses on box-relative landmarks, masked per point."""

from senet_kp.tf1 import tf


def mse(predicted, truth, mask):
    """[B] mean squared error of each sample over its valid coordinates.

    predicted [B, 2N], truth [B, N, 2], mask [B, N]; a sample without a valid point counts as 0.
    """
    error = tf.square(tf.reshape(predicted, tf.shape(truth)) - truth) * mask[..., None]
    valid = tf.maximum(tf.reduce_sum(mask, 1), 1)
    return tf.reduce_sum(error, [1, 2]) / (2 * valid)
