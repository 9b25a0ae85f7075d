"""Head poses as training knows them: of the label or the points, and as augmentation turns them."""

from pathlib import Path

import numpy as np

from senet_kp.face.pose import true_rotation, turned
from senet_kp.face.scheme import scheme_of
from senet_kp.input.augment import Augmenter
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.shards import read_records


class PoseTargets:
    """The rotations of heads in the pictures that an Augmenter makes."""

    def __init__(self, augmenter: Augmenter):
        self.augmenter = augmenter
        self._stored = {}  # by name: 0.3 ms for a pose from points, which no epoch changes

    def batch(self, poses, landmarks, masks, names, epochs) -> np.ndarray:
        """float32 [B, 3, 3] of a batch of records' features; NaN where nothing tells the pose."""
        samples = zip(poses, landmarks, masks, names, epochs, strict=True)
        return np.array([self.sample(*sample) for sample in samples], np.float32)

    def sample(self, pose_deg, landmarks, mask, name: bytes, epoch: int) -> np.ndarray:
        """[3, 3] of the head in the sample that the Augmenter makes of this record and epoch."""
        if name not in self._stored:
            scheme = self.augmenter.scheme
            self._stored[name] = true_rotation(pose_deg, landmarks, mask, scheme)
        return turned(self._stored[name], self.augmenter.change(name, epoch))


def require_poses(folder: Path, manifest: dict, sides: tuple[str, ...]):
    """Raise UserError where no record of these sides tells how its head is turned."""
    scheme = scheme_of(manifest)
    for side in sides:
        for record in read_records(folder, manifest, side):
            rotation = true_rotation(record.pose, record.landmarks, record.mask, scheme)
            if np.isfinite(rotation).all():
                return
    raise UserError(
        f"{folder}: no face tells how its head is turned, which --pose-weight needs: labels with a"
        " pose, as 300W-LP's, or the 68 points"
    )
