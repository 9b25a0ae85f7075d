"""Labels that a mirror does not take to labels: training learns by how much, and allows for it.

Whoever labelled a set of pictures may have put all points a little to one side. In a mirrored
picture they then lie to the other side, and a network cannot see which pictures are mirrored: it
learns neither. P1's labels lie 1.2 % of the box beside those that a mirror would keep, HELEN's
0.5 %: of 4.4 % val NME that cost 0.5 until pictures were no longer mirrored, and without them
training has half the faces. `senet_kp.label_offsets` tells what a run has learned.
"""

from senet_kp.face.scheme import LandmarkScheme
from senet_kp.nets.tf1 import tf

NAME = "mirror_offsets"
BUCKETS = 256  # of subsets' names: in one of twenty-six cases two of five subsets share one


def mirror_offsets(batch, scheme: LandmarkScheme):
    """[B, N, 2], box-relative: how far the landmarks of a Batch lie beside what a picture like it
    that was not mirrored would be labelled with; 0 where none was.

    A variable, learned with the weights and of no use but for training: for every subset the
    offsets of its points, in the directions of the stored picture. Differentiable.
    """
    shape = [BUCKETS, scheme.count * 2]
    offsets = tf.get_variable(NAME, shape, initializer=tf.zeros_initializer())
    subset = tf.one_hot(bucket_of(batch.subset), BUCKETS)
    own = tf.reshape(tf.matmul(subset, offsets), [-1, scheme.count, 2])
    turned = tf.matmul(tf.gather(own, scheme.flip, axis=1), batch.turn, transpose_b=True)
    mirrored = tf.cast(tf.linalg.det(batch.turn) < 0, tf.float32)
    return turned * mirrored[:, None, None]


def bucket_of(subset):
    """[n] int64 from [n] strings: the row that a subset's offsets stand in."""
    return tf.strings.to_hash_bucket_fast(subset, BUCKETS)
