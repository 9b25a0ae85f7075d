"""What one record holds: the writer, the reader and TensorFlow's parser, side by side."""

import re
from dataclasses import dataclass

import numpy as np

from senet_kp.tfrecords.example import BadRecord, Example

SCHEMA_VERSION = 3  # of the manifest and the records

# Feature keys, once.
JPEG = "image/jpeg"
LANDMARKS = "landmarks"
MASK = "mask"
AFFINE = "affine"
POSE = "pose"
NAME = "name"
GROUP = "group"
SUBSET = "subset"
TAGS = "tags"


@dataclass(frozen=True)
class Record:
    """One face, cropped.

    jpeg:      the stored picture, RGB as JPEG, square, the face box in its middle
    landmarks: [N, 2] float32, x then y, 0..1 inside the face box, free to lie outside
    mask:      [N] float32, 1 where the landmark is valid, 0 where it is missing
    affine:    [2, 3] float32, box-relative to pixels of the source picture (0-based)
    pose:      [3] float32, pitch, yaw, roll in degrees, NaN where unknown
    name, group, subset: the source picture, whose photo or person it is, its part of the set
    tags:      attributes by which it is scored too
    """

    jpeg: bytes
    landmarks: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    pose: np.ndarray
    name: str
    group: str
    subset: str
    tags: tuple[str, ...] = ()


def face_name(picture: str, number: int) -> str:
    """The record name of a picture's n-th face, counted from 1: the picture's name, then #n."""
    return picture if number == 1 else f"{picture}#{number}"


def picture_of(name: str) -> str:
    """The picture's name in a record's: the inverse of `face_name`."""
    return re.sub(r"#\d+$", "", name)


def encode(record: Record) -> bytes:
    """A record as the bytes of a `tf.train.Example`; equal records give equal bytes."""
    example = Example()
    feature = example.features.feature
    feature[JPEG].bytes_list.value.append(record.jpeg)
    for key, text in ((NAME, record.name), (GROUP, record.group), (SUBSET, record.subset)):
        feature[key].bytes_list.value.append(text.encode())
    if record.tags:
        feature[TAGS].bytes_list.value.extend(tag.encode() for tag in record.tags)
    for key, array in (
        (LANDMARKS, record.landmarks),
        (MASK, record.mask),
        (AFFINE, record.affine),
        (POSE, record.pose),
    ):
        feature[key].float_list.value.extend(np.asarray(array, np.float32).ravel().tolist())
    return example.SerializeToString(deterministic=True)


def decode(data: bytes, landmark_count: int) -> Record:
    """The record in `data`; raises BadRecord where a feature is missing or of another size."""
    try:
        feature = Example.FromString(data).features.feature
    except Exception as error:  # protobuf's DecodeError has moved between its releases
        raise BadRecord(f"not a tf.train.Example: {error}") from None

    def floats(key, *shape):
        values = np.array(feature[key].float_list.value, np.float32)
        if values.size != np.prod(shape):
            raise BadRecord(f"feature {key!r} has {values.size} values, not {np.prod(shape)}")
        return values.reshape(shape)

    def data_of(key):
        values = feature[key].bytes_list.value
        if len(values) != 1:
            raise BadRecord(f"feature {key!r} has {len(values)} values, not 1")
        return values[0]

    return Record(
        jpeg=data_of(JPEG),
        landmarks=floats(LANDMARKS, landmark_count, 2),
        mask=floats(MASK, landmark_count),
        affine=floats(AFFINE, 2, 3),
        pose=floats(POSE, 3),
        name=data_of(NAME).decode(),
        group=data_of(GROUP).decode(),
        subset=data_of(SUBSET).decode(),
        tags=tuple(tag.decode() for tag in feature[TAGS].bytes_list.value),
    )


def complete_op(serialized, landmark_count: int):
    """Scalar bool op: whether all landmarks of one record, a scalar string, are known."""
    import tensorflow.compat.v1 as tf  # here, as below

    mask = tf.io.FixedLenFeature([landmark_count], tf.float32)
    return tf.reduce_all(tf.io.parse_single_example(serialized, {MASK: mask})[MASK] > 0)


def parse_op(serialized, landmark_count: int) -> dict:
    """Graph ops for the features that training reads, by feature key, from strings [B]."""
    import tensorflow.compat.v1 as tf  # here, so that preparation and the demo do without it

    return tf.io.parse_example(
        serialized,
        {
            JPEG: tf.io.FixedLenFeature([], tf.string),
            NAME: tf.io.FixedLenFeature([], tf.string),
            SUBSET: tf.io.FixedLenFeature([], tf.string),
            LANDMARKS: tf.io.FixedLenFeature([landmark_count, 2], tf.float32),
            MASK: tf.io.FixedLenFeature([landmark_count], tf.float32),
            POSE: tf.io.FixedLenFeature([3], tf.float32),
        },
    )
