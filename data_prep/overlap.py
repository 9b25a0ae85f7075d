"""python -m data_prep.overlap out/300w/tfrecords out/300w-lp/tfrecords

Prints the faces of one record folder that another, on which a model was trained, holds too: by
name, by the stored file, by a perceptual hash of the picture, or by the group (another picture of
that photo or person). The well-known case are 300-W's challenging pictures and 300W-LP's IBUG,
which are the same. Named twice, a folder is searched for pictures that both of its sides hold.
Exit codes: 0 no such face, or --allow-overlap; 2 unusable arguments, 3 the records cannot be
read, 5 there are such faces.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

from senet_kp.scoring.contamination import comparison
from senet_kp.tfrecords.errors import CheckError, UserError, exit_code_of
from senet_kp.tfrecords.fingerprints import KINDS, Meeting
from senet_kp.tfrecords.shards import SIDES


@dataclass(frozen=True)
class OverlapConfig:
    records: tyro.conf.Positional[Path]
    """record folder to evaluate on"""
    training: tyro.conf.Positional[Path]
    """record folder of the training"""
    sides: tuple[str, ...] = ("test",)
    """sides of the first: train, val, test"""
    training_sides: tuple[str, ...] = ("train",)
    """sides of the second"""
    allow_overlap: bool = False
    """return 0 whatever is found"""


def overlap(config: OverlapConfig) -> list[Meeting]:
    """The faces that stand in both; raises UserError for a side that there is not."""
    for side in (*config.sides, *config.training_sides):
        if side not in SIDES:
            raise UserError(f"no side {side!r}, only {', '.join(SIDES)}")
    return comparison(config.records, config.sides, config.training, config.training_sides)


def table(found: list[Meeting]) -> str:
    """The faces for people to read, those that are surest first."""
    ordered = sorted(found, key=lambda meeting: (KINDS.index(meeting.by), meeting.bits))
    width = max((len(meeting.name) for meeting in found), default=0)
    lines = [f"{m.by:<8} {m.bits:>4}  {m.name:<{width}}  {m.other}" for m in ordered]
    return "\n".join([f"{'by':<8} bits  {'evaluated':<{width}}  trained on", *lines])


def main():
    config = tyro.cli(OverlapConfig, prog="python -m data_prep.overlap", description=__doc__)
    found = overlap(config)
    if not found:
        print(f"{config.records}: no face of it is in {config.training}")
        return
    print(table(found))
    counts = Counter(meeting.by for meeting in found)
    said = ", ".join(f"{counts[kind]:,} by {kind}" for kind in KINDS if counts[kind])
    message = f"{config.records}: {len(found):,} of its faces are in {config.training}: {said}"
    if not config.allow_overlap:
        raise CheckError(message + "; leave them out, or give --allow-overlap")
    print(message)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
