"""senet-kp label-offsets out/run --records out/tfrecords

Prints the annotation bias of each subset that a training run has learned. From mirrored pictures it
has learned how far the labels are shifted to one side, relative to labels that are symmetric under
mirroring; a network takes over this bias from the labels that it is trained on. With
--reference-subset it has also learned how the landmarks of every other subset lie beside those of
the reference subset; they are printed for each region of the face.
Exit codes: 0 done, 2 unusable arguments, 3 the records cannot be read, 4 the run has learned none.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import ModelError, exit_code_of
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.train import mirror_offsets, subset_offsets
from senet_kp.train.checkpoints import checkpoint_prefix, read_settings, require_same_records
from senet_kp.train.mirror_offsets import BUCKETS, bucket_of


@dataclass(frozen=True)
class OffsetsConfig:
    run: tyro.conf.Positional[Path]
    """run folder of the training"""
    records: Path = Path("out/tfrecords")
    """record folder that the run was trained on"""


def learned_offsets(config: OffsetsConfig) -> dict[str, dict[str, np.ndarray]]:
    """The annotation bias that a run has learned: {kind: {subset: [N, 2]}}, in face box widths.

    The kind NAME of `mirror_offsets` is how far the labels are to the right of, and below, labels
    that are symmetric under mirroring: half of the mirror offset, since the bias counts once in a
    picture and once, in the opposite direction, in its mirror image. The kind NAME of
    `subset_offsets` is how far they are beside those of the reference subset, in the frame of the
    upright face. A kind that the run has not learned is left out; a landmark that no training face
    of the subset has labelled is NaN. Raises ModelError for a run that has learned neither.
    """
    settings, manifest = read_settings(config.run), read_manifest(config.records)
    require_same_records(config.run, settings, config.records, manifest)
    reader = tf.train.load_checkpoint(checkpoint_prefix(config.run))
    scales = {mirror_offsets.NAME: 0.5, subset_offsets.NAME: 1.0}
    kinds = {name: scale for name, scale in scales.items() if reader.has_tensor(name)}
    if not kinds:
        raise ModelError(
            f"{config.run}: trained without mirrored pictures or without --mirror-offsets, and"
            " without --reference-subset, so it has learned no offsets"
        )
    labelled = {}
    for record in read_records(config.records, manifest, "train"):
        labelled[record.subset] = labelled.get(record.subset, False) | record.mask.astype(bool)
    subsets = sorted(labelled)
    with tf.Graph().as_default(), tf.Session() as session:
        rows = session.run(bucket_of(subsets))
    found = {}
    for name, scale in kinds.items():
        learned = reader.get_tensor(name).reshape(BUCKETS, -1, 2)[rows] * scale
        found[name] = {
            subset: np.where(labelled[subset][:, None], offsets, np.nan)
            for subset, offsets in zip(subsets, learned, strict=True)
        }
    return found


def main():
    config = tyro.cli(OffsetsConfig, prog="senet-kp label-offsets", description=__doc__)
    learned = learned_offsets(config)
    if sides := learned.get(mirror_offsets.NAME):
        print("mean shift of the labels to the right (annotation bias), in % of the face box:")
        for subset, offsets in sides.items():
            known = offsets[np.isfinite(offsets[:, 0]), 0]
            shift = f"{100 * known.mean():+.2f}" if len(known) else "no landmarks"
            print(f"  {subset:10} {shift}")
    if beside := learned.get(subset_offsets.NAME):
        reference = read_settings(config.run)["reference_subset"]
        scheme = scheme_of(read_manifest(config.records))
        print(f"landmarks beside those of {reference} (right, down), in % of the face box:")
        del beside[reference]
        for subset, offsets in beside.items():
            print(f"  {subset:10} " + ", ".join(_by_region(offsets, scheme)))


def _by_region(offsets, scheme: LandmarkScheme) -> Iterator[str]:
    """The mean offset of each region of a scheme that has labelled landmarks, as text."""
    for region, points in scheme.regions.items():
        known = offsets[list(points)]
        known = 100 * known[np.isfinite(known[:, 0])]
        if len(known):
            x, y = known.mean(0)
            furthest = np.linalg.norm(known, axis=1).max()
            yield f"{region} {x:+.2f} {y:+.2f} (largest {furthest:.2f})"


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
