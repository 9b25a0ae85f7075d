"""The train/val/test split: which side a group of pictures is on."""

from collections.abc import Iterable

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.tfrecords.files import fraction


def sides_of_faces(sources: list[FaceSource], config: PrepareConfig) -> dict[str, str]:
    """Return {group: its side}, by the official part of its faces or by the hash of its name."""
    groups = {source.group for source in sources}
    if config.split == "hash":
        return sides_of(groups, config.seed, config.test_share, config.val_share)
    tests = {source.group for source in sources if source.official == "test"}
    others = sides_of(groups - tests, config.seed, 0, config.val_share)
    return others | dict.fromkeys(tests, "test")


def sides_of(
    groups: Iterable[str], seed: int, test_share: float, val_share: float
) -> dict[str, str]:
    """Return {group: "train", "val" or "test"}, by a seeded hash of the group's name.

    `test_share` is the share of all groups used for testing, `val_share` the share of the others
    used for validation and for choosing the best checkpoint; no choice is ever made on the test
    side. New groups do not move existing ones to another side, unless there are so few that a side
    would be empty: then it gets the group whose hash is nearest, first test and then val.
    """
    groups = set(groups)
    tests = _drawn(groups, test_share, seed, "test", others=1 + (val_share > 0 and len(groups) > 2))
    val = _drawn(groups - tests, val_share, seed, "val", others=1)
    sides = {"test": tests, "val": val, "train": groups - tests - val}
    return {group: side for side, members in sides.items() for group in members}


def _drawn(groups: set[str], share: float, seed: int, purpose: str, others: int) -> set[str]:
    """Return the groups whose hash is below the share: at least one, and not the last `others`.

    A share of 0 or 1 is none or all of them.
    """
    places = {group: fraction(group, seed, purpose) for group in groups}
    count = sum(place < share for place in places.values())
    if 0 < share < 1:
        count = max(min(max(count, 1), len(groups) - others), 0)
    return set(sorted(groups, key=places.get)[:count])
