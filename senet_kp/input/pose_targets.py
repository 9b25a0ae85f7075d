"""Head rotations as training targets, adjusted to the augmentation of each picture."""

from pathlib import Path

import numpy as np

from senet_kp.face.pose import true_rotation, turned
from senet_kp.face.scheme import scheme_of
from senet_kp.input.augment import Augmenter
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.shards import read_records


class PoseTargets:
    """Computes the head rotations in the pictures that an Augmenter produces."""

    def __init__(self, augmenter: Augmenter):
        self.augmenter = augmenter
        # Rotations in the stored pictures by name. Estimating one from landmarks takes 0.3 ms, and
        # the result is the same in every epoch.
        self._stored = {}

    def batch(self, poses, landmarks, masks, names, epochs) -> np.ndarray:
        """Rotations float32 [B, 3, 3] of a batch of records; NaN where the pose is unknown."""
        samples = zip(poses, landmarks, masks, names, epochs, strict=True)
        return np.array([self.sample(*sample) for sample in samples], np.float32)

    def sample(self, pose_deg, landmarks, mask, name: bytes, epoch: int) -> np.ndarray:
        """The rotation [3, 3] of the head in the Augmenter's picture of this record and epoch.

        pose_deg: the labelled pitch, yaw and roll [3]. Where they are NaN, the rotation is
        estimated from the landmarks [N, 2] whose mask [N] is set.
        """
        if name not in self._stored:
            scheme = self.augmenter.scheme
            self._stored[name] = true_rotation(pose_deg, landmarks, mask, scheme)
        return turned(self._stored[name], self.augmenter.change(name, epoch))


def require_poses(folder: Path, manifest: dict, sides: tuple[str, ...]):
    """Raise UserError if the head pose is unknown for every record of these splits."""
    scheme = scheme_of(manifest)
    for side in sides:
        for record in read_records(folder, manifest, side):
            rotation = true_rotation(record.pose, record.landmarks, record.mask, scheme)
            if np.isfinite(rotation).all():
                return
    raise UserError(
        f"{folder}: --pose-weight needs head poses, but no record has one; use labels with a pose,"
        " such as those of 300W-LP, or labels with the 68 landmarks, from which it is estimated"
    )
