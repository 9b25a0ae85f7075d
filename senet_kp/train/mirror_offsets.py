"""Annotation bias in mirrored pictures: training learns it, and corrects the labels for it.

The labels of a data set can be shifted systematically to one side of the face, say by 1 % of the
face box to the right. This is annotation bias. Mirroring a picture mirrors the shift as well: the
labels of the mirrored picture are shifted to the left. A network cannot see whether a picture was
mirrored, so it cannot predict both, and its error grows.

Therefore training learns a constant offset for every subset of the records and every landmark, and
subtracts it from the labels of mirrored pictures. The network then learns the bias that the labels
of the original pictures have. P1's labels are shifted by 1.2 % of the box, HELEN's by 0.5 %; that
cost 0.5 of 4.4 % val NME. Training without mirrored pictures avoids the cost too, but has half the
faces. `senet-kp label-offsets` prints what a run has learned.
"""

from senet_kp.face.scheme import LandmarkScheme
from senet_kp.nets.tf1 import tf

NAME = "mirror_offsets"
BUCKETS = 256  # hash buckets of subset names: two of five subsets collide in one of 26 cases


def mirror_offsets(batch, scheme: LandmarkScheme):
    """The offsets [B, N, 2] that mirroring has added to the labels of a Batch, box-relative.

    They are the difference between a mirrored picture's labels and those that the annotators would
    have given it, and 0 for pictures that were not mirrored. They come from a variable that is
    trained with the weights and only used in training: an offset for every subset and landmark,
    along the axes of the stored picture.
    """
    shape = [BUCKETS, scheme.count * 2]
    offsets = tf.get_variable(NAME, shape, initializer=tf.zeros_initializer())
    subset = tf.one_hot(bucket_of(batch.subset), BUCKETS)
    own = tf.reshape(tf.matmul(subset, offsets), [-1, scheme.count, 2])
    turned = tf.matmul(tf.gather(own, scheme.flip, axis=1), batch.turn, transpose_b=True)
    mirrored = tf.cast(tf.linalg.det(batch.turn) < 0, tf.float32)
    return turned * mirrored[:, None, None]


def bucket_of(subset):
    """The row [n] int64 of the variable that holds the offsets of each subset name [n]."""
    return tf.strings.to_hash_bucket_fast(subset, BUCKETS)
