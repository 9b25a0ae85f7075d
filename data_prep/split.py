"""The train/val/test split: which side a group of pictures is on."""

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.tfrecords.files import fraction


def side_of(group: str, seed: int, test_share: float, val_share: float) -> str:
    """Return "train", "val" or "test" for a group, by a seeded hash of its name.

    `test_share` is the share of all groups used for testing, `val_share` the share of the others
    used for validation and for choosing the best checkpoint; no choice is ever made on the test
    side. New groups do not move existing ones to another side.
    """
    if fraction(group, seed, "test") < test_share:
        return "test"
    return "val" if fraction(group, seed, "val") < val_share else "train"


def side_of_source(source: FaceSource, config: PrepareConfig) -> str:
    """Return the side of a face, by its official part or by the hash of its group."""
    test_share = config.test_share
    if config.split == "official":
        test_share = float(source.official == "test")  # all of its group, or none
    return side_of(source.group, config.seed, test_share, config.val_share)
