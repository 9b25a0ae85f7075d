"""The schema of one record, with its encoder, its decoder and the TensorFlow ops that parse it."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from senet_kp.tfrecords.example import BadRecord, Example
from senet_kp.tfrecords.files import NAMES

SCHEMA_VERSION = 3  # of the manifest and the records

Encoding = Literal["jpeg", "raw"]  # of the stored picture

# Feature keys of the tf.train.Example.
PICTURE = {"jpeg": "image/jpeg", "raw": "image/raw"}  # by encoding
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
    """One cropped face.

    picture:   the stored picture, square, RGB, with the face box in its middle: a JPEG file, or
               one byte per channel in the order row, column, channel
    landmarks: [N, 2] float32, (x, y), 0..1 inside the face box; they may lie outside it
    mask:      [N] float32, 1 where the landmark is valid, 0 where it is missing
    affine:    [2, 3] float32, from box-relative coordinates to pixels (0-based) of the source
    pose:      [3] float32, pitch, yaw, roll in degrees, NaN where unknown
    name:      the source picture
    group:     the photo or person; all pictures of a group are in the same split
    subset:    the part of the data set
    tags:      attributes by which errors are reported separately, such as "occlusion"
    encoding:  that of `picture`
    """

    picture: bytes
    landmarks: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    pose: np.ndarray
    name: str
    group: str
    subset: str
    tags: tuple[str, ...] = ()
    encoding: Encoding = "jpeg"


def face_name(picture: str, number: int) -> str:
    """Return the record name of face `number` (from 1) of a picture: PICTURE, PICTURE#2, ..."""
    return picture if number == 1 else f"{picture}#{number}"


def picture_of(name: str) -> str:
    """Return the name of the picture from the name of a record; inverts `face_name`."""
    return re.sub(r"#\d+$", "", name)


def encode(record: Record) -> bytes:
    """Serialise a record as a `tf.train.Example`; equal records give equal bytes."""
    example = Example()
    feature = example.features.feature
    feature[PICTURE[record.encoding]].bytes_list.value.append(record.picture)
    for key, text in ((NAME, record.name), (GROUP, record.group), (SUBSET, record.subset)):
        feature[key].bytes_list.value.append(text.encode(errors=NAMES))
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
    """Parse a serialised record.

    Raises BadRecord if a feature is missing or has an unexpected size.
    """
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

    encoding = "raw" if PICTURE["raw"] in feature else "jpeg"
    return Record(
        picture=data_of(PICTURE[encoding]),
        landmarks=floats(LANDMARKS, landmark_count, 2),
        mask=floats(MASK, landmark_count),
        affine=floats(AFFINE, 2, 3),
        pose=floats(POSE, 3),
        name=data_of(NAME).decode(errors=NAMES),
        group=data_of(GROUP).decode(errors=NAMES),
        subset=data_of(SUBSET).decode(errors=NAMES),
        tags=tuple(tag.decode() for tag in feature[TAGS].bytes_list.value),
        encoding=encoding,
    )


def complete_op(serialized, landmark_count: int):
    """Return a scalar bool op: whether one record (scalar string) has all its landmarks."""
    import tensorflow.compat.v1 as tf  # imported here for the reason given in parse_op

    mask = tf.io.FixedLenFeature([landmark_count], tf.float32)
    return tf.reduce_all(tf.io.parse_single_example(serialized, {MASK: mask})[MASK] > 0)


def parse_op(serialized, landmark_count: int, encoding: Encoding = "jpeg") -> dict:
    """Return ops {feature key: [B, ...]} for the features that training reads, from strings [B]."""
    import tensorflow.compat.v1 as tf  # imported here so that preparation and demo need none of it

    return tf.io.parse_example(
        serialized,
        {
            PICTURE[encoding]: tf.io.FixedLenFeature([], tf.string),
            NAME: tf.io.FixedLenFeature([], tf.string),
            SUBSET: tf.io.FixedLenFeature([], tf.string),
            LANDMARKS: tf.io.FixedLenFeature([landmark_count, 2], tf.float32),
            MASK: tf.io.FixedLenFeature([landmark_count], tf.float32),
            POSE: tf.io.FixedLenFeature([3], tf.float32),
        },
    )
