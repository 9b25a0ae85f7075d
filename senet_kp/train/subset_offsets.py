"""Annotation bias of a subset beside a reference subset: training learns it, and corrects labels.

Data sets place the same landmark differently: the eye corners of one lie 1.5 % of the face box
further out than those of another, and the jaw of a third is that of a head model instead of the
visible contour. A network that learns from all of them has to answer with something between.

Therefore training learns a constant offset for every landmark of every subset of the records but
the reference subset, and subtracts it from the labels of that subset. The network then answers as
the reference subset is labelled, wherever it cannot tell the subsets apart by their pictures. The
offset lies in the frame of the face: it turns with the roll of the labelled landmarks. Correcting
the labels of mirrored pictures is the task of `mirror_offsets`, and independent of this one.
"""

from senet_kp.face.scheme import LandmarkScheme
from senet_kp.nets.tf1 import tf
from senet_kp.train.mirror_offsets import BUCKETS, bucket_of

NAME = "subset_offsets"


def subset_offsets(batch, scheme: LandmarkScheme, mean_shape, reference: str):
    """How far the labels of a Batch lie beside those of the reference subset: [B, N, 2].

    They are box-relative, and 0 for faces of the reference subset. mean_shape: [N, 2], whose roll
    is 0. They come from a variable that is trained with the weights and only used in training.
    """
    shape = [BUCKETS, scheme.count * 2]
    offsets = tf.get_variable(NAME, shape, initializer=tf.zeros_initializer())
    subset = tf.one_hot(bucket_of(batch.subset), BUCKETS)
    own = tf.reshape(tf.matmul(subset, offsets), [-1, scheme.count, 2])
    turned = tf.matmul(own, roll_of(batch.landmarks, batch.mask, mean_shape), transpose_b=True)
    others = tf.cast(tf.not_equal(batch.subset, reference), tf.float32)
    return turned * others[:, None, None]


def roll_of(landmarks, mask, mean_shape):
    """The matrices [B, 2, 2] that rotate the mean shape [N, 2] to landmarks [B, N, 2], mask [B, N].

    It is the rotation of the similarity with the smallest squared error (Umeyama, 1991).
    """
    weights = mask[..., None] / tf.maximum(tf.reduce_sum(mask, 1), 1.0)[:, None, None]
    points = (landmarks - tf.reduce_sum(weights * landmarks, 1, keepdims=True)) * weights
    mean = tf.constant(mean_shape, tf.float32)
    mean -= tf.reduce_sum(weights * mean, 1, keepdims=True)
    cos = tf.reduce_sum(points * mean, [1, 2])
    sin = tf.reduce_sum(points[..., 1] * mean[..., 0] - points[..., 0] * mean[..., 1], 1)
    angle = tf.atan2(sin, cos)
    cos, sin = tf.cos(angle), tf.sin(angle)
    return tf.stack([tf.stack([cos, -sin], 1), tf.stack([sin, cos], 1)], 1)
