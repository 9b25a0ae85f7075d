"""The `tf.data` pipeline that feeds training batches in a reproducible order.

Every epoch is a permutation of the records that is drawn from (seed, epoch), and the augmentation
of a sample is drawn from (seed, name of the sample, epoch). With weights, an epoch draws records
several times or not at all (`sampling`), which depends on (seed, epoch) as well. Nothing depends
on the number of threads or on earlier batches, so that a training resumed at step k receives the
same batches as an uninterrupted one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from senet_kp.face.scheme import scheme_of
from senet_kp.input.augment import AugmentConfig, Augmenter
from senet_kp.input.features import StoredFeatures
from senet_kp.input.pose_targets import PoseTargets, require_poses
from senet_kp.input.sampling import REPEATED, repetitions
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.schema import (
    LANDMARKS,
    MASK,
    NAME,
    PICTURE,
    POSE,
    SUBSET,
    complete_op,
    parse_op,
)
from senet_kp.tfrecords.shards import encoding_of, shard_paths

# How landmarks without a label are treated: "mask" leaves them out of the loss, "drop" leaves out
# every face that lacks any, "mean" replaces them with those of the mean shape as if labelled.
Missing = Literal["mask", "drop", "mean"]
SHUFFLE_RECORDS = 4096  # 60 MB at 15 KB a record; on disk the records are in random order already
PREFETCH_BATCHES = 4


@dataclass(frozen=True)
class InputConfig:
    """Which records a training reads, and how it makes batches of them."""

    records: Path  # record folder
    sides: tuple[str, ...] = ("train",)  # sides of the train/val/test split to read
    batch_size: int = 32  # pictures in the batch of one step, summed over all replicas
    seed: int = 0  # of the order of the records and of the augmentation
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    threads: int = 1
    missing: Missing = "mask"
    poses: bool = False  # whether batches hold the rotations of the heads
    # What a fixed trunk has computed from the pictures of all sides. Batches hold it in their
    # place, and `augment` must then be NO_AUGMENTATION.
    features: StoredFeatures | None = None
    # (index, count): make batches of every count-th picture only, starting with the index-th. The
    # shares of `count` replicas are together, step by step, the batches of a training with one
    # process. Every replica reads all records, but decodes only its own share.
    share: tuple[int, int] = (0, 1)
    # How often an epoch draws each record on average, in the order of the shards (`Population`);
    # None for once.
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Batch:
    """The tensors of one batch of B pictures."""

    image: object  # uint8 [B, S, S, 3]; float32 [B, H, W, C] with InputConfig.features
    landmarks: object  # float32 [B, N, 2], box-relative
    mask: object  # float32 [B, N]
    turn: object  # float32 [B, 2, 2], maps directions in the stored picture to this picture
    name: object  # string [B]
    subset: object  # string [B]
    rotation: object = None  # float32 [B, 3, 3] with InputConfig.poses, NaN where unknown
    wait_s: object = field(kw_only=True)  # float64 scalar, how long the step waited for this batch


def training_batch(config: InputConfig, manifest: dict, start_step=0):
    """The Batch of the next step, and the op that starts the pipeline at `start_step`.

    start_step: a number, or an int64 tensor that is evaluated when the op runs.
    Raises InputError if the sides hold no faces to train on, and UserError if `config.poses` is
    set and no pose is known.
    """
    cv2.setNumThreads(1)  # OpenCV's own threads would compete with TensorFlow's on small pictures
    count = sample_count(config, manifest)
    if config.poses:
        require_poses(config.records, manifest, config.sides)
    index, shares = config.share
    data = _ordered_records(config, manifest, start_step, count)
    data = data.shard(shares, index) if shares > 1 else data
    data = data.batch(config.batch_size // shares, drop_remainder=True)
    data = data.map(_batch_maker(config, manifest), num_parallel_calls=config.threads)
    data = data.prefetch(PREFETCH_BATCHES).with_options(_options(config.threads))
    iterator = tf.data.make_initializable_iterator(data)
    return _timed_batch(iterator), iterator.initializer


def sample_count(config: InputConfig, manifest: dict) -> int:
    """The number of faces in an epoch; raises InputError if there are none."""
    complete = config.missing == "drop"
    counted = "complete" if complete else "records"
    count = sum(manifest["sides"].get(side, {counted: 0})[counted] for side in config.sides)
    if not count:
        what = "no face that has all its landmarks" if complete else "no face"
        raise InputError(
            f"{config.records}: {what} on the {' or '.join(config.sides)} side to train on; a set"
            " to evaluate on has none"
        )
    return count


def _ordered_records(config: InputConfig, manifest: dict, start_step, count: int):
    """The (serialized record, epoch) pairs in training order, from `start_step` on."""
    first = start_step * config.batch_size
    epoch, position = first // count, first % count
    epochs = tf.data.Dataset.range(epoch, 1 << 40)
    data = epochs.flat_map(_epoch_maker(config, manifest))
    return data.skip(position)  # skips before decoding, so it reads one epoch at most


def _epoch_maker(config: InputConfig, manifest: dict):
    """The function from an epoch to its (serialized record, epoch) pairs, in random order."""
    shards = [
        (str(path), shard["records"])
        for side in config.sides
        for path, shard in zip(
            shard_paths(config.records, manifest, side),
            manifest["sides"][side]["shards"],
            strict=True,
        )
    ]
    paths, counts = zip(*shards, strict=True)
    if config.weights is not None:
        firsts = np.cumsum((0, *counts[:-1]))
        return lambda epoch: _sampled_epoch(paths, firsts, config.weights, config.seed, epoch)
    landmark_count = scheme_of(manifest).count

    def is_complete(record):
        return complete_op(record, landmark_count)

    wanted = is_complete if config.missing == "drop" else None
    return lambda epoch: _epoch(paths, config.seed, epoch, wanted)


def _epoch(paths: tuple[str, ...], seed: int, epoch, wanted=None):
    """The (serialized record, epoch) pairs of one epoch, in the order drawn for that epoch.

    wanted: a function from a serialized record to a boolean tensor, by which the records are
    filtered; None keeps all records.
    """
    seed = seed * 1_000_003 + epoch
    files = tf.data.Dataset.from_tensor_slices(list(paths))
    files = files.shuffle(len(paths), seed=seed, reshuffle_each_iteration=False)
    records = tf.data.TFRecordDataset(files)
    records = records.filter(wanted) if wanted else records
    records = records.shuffle(SHUFFLE_RECORDS, seed=seed, reshuffle_each_iteration=False)
    return records.map(lambda serialized: (serialized, epoch))


def _sampled_epoch(paths: tuple[str, ...], firsts, weights, seed: int, epoch):
    """The (serialized record, epoch) pairs of one epoch in which some records are repeated.

    firsts: index of the first record of each file; weights: of all records, as in InputConfig. The
    copies of a record have epochs of their own, and so they are augmented differently.
    """
    counts, seed = repetitions(weights, seed, epoch), seed * 1_000_003 + epoch
    files = tf.data.Dataset.from_tensor_slices((list(paths), firsts))
    files = files.shuffle(len(paths), seed=seed, reshuffle_each_iteration=False)

    def numbered(path, first):
        records = tf.data.TFRecordDataset(path)
        return tf.data.Dataset.zip((records, tf.data.Dataset.range(first, 1 << 40)))

    def copies(serialized, index):
        numbers = tf.data.Dataset.range(counts[index])
        return numbers.map(lambda number: (serialized, epoch + REPEATED * number))

    drawn = files.flat_map(numbered).flat_map(copies)
    return drawn.shuffle(SHUFFLE_RECORDS, seed=seed, reshuffle_each_iteration=False)


def _batch_maker(config: InputConfig, manifest: dict):
    """The function from B serialized records and their epochs to the tensors of a Batch."""
    augmenter = Augmenter(manifest, config.seed, config.augment)
    targets = PoseTargets(augmenter)
    landmark_count, encoding = scheme_of(manifest).count, encoding_of(manifest)

    def make(serialized, epochs):
        features = parse_op(serialized, landmark_count, encoding)
        # The rotations come first, because a pose is estimated from labelled landmarks only.
        rotations = [_rotations(targets, features, epochs)] if config.poses else []
        if config.missing == "mean":
            known = features[MASK][..., None] > 0
            mean = manifest["mean_shape"]
            features[LANDMARKS] = tf.where_v2(known, features[LANDMARKS], mean)
            features[MASK] = tf.ones_like(features[MASK])
        names = (features[NAME], features[SUBSET])
        source, pictures = config.features or augmenter, features[PICTURE[encoding]]
        return *_inputs(source, pictures, features, epochs), *names, *rotations

    return make


def _inputs(source: Augmenter | StoredFeatures, pictures, features: dict, epochs):
    """The image, landmarks, mask and turn of a Batch."""
    arguments = (pictures, features[LANDMARKS], features[MASK], features[NAME], epochs)
    image, landmarks, mask, turn = tf.numpy_function(
        source.batch, arguments, (source.dtype, tf.float32, tf.float32, tf.float32)
    )
    batch_size = features[NAME].shape[0]
    image.set_shape([batch_size, *source.shape])
    landmarks.set_shape(features[LANDMARKS].shape)
    mask.set_shape(features[MASK].shape)
    turn.set_shape([batch_size, 2, 2])
    return image, landmarks, mask, turn


def _rotations(targets: PoseTargets, features: dict, epochs):
    """The rotation of a Batch."""
    arguments = (features[POSE], features[LANDMARKS], features[MASK], features[NAME], epochs)
    rotations = tf.numpy_function(targets.batch, arguments, tf.float32)
    return tf.ensure_shape(rotations, [features[NAME].shape[0], 3, 3])


def _timed_batch(iterator) -> Batch:
    """The iterator's next batch, with the time from the request to its arrival."""
    requested = tf.timestamp()
    with tf.control_dependencies([requested]):
        batch = iterator.get_next()
    with tf.control_dependencies(batch):
        return Batch(*batch, wait_s=tf.timestamp() - requested)


def _options(threads: int):
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = threads
    return options
