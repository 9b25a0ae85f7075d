"""python -m senet_kp.label_offsets out/run --records out/tfrecords

How far the labels of each subset lie beside those that a mirror would keep, as a training run has
learned from mirrored pictures: a habit of whoever labelled them, which the network takes over.
Exit codes: 0 done, 2 unusable arguments, 3 the records cannot be read, 4 the run has learned none.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import ModelError, exit_code_of
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.train.checkpoints import checkpoint_prefix, read_settings, require_same_records
from senet_kp.train.mirror_offsets import BUCKETS, NAME, bucket_of


@dataclass(frozen=True)
class OffsetsConfig:
    run: tyro.conf.Positional[Path]
    """training run"""
    records: Path = Path("out/tfrecords")
    """record folder that it was trained on"""


def learned_offsets(config: OffsetsConfig) -> dict[str, np.ndarray]:
    """{subset: [N, 2]}, how far its labels lie right of, and below, those that a mirror would keep,
    in sides of the face box.

    A mirror turns an offset round, so it is half of what parts the two. Raises ModelError.
    """
    settings, manifest = read_settings(config.run), read_manifest(config.records)
    require_same_records(config.run, settings, config.records, manifest)
    reader = tf.train.load_checkpoint(checkpoint_prefix(config.run))
    if not reader.has_tensor(NAME):
        raise ModelError(f"{config.run}: trained without mirrored pictures or --mirror-offsets")
    subsets = sorted({r.subset for r in read_records(config.records, manifest, "train")})
    with tf.Graph().as_default(), tf.Session() as session:
        rows = session.run(bucket_of(subsets))
    learned = reader.get_tensor(NAME).reshape(BUCKETS, -1, 2) / 2
    return dict(zip(subsets, learned[rows], strict=True))


def main():
    config = tyro.cli(OffsetsConfig, prog="python -m senet_kp.label_offsets", description=__doc__)
    learned = learned_offsets(config)
    print("labels to the right of those that a mirror would keep, percent of the face box:")
    for subset, offsets in learned.items():
        print(f"  {subset:10} {100 * offsets[:, 0].mean():+.2f}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
