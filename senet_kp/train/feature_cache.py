"""What a fixed trunk makes of every picture: computed once and stored in the record folder.

    features/<net>-<side>-<key>.npy    float32 [n, H, W, C], in the order of the side's records

The key is a hash of everything that the features depend on: the weights of the trunk, the records
of the side and the width of the pictures. Features that belong to other weights or records are
therefore never read; writing new ones deletes those of the same network and side.
"""

import hashlib
from itertools import islice
from pathlib import Path

import numpy as np

from senet_kp.face.pictures import stored_picture
from senet_kp.input.crops import central_crop
from senet_kp.nets import build_trunk
from senet_kp.nets.tf1 import session_config, tf
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import atomic_path, sha256_of_lines
from senet_kp.tfrecords.shards import read_records
from senet_kp.train.checkpoints import initial_weights
from senet_kp.train.config import TrainConfig

FOLDER = "features"
BATCH_SIZE = 32


def stored_features(config: TrainConfig, manifest: dict) -> dict[str, tuple]:
    """{side: (record names [n], features [n, H, W, C])} of the train and the val side.

    Computes those that are not stored yet. The arrays are memory-mapped; a side without records is
    left out. Raises ModelError if the weights of the trunk cannot be loaded.
    """
    size_px, found = manifest["box"]["size_px"], {}
    with tf.Graph().as_default():
        image_in = tf.placeholder(tf.uint8, [None, size_px, size_px, 3])
        features = build_trunk(config.net, tf.cast(image_in, tf.float32))
        load = initial_weights(config, manifest)
        with tf.Session(config=session_config(config.threads)) as session:
            load(session)
            trunk = _hash_of_weights(session)
            for side in ("train", "val"):
                if not manifest["sides"][side]["records"]:
                    continue
                path = _path(config, manifest, side, trunk)
                if not path.exists():
                    _write(
                        path, config, manifest, side, session.make_callable(features, [image_in])
                    )
                found[side] = _names(config, manifest, side), _opened(path)
    return found


def _hash_of_weights(session) -> str:
    """The SHA-256 of the names and values of all variables in the session's graph."""
    digest = hashlib.sha256()
    for variable in sorted(tf.global_variables(), key=lambda v: v.op.name):
        digest.update(variable.op.name.encode() + session.run(variable).tobytes())
    return digest.hexdigest()


def _path(config: TrainConfig, manifest: dict, side: str, trunk: str) -> Path:
    shards = [shard["sha256"] for shard in manifest["sides"][side]["shards"]]
    key = sha256_of_lines([trunk, str(manifest["box"]["size_px"]), *shards])[:16]
    return config.records / FOLDER / f"{config.net}-{side}-{key}.npy"


def _write(path: Path, config: TrainConfig, manifest: dict, side: str, features_of):
    """Compute and store the features of a side; features_of(pictures) returns those of a batch."""
    from tqdm import tqdm  # takes 0.06 s to import, which --help need not wait for

    count = manifest["sides"][side]["records"]
    print(f"{path}: computing the features of {count:,} pictures")
    found = _pictures(config, manifest, side)
    pictures = iter(tqdm(found, side, count, unit="picture", disable=None))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        while batch := list(islice(pictures, BATCH_SIZE)):
            values = features_of(np.stack(batch))
            if not file.tell():
                shape = (count, *values.shape[1:])
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(values.astype("<f4").tobytes())
    for older in path.parent.glob(f"{config.net}-{side}-*.npy"):
        if older != path:
            older.unlink()


def _pictures(config: TrainConfig, manifest: dict, side: str):
    """Yield the face boxes [S, S, 3] of a side's records."""
    for record in read_records(config.records, manifest, side):
        stored = stored_picture(record.picture, record.name, record.encoding)
        yield central_crop(stored, manifest["box"]["size_px"])


def _names(config: TrainConfig, manifest: dict, side: str) -> list[str]:
    return [record.name for record in read_records(config.records, manifest, side)]


def _opened(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except ValueError as error:
        raise InputError(
            f"{path}: the stored features are damaged ({error}); delete the file, and the same"
            " command computes them again"
        ) from None
