"""Which side a group of pictures goes to."""

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.tfrecords.files import fraction


def side_of(group: str, seed: int, test_share: float, val_share: float) -> str:
    """ "train", "val" or "test", by a seeded hash of the group's name alone.

    `test_share` of all groups are tested on; `val_share` of the others watch the training and
    choose its best checkpoint, so that no choice is ever made on the test side. Adding groups
    moves none of the old ones.
    """
    if fraction(group, seed, "test") < test_share:
        return "test"
    return "val" if fraction(group, seed, "val") < val_share else "train"


def side_of_source(source: FaceSource, config: PrepareConfig) -> str:
    """The side of one face, by its publishers' part or by its group's name."""
    test_share = config.test_share
    if config.split == "official":
        test_share = float(source.official == "test")  # all of its group, or none
    return side_of(source.group, config.seed, test_share, config.val_share)
