"""Batches for training, by `tf.data`, in an order that depends on the seed and the step alone."""

from dataclasses import dataclass
from pathlib import Path

from senet_kp.augment import AugmentConfig, augment, random_draws
from senet_kp.scheme import SCHEMES
from senet_kp.tf1 import tf
from tfrecords.schema import JPEG, LANDMARKS, MASK, NAME, parse_op
from tfrecords.shards import shard_paths

SHUFFLE_RECORDS = 4096  # at 15 KB a record 60 MB; records lie in random order on disk already
PREFETCH_BATCHES = 4


@dataclass(frozen=True)
class Batch:
    """Tensors of one batch; `wait_s` is how long the step stood still for it."""

    image: object  # [B, S, S, 3] float32, 0..255
    landmarks: object  # [B, N, 2] float32, box-relative
    mask: object  # [B, N] float32
    name: object  # [B] string
    wait_s: object  # scalar float64


def training_batch(
    records: Path,
    manifest: dict,
    batch_size: int,
    start_step: int,
    seed: int,
    config: AugmentConfig,
    threads: int,
):
    """The Batch of the next step, and the op that starts the pipeline at `start_step`.

    Every epoch is a permutation of the train side, drawn from (seed, epoch); a sample's
    augmentation is drawn from (seed, its name, epoch). Nothing depends on threads or on history,
    so a run that starts at step k sees what an uninterrupted one sees from step k on.
    """
    size_px, scheme = manifest["box"]["size_px"], SCHEMES[manifest["scheme"]]
    epoch, position = divmod(start_step * batch_size, manifest["sides"]["train"]["records"])
    paths = [str(path) for path in shard_paths(records, manifest, "train")]
    data = tf.data.Dataset.range(epoch, 1 << 40).flat_map(lambda e: _epoch(paths, seed, e))
    data = data.skip(position)  # before any decoding: at most one epoch of reading

    def decoded(serialized, epoch):
        sample = parse_op(serialized, scheme.count)
        picture = tf.io.decode_jpeg(sample[JPEG], 3, dct_method="INTEGER_ACCURATE")
        picture.set_shape([manifest["stored_px"]] * 2 + [3])
        name_hash = tf.strings.to_hash_bucket_fast(sample[NAME], 1 << 40)
        draws = random_draws(tf.stack([name_hash + seed * (1 << 41), epoch]))
        return picture, sample[LANDMARKS], sample[MASK], sample[NAME], draws

    def augmented(pictures, landmarks, mask, names, draws):
        return *augment(pictures, landmarks, mask, draws, size_px, scheme, config), names

    data = data.map(decoded, num_parallel_calls=threads)
    data = data.batch(batch_size, drop_remainder=True)
    data = data.map(augmented, num_parallel_calls=threads).prefetch(PREFETCH_BATCHES)
    iterator = tf.data.make_initializable_iterator(data.with_options(_options(threads)))
    return _timed_batch(iterator), iterator.initializer


def _epoch(paths: list[str], seed: int, epoch):
    """The (serialized record, epoch) pairs of one epoch, in that epoch's own order."""
    seed = seed * 1_000_003 + epoch
    files = tf.data.Dataset.from_tensor_slices(paths)
    files = files.shuffle(len(paths), seed=seed, reshuffle_each_iteration=False)
    records = tf.data.TFRecordDataset(files)
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
