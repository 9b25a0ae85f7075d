"""The head pose that the demo shows: which landmarks it is estimated from."""

from pathlib import Path

import numpy as np

from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pose import head_rotation
from senet_kp.inference.backends import AUTO, Backend
from senet_kp.inference.model_card import has_head_model_points
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED, PRETRAINED_3D
from senet_kp.tfrecords.errors import UserError


class HeadPose:
    """Estimates how heads are turned.

    For the shipped graph with the visible contour, the landmarks are those that the other shipped
    graph finds in the same face boxes, in one look and without a detector. For every other model
    they are its own; all of them count if they are those of a head model, or else all that are not
    on the contour.

    model: the file of `predictor`, whose faces are given later. backend and detector: as for
    LandmarkPredictor. Raises UserError if the model does not predict the 68 landmarks.
    """

    def __init__(self, predictor: LandmarkPredictor, model, backend: Backend = AUTO, detector=AUTO):
        if predictor.scheme != IBUG68:
            name = predictor.scheme.name
            raise UserError(f"--pose: needs a model with 68 landmarks; this one predicts {name}")
        self._second = None
        if Path(model).resolve() == PRETRAINED.resolve():
            self._second = LandmarkPredictor(PRETRAINED_3D, backend, detector=detector)
        self._all_points = has_head_model_points((self._second or predictor).card)

    def __str__(self) -> str:
        """Whose landmarks they are, in words."""
        whose = PRETRAINED_3D.name if self._second else "the same model"
        return f"from {'all' if self._all_points else 'the inner'} landmarks of {whose}"

    def rotations(self, picture, faces: list[Face]) -> list[np.ndarray | None]:
        """The rotation [3, 3] of each head, as `pose.head_rotation` returns it.

        picture: [H, W, 3] uint8 RGB, in which the faces were found; nothing may be drawn into it.
        """
        if self._second:
            rolls_deg = [face.roll_deg for face in faces]
            faces = self._second.predict(picture, [face.box for face in faces], rolls_deg)
        return rotations_of(faces, self._all_points)


def rotations_of(faces: list[Face], with_contour: bool = False) -> list[np.ndarray | None]:
    """The rotations [3, 3] of heads from the 68 landmarks of their faces."""
    known = np.ones(IBUG68.count, bool)
    return [head_rotation(face.landmarks, known, IBUG68, with_contour) for face in faces]
