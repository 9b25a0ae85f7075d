"""Losses on box-relative landmarks, masked and weighted per point.

Each takes the difference [B, N, 2] of predicted and true landmarks, in box sides, and returns a
penalty for every coordinate; `sample_loss` averages them.
"""

import math

from senet_kp.nets.layers import cell_centres
from senet_kp.nets.tf1 import tf

SMOOTH = 0.01  # smooth L1 is a parabola below this: one pixel in a hundred
WING_WIDTH, WING_CURVE = 0.1, 0.02  # the paper's 10 and 2 pixels, for a box of 100


def mse(difference):
    """Squared error."""
    return tf.square(difference)


def l1(difference):
    """Absolute error."""
    return tf.abs(difference)


def smooth_l1(difference):
    """Absolute error, rounded to a parabola below SMOOTH (Girshick, "Fast R-CNN", 2015)."""
    error = tf.abs(difference)
    return tf.where(error < SMOOTH, tf.square(error) / (2 * SMOOTH), error - SMOOTH / 2)


def wing(difference):
    """Logarithmic below WING_WIDTH, linear above: small errors keep pulling.

    Feng et al., "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural
    Networks" (2018).
    """
    error = tf.abs(difference)
    join = WING_WIDTH - WING_WIDTH * math.log1p(WING_WIDTH / WING_CURVE)
    return tf.where(
        error < WING_WIDTH, WING_WIDTH * tf.math.log1p(error / WING_CURVE), error - join
    )


LOSSES = {"mse": mse, "l1": l1, "smooth_l1": smooth_l1, "wing": wing}


def sample_loss(name: str, predicted, truth, mask, point_weights=None, unit=1.0):
    """[B] mean penalty of each sample over its valid coordinates, by the loss of that name.

    predicted [B, 2N], truth [B, N, 2], mask [B, N] 0 or 1, point_weights [N] or None for ones;
    the mean is weighted by both. A sample without a valid point counts as 0. unit: a number or
    [N, 2], what differences are measured in: the spread of standardised labels.
    """
    weights = mask if point_weights is None else mask * point_weights
    difference = (tf.reshape(predicted, tf.shape(truth)) - truth) / unit
    error = LOSSES[name](difference) * weights[..., None]
    total = tf.reduce_sum(weights, 1)
    return tf.math.divide_no_nan(tf.reduce_sum(error, [1, 2]), 2 * total)


def map_loss(maps, truth, mask, sigma_cells: float = 1.0):
    """[B] mean cross entropy between each map and a Gaussian round its point, over valid points.

    maps [B, H, W, N] logits; truth [B, N, 2]; mask [B, N]. An expectation alone leaves open how a
    map comes by its mean; Nibali et al., "Numerical Coordinate Regression with Convolutional
    Neural Networks" (2018). Points outside the box are left out: no map can hold them.
    """
    height, width, count = (int(size) for size in maps.shape[1:])

    def log_gaussian(place, cells):
        away = (place[..., None] - cell_centres(cells)) * (cells / sigma_cells)
        return -tf.square(away) / 2  # [B, N, cells]

    target = (
        log_gaussian(truth[..., 1], height)[..., :, None]
        + log_gaussian(truth[..., 0], width)[..., None, :]
    )
    target = tf.nn.softmax(tf.reshape(target, [-1, count, height * width]))
    logits = tf.transpose(tf.reshape(maps, [-1, height * width, count]), [0, 2, 1])
    error = tf.nn.softmax_cross_entropy_with_logits_v2(target, logits)
    weights = mask * tf.cast(tf.reduce_all((truth > 0) & (truth < 1), 2), tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(error * weights, 1), tf.reduce_sum(weights, 1))


def pose_loss(predicted, truth):
    """[B] mean absolute difference of rotations [B, 3, 3], 0 where the truth is not known (NaN).

    All nine entries: like this both turns out of the picture's plane count as much as that in it.
    Absolute, since squares of it would vanish beside the L1 of the points.
    """
    known = tf.math.is_finite(truth)
    return tf.reduce_mean(tf.abs(predicted - tf.where_v2(known, truth, predicted)), [1, 2])
