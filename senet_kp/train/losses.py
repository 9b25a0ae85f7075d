"""Losses on box-relative landmarks, masked and weighted per landmark; heatmap and pose losses.

Every function of LOSSES takes the difference [B, N, 2] of predicted and true landmarks, in box
widths, and returns a penalty for every coordinate; `sample_loss` averages them.
"""

import math
from typing import Literal

from senet_kp.nets.layers import cell_centres
from senet_kp.nets.tf1 import tf

LossName = Literal["mse", "l1", "smooth_l1", "wing"]

SMOOTH = 0.01  # smooth L1 is quadratic below this: one pixel in a box of 100
WING_WIDTH, WING_CURVE = 0.1, 0.02  # the paper's 10 and 2 pixels, for a box of 100


def mse(difference):
    """Squared error."""
    return tf.square(difference)


def l1(difference):
    """Absolute error."""
    return tf.abs(difference)


def smooth_l1(difference):
    """Absolute error, quadratic below SMOOTH (Girshick, "Fast R-CNN", 2015)."""
    error = tf.abs(difference)
    return tf.where(error < SMOOTH, tf.square(error) / (2 * SMOOTH), error - SMOOTH / 2)


def wing(difference):
    """Logarithmic below WING_WIDTH, linear above, so that small errors keep a large gradient.

    Feng et al., "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural
    Networks" (2018).
    """
    error = tf.abs(difference)
    join = WING_WIDTH - WING_WIDTH * math.log1p(WING_WIDTH / WING_CURVE)
    return tf.where(
        error < WING_WIDTH, WING_WIDTH * tf.math.log1p(error / WING_CURVE), error - join
    )


LOSSES = {"mse": mse, "l1": l1, "smooth_l1": smooth_l1, "wing": wing}


def sample_loss(name: LossName, predicted, truth, mask, point_weights=None, unit=1.0):
    """The mean penalty [B] of each sample over its valid coordinates.

    predicted: [B, 2N]. truth: [B, N, 2]. mask: [B, N], 0 or 1. point_weights: [N], or None for
    ones. The mean is weighted by mask and point_weights; the loss of a sample without a valid
    landmark is 0. unit: a number or [N, 2] by which differences are divided, such as the standard
    deviations of standardised labels.
    """
    weights = mask if point_weights is None else mask * point_weights
    difference = (tf.reshape(predicted, tf.shape(truth)) - truth) / unit
    error = LOSSES[name](difference) * weights[..., None]
    total = tf.reduce_sum(weights, 1)
    return tf.math.divide_no_nan(tf.reduce_sum(error, [1, 2]), 2 * total)


def mean_absolute_error(predicted, truth, mask):
    """The mean absolute error, a scalar, over all valid coordinates of a batch, in box widths.

    predicted: [B, 2N] or [B, N, 2]. truth: [B, N, 2]. mask: [B, N], 0 or 1. Every coordinate has
    the same weight. 0 without a valid landmark.
    """
    error = tf.abs(tf.reshape(predicted, tf.shape(truth)) - truth) * mask[..., None]
    return tf.math.divide_no_nan(tf.reduce_sum(error), 2 * tf.reduce_sum(mask))


def map_loss(maps, truth, mask, sigma_cells: float = 1.0):
    """The mean cross entropy [B] between each heatmap and a Gaussian around its landmark.

    maps: logits [B, H, W, N]. truth: [B, N, 2]. mask: [B, N]. sigma_cells: standard deviation of
    the Gaussian. The mean is taken over valid landmarks inside the box, since no heatmap can
    represent those outside. Without this loss, heatmaps of very different shapes have the same
    expectation; Nibali et al., "Numerical Coordinate Regression with Convolutional Neural
    Networks" (2018).
    """
    height, width, count = (int(size) for size in maps.shape[1:])

    def log_gaussian(coordinate, cells):
        distance = (coordinate[..., None] - cell_centres(cells)) * (cells / sigma_cells)
        return -tf.square(distance) / 2  # [B, N, cells]

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
    """The mean absolute difference [B] of rotations [B, 3, 3]; 0 where the truth is NaN (unknown).

    All nine entries count, so that yaw and pitch have as much weight as roll. It is the absolute
    and not the squared difference because squares would be negligible beside the L1 loss of the
    landmarks.
    """
    known = tf.math.is_finite(truth)
    return tf.reduce_mean(tf.abs(predicted - tf.where_v2(known, truth, predicted)), [1, 2])
