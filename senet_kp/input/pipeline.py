"""Batches for training, by `tf.data`, in an order that depends on the seed and the step alone."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2

from senet_kp.face.scheme import scheme_of
from senet_kp.input.augment import AugmentConfig, Augmenter
from senet_kp.input.pose_targets import PoseTargets, require_poses
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.schema import (
    JPEG,
    LANDMARKS,
    MASK,
    NAME,
    POSE,
    SUBSET,
    complete_op,
    parse_op,
)
from senet_kp.tfrecords.shards import shard_paths

# What becomes of landmarks that are not known: they do not count; faces that lack any are left
# out; or the mean shape's stand in and count as known.
Missing = Literal["mask", "drop", "mean"]
SHUFFLE_RECORDS = 4096  # at 15 KB a record 60 MB; records lie in random order on disk already
PREFETCH_BATCHES = 4


@dataclass(frozen=True)
class Batch:
    """Tensors of one batch; `wait_s` is how long the step stood still for it."""

    image: object  # [B, S, S, 3] uint8
    landmarks: object  # [B, N, 2] float32, box-relative
    mask: object  # [B, N] float32
    turn: object  # [B, 2, 2] float32: from directions in the stored picture to those in this
    name: object  # [B] string
    subset: object  # [B] string
    rotation: object = None  # [B, 3, 3] float32 of the heads, NaN where unknown; if asked for
    wait_s: object = field(kw_only=True)  # scalar float64


def training_batch(
    records: Path,
    manifest: dict,
    sides: tuple[str, ...],
    batch_size: int,
    start_step: int,
    seed: int,
    config: AugmentConfig,
    threads: int,
    missing: str = "mask",
    poses: bool = False,
    share: tuple[int, int] = (0, 1),
):
    """The Batch of the next step, and the op that starts the pipeline at `start_step`.

    start_step is a number or an int64 tensor. share: (index, count) of a process that trains the
    index-th of every `count` pictures, so that `count` of them see together, step by step, what
    one alone sees; each reads all records for it, but decodes only its own.

    Every epoch is a permutation of the sides' records (with missing="drop", of those whose
    landmarks are all known, which the manifest counts), drawn from (seed, epoch); a sample's
    augmentation is drawn from (seed, its name, epoch). Nothing depends on threads or on history,
    so a run that starts at step k sees what an uninterrupted one sees from step k on.
    poses: whether the batch holds the heads' rotations.
    Raises InputError where the sides hold nothing to train on, UserError where no pose is known.
    """
    cv2.setNumThreads(1)  # its threads would take turns with TensorFlow's, for tiny pictures
    scheme = scheme_of(manifest)
    count = sample_count(records, manifest, sides, missing)
    if poses:
        require_poses(records, manifest, sides)
    epoch, position = start_step * batch_size // count, start_step * batch_size % count
    paths = [str(path) for side in sides for path in shard_paths(records, manifest, side)]
    wanted = (lambda record: complete_op(record, scheme.count)) if missing == "drop" else None
    data = tf.data.Dataset.range(epoch, 1 << 40).flat_map(lambda e: _epoch(paths, seed, e, wanted))
    data = data.skip(position)  # before any decoding: at most one epoch of reading
    index, shares = share
    data = data.shard(shares, index) if shares > 1 else data
    batch_size //= shares
    augmenter = Augmenter(manifest, seed, config)
    targets = PoseTargets(augmenter)

    def parsed(serialized, epochs):
        batch = parse_op(serialized, scheme.count)
        rotations = [_rotations(targets, batch, epochs)] if poses else []  # of known points alone
        if missing == "mean":
            known = batch[MASK][..., None] > 0
            batch[LANDMARKS] = tf.where_v2(known, batch[LANDMARKS], manifest["mean_shape"])
            batch[MASK] = tf.ones_like(batch[MASK])
        named = (batch[NAME], batch[SUBSET])
        return *_augmented(augmenter, batch, epochs), *named, *rotations

    data = data.batch(batch_size, drop_remainder=True)
    data = data.map(parsed, num_parallel_calls=threads).prefetch(PREFETCH_BATCHES)
    iterator = tf.data.make_initializable_iterator(data.with_options(_options(threads)))
    return _timed_batch(iterator), iterator.initializer


def _augmented(augmenter: Augmenter, batch: dict, epochs):
    """Image, landmarks, mask and turn of a Batch."""
    fields = (batch[JPEG], batch[LANDMARKS], batch[MASK], batch[NAME])
    image, landmarks, mask, turn = tf.numpy_function(
        augmenter.batch, (*fields, epochs), (tf.uint8, tf.float32, tf.float32, tf.float32)
    )
    size_px, count = augmenter.size_px, batch[NAME].shape[0]
    image.set_shape([count, size_px, size_px, 3])
    landmarks.set_shape(batch[LANDMARKS].shape)
    mask.set_shape(batch[MASK].shape)
    turn.set_shape([count, 2, 2])
    return image, landmarks, mask, turn


def _rotations(targets: PoseTargets, batch: dict, epochs):
    fields = (batch[POSE], batch[LANDMARKS], batch[MASK], batch[NAME])
    rotations = tf.numpy_function(targets.batch, (*fields, epochs), tf.float32)
    return tf.ensure_shape(rotations, [batch[NAME].shape[0], 3, 3])


def sample_count(records: Path, manifest: dict, sides: tuple[str, ...], missing: str) -> int:
    """How many faces of these sides an epoch has; raises InputError for none."""
    counted = "complete" if missing == "drop" else "records"
    count = sum(manifest["sides"][side][counted] for side in sides)
    if not count:
        what = "no face that has all its landmarks" if missing == "drop" else "no face"
        raise InputError(
            f"{records}: {what} on the {' or '.join(sides)} side to train on; a set to evaluate on"
            " has none"
        )
    return count


def _epoch(paths: list[str], seed: int, epoch, wanted=None):
    """The (serialized record, epoch) pairs of one epoch, in that epoch's own order.

    wanted: an op that says of a record whether it is taken; all are without.
    """
    seed = seed * 1_000_003 + epoch
    files = tf.data.Dataset.from_tensor_slices(paths)
    files = files.shuffle(len(paths), seed=seed, reshuffle_each_iteration=False)
    records = tf.data.TFRecordDataset(files)
    records = records.filter(wanted) if wanted else records
    records = records.shuffle(SHUFFLE_RECORDS, seed=seed, reshuffle_each_iteration=False)
    return records.map(lambda serialized: (serialized, epoch))


def _timed_batch(iterator) -> Batch:
    """The iterator's next batch between two looks at the clock."""
    asked = tf.timestamp()
    with tf.control_dependencies([asked]):
        batch = iterator.get_next()
    with tf.control_dependencies(batch):
        return Batch(*batch, wait_s=tf.timestamp() - asked)


def _options(threads: int):
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = threads
    return options
