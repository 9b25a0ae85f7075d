"""What the demo says about a face besides its landmarks: head pose, certainty and measures."""

from dataclasses import dataclass

import numpy as np

from senet_kp.demo.head_pose import HeadPose
from senet_kp.demo.measures import Measures
from senet_kp.face.pose import angles_deg
from senet_kp.inference.predictor import Face, LandmarkPredictor


@dataclass(frozen=True)
class FaceFacts:
    """What is asked for; it can be given to other processes.

    pose: estimates the head pose, None for no pose. certainty, measures: whether these are wanted.
    """

    predictor: LandmarkPredictor
    pose: HeadPose | None = None
    certainty: bool = False
    measures: bool = False

    def rotations(self, picture, faces: list[Face]) -> list | None:
        """The rotation [3, 3] of each head, None for one without; None if no pose is asked for."""
        return self.pose and self.pose.rotations(picture, faces)

    def of(
        self,
        picture,
        faces: list[Face],
        rotations: list | None,
        measures: Measures | None = None,
        time_s: float | None = None,
    ) -> list[dict]:
        """The entries for each face in a line of the JSON output.

        picture: the one in which the faces were found, before anything is drawn into it. measures:
        those of a video so far. time_s: the time stamp of its frame.
        """
        entries = [{} for _ in faces]
        if rotations is not None:
            for entry, rotation in zip(entries, rotations, strict=True):
                entry["pose"] = _deg(rotation)
        if self.certainty:
            for entry, face in zip(entries, faces, strict=True):
                entry["certainty"] = round(self.predictor.certainty(picture, face), 4)
        if self.measures:
            measures = measures or Measures(self.predictor.scheme)
            for entry, found in zip(entries, measures.of(faces, time_s), strict=True):
                entry |= found
        return entries


def _deg(rotation) -> list[float] | None:
    """Pitch, yaw and roll in degrees, rounded to 0.01; None if they could not be estimated."""
    return None if rotation is None else np.round(angles_deg(rotation), 2).tolist()
