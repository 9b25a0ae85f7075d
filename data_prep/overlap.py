"""senet-kp overlap out/300w/tfrecords out/300w-lp/tfrecords

Find train/test overlap: list the faces of one record folder that also occur in another one, on
which a model was trained. In place of the second folder, a model whose training faces are known
from its fingerprints can be given. Faces match by name, by the stored file, by a perceptual hash of
the picture, or by group (another picture of the same photo or person). A well-known case is the
challenging subset of 300-W, whose pictures are also in 300W-LP as IBUG. Give one folder twice to
compare its own train and test side.
Exit codes: 0 no overlap, or --allow-overlap; 2 unusable arguments, 3 the records cannot be read,
4 the model cannot be used, 5 there is an overlap.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

from senet_kp.inference.model_card import SAVED_MODEL, kind_of
from senet_kp.tfrecords.errors import CheckError, exit_code_of
from senet_kp.tfrecords.fingerprints import KINDS, Meeting
from senet_kp.tfrecords.sides import Side


@dataclass(frozen=True)
class OverlapConfig:
    records: tyro.conf.Positional[Path]
    """record folder for evaluation"""
    training: tyro.conf.Positional[Path]
    """record folder that a model was trained on, or the model itself (.pb, a file exported from it,
    or a .dat) with its .fingerprints file"""
    sides: tuple[Side, ...] = ("test",)
    """sides of the split of the evaluation records to compare"""
    training_sides: tuple[Side, ...] = ("train",)
    """sides of the split of the training records to compare; a model knows its own"""
    allow_overlap: bool = False
    """exit with code 0 even if there is an overlap"""


def overlap(config: OverlapConfig) -> list[Meeting]:
    """Return the matching faces; raises InputError, and ModelError for a model."""
    from senet_kp.scoring.contamination import comparison, comparison_with_model

    if config.training.is_file() or kind_of(config.training) == SAVED_MODEL:
        return comparison_with_model(config.records, config.sides, config.training)
    return comparison(config.records, config.sides, config.training, config.training_sides)


def table(found: list[Meeting]) -> str:
    """Return the matches as a text table, the most certain ones first."""
    ordered = sorted(found, key=lambda meeting: (KINDS.index(meeting.by), meeting.bits))
    width = max((len(meeting.name) for meeting in found), default=0)
    lines = [f"{m.by:<8} {m.bits:>4}  {m.name:<{width}}  {m.other or '-'}" for m in ordered]
    return "\n".join([f"{'by':<8} bits  {'evaluated':<{width}}  trained on", *lines])


def main():
    config = tyro.cli(OverlapConfig, prog="senet-kp overlap", description=__doc__)
    found = overlap(config)
    if not found:
        print(f"{config.records}: none of its faces is in {config.training}")
        return
    print(table(found))
    counts = Counter(meeting.by for meeting in found)
    said = ", ".join(f"{counts[kind]:,} by {kind}" for kind in KINDS if counts[kind])
    message = f"{config.records}: {len(found):,} of its faces are in {config.training}: {said}"
    if not config.allow_overlap:
        raise CheckError(message + "; remove them, or give --allow-overlap")
    print(message)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
