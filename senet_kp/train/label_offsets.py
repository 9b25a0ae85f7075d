"""senet-kp label-offsets out/run --records out/tfrecords

Prints the annotation bias of each subset that a training run has learned from mirrored pictures:
how far the labels are shifted to one side, relative to labels that are symmetric under mirroring. A
network takes over the bias of the labels that it is trained on.
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
    """run folder of the training"""
    records: Path = Path("out/tfrecords")
    """record folder that the run was trained on"""


def learned_offsets(config: OffsetsConfig) -> dict[str, np.ndarray]:
    """The annotation bias of each subset: {subset: [N, 2]}, in widths of the face box.

    NaN for a landmark that no training face of the subset has labelled.

    It is how far the labels are to the right of, and below, labels that are symmetric under
    mirroring: half of the mirror offset, since the bias counts once in a picture and once, in the
    opposite direction, in its mirror image. Raises ModelError for a run that has learned none.
    """
    settings, manifest = read_settings(config.run), read_manifest(config.records)
    require_same_records(config.run, settings, config.records, manifest)
    reader = tf.train.load_checkpoint(checkpoint_prefix(config.run))
    if not reader.has_tensor(NAME):
        raise ModelError(
            f"{config.run}: trained without mirrored pictures or without --mirror-offsets, so it"
            " has learned no offsets"
        )
    labelled = {}
    for record in read_records(config.records, manifest, "train"):
        labelled[record.subset] = labelled.get(record.subset, False) | record.mask.astype(bool)
    subsets = sorted(labelled)
    with tf.Graph().as_default(), tf.Session() as session:
        rows = session.run(bucket_of(subsets))
    learned = reader.get_tensor(NAME).reshape(BUCKETS, -1, 2)[rows] / 2
    return {
        subset: np.where(labelled[subset][:, None], offsets, np.nan)
        for subset, offsets in zip(subsets, learned, strict=True)
    }


def main():
    config = tyro.cli(OffsetsConfig, prog="senet-kp label-offsets", description=__doc__)
    learned = learned_offsets(config)
    print("mean shift of the labels to the right (annotation bias), in percent of the face box:")
    for subset, offsets in learned.items():
        known = offsets[np.isfinite(offsets[:, 0]), 0]
        print(f"  {subset:10} " + (f"{100 * known.mean():+.2f}" if len(known) else "no landmarks"))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
