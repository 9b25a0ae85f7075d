"""Augmentation in the graph: one affine, one resampling of the stored context."""

import math
from dataclasses import dataclass

from senet_kp.scheme import LandmarkScheme
from senet_kp.tf1 import tf

DRAWS = 7  # random numbers a sample needs


@dataclass(frozen=True)
class AugmentConfig:
    flip: float = 0.5
    """share of pictures that are mirrored"""
    rotation_deg: float = 12.0
    """standard deviation of the turn in the picture's plane, degrees"""
    scale: float = 0.08
    """standard deviation of the box's log size: a detector's box is never the face box"""
    shift: float = 0.04
    """standard deviation of the box's place on each axis, in sides of the box"""
    brightness: float = 25.0
    """standard deviation of what is added to all values 0..255"""
    contrast: float = 0.15
    """standard deviation of the log of the factor about the middle grey"""


def random_draws(seed):
    """[DRAWS] standard normal numbers that depend on the two integers of `seed` alone."""
    return tf.random.stateless_normal([DRAWS], seed)


def augment(pictures, landmarks, mask, draws, size_px: int, scheme: LandmarkScheme, config):
    """Augmented network inputs with their landmarks and masks.

    pictures [B, C, C, 3] uint8 with the box's size_px pixels in the middle; landmarks [B, N, 2]
    box-relative; mask [B, N]; draws [B, DRAWS]. Returns float32 [B, size_px, size_px, 3] in
    0..255, landmarks relative to the new box, and the mask in the new order of points.
    """
    flipped = 0.5 * tf.math.erfc(draws[:, 6] / math.sqrt(2)) < config.flip
    matrix, offset = _box_change(draws, flipped, config)
    landmarks = tf.linalg.matvec(
        tf.linalg.inv(matrix)[:, None], landmarks - 0.5 - offset[:, None]
    ) + 0.5  # fmt: skip
    twin = list(scheme.flip)  # a mirrored right eye is a left eye
    landmarks = tf.where_v2(flipped[:, None, None], tf.gather(landmarks, twin, axis=1), landmarks)
    mask = tf.where_v2(flipped[:, None], tf.gather(mask, twin, axis=1), mask)
    pictures = _resample(pictures, matrix, offset, size_px)
    gain = tf.exp(config.contrast * draws[:, 4])[:, None, None, None]
    shift = (config.brightness * draws[:, 5])[:, None, None, None]
    pictures = tf.clip_by_value((pictures - 127.5) * gain + 127.5 + shift, 0.0, 255.0)
    return pictures, landmarks, mask


def _box_change(draws, flipped, config):
    """[B, 2, 2] and [B, 2]: from the new box's coordinates to the old one's, about the centres."""
    angle = draws[:, 0] * math.radians(config.rotation_deg)
    size = tf.exp(draws[:, 1] * config.scale)
    cos, sin = size * tf.cos(angle), size * tf.sin(angle)
    mirror = tf.where(flipped, -tf.ones_like(cos), tf.ones_like(cos))
    matrix = tf.stack([tf.stack([cos * mirror, -sin], 1), tf.stack([sin * mirror, cos], 1)], 1)
    return matrix, draws[:, 2:4] * config.shift


def _resample(pictures, matrix, offset, size_px: int):
    """Bilinear samples of the stored pictures at the pixels of the new boxes, float32."""
    stored_px = int(pictures.shape[1])
    # Output pixel i stands at (i + 0.5) / size_px - 0.5 from the new centre, stored pixel j at
    # (j + 0.5 - stored_px / 2) / size_px from the old one.
    centre_out, centre_in = size_px / 2 - 0.5, stored_px / 2 - 0.5
    shift = offset * size_px + centre_in - centre_out * tf.reduce_sum(matrix, 2)
    rows = tf.concat([matrix, shift[:, :, None]], 2)  # [B, 2, 3]
    transforms = tf.pad(tf.reshape(rows, [-1, 6]), [[0, 0], [0, 2]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures, tf.float32),
        transforms=transforms,
        output_shape=[size_px, size_px],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
