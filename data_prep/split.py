"""Which side a group of pictures goes to."""

import hashlib


def side_of(group: str, seed: int, test_share: float, val_share: float) -> str:
    """ "train", "val" or "test", by a seeded hash of the group's name alone.

    `test_share` of all groups are tested on; `val_share` of the others watch the training and
    choose its best checkpoint, so that no choice is ever made on the test side. Adding groups
    moves none of the old ones.
    """
    if fraction(group, seed, "test") < test_share:
        return "test"
    return "val" if fraction(group, seed, "val") < val_share else "train"


def fraction(name: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) that depends on the three arguments and on nothing else."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
