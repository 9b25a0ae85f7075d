"""Measures the landmark and head-pose errors of a training on the val split of its records."""

from dataclasses import dataclass

import numpy as np

from senet_kp.face.metrics import nme, normaliser, spread_ratio
from senet_kp.face.pose import angle_between_deg, true_rotation
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops
from senet_kp.tfrecords.errors import UserError
from senet_kp.train.graph import ValidationTower, loss_and_mae, predict

COLLAPSED = 0.1  # below this spread, the network predicts nearly the same mean face for all


@dataclass(frozen=True)
class Validation:
    """The result of one validation; None where a value could not be measured."""

    faces: int = 0  # faces of the val split
    finite: bool = True  # whether all predictions are; nothing is measured where they are not
    scored_faces: int = 0  # those with both outer eye corners labelled, which the NME needs
    loss: float | None = None  # mean landmark loss, as in training but without L2 and augmentation
    mae: float | None = None  # mean absolute error of the labelled coordinates, in box widths
    nme: float | None = None  # mean inter-ocular NME of the scored faces, 0.05 for 5 %
    spread: float | None = None  # how much predictions vary between faces, relative to the labels
    pose_deg: float | None = None  # mean angle between predicted and true head rotations, degrees
    predicted: np.ndarray | None = None  # [n, N, 2], box-relative landmarks

    @property
    def collapsed(self) -> bool:
        """Whether the predictions hardly differ between faces."""
        return self.spread is not None and self.spread < COLLAPSED


def validate(
    session, tower: ValidationTower, val: Crops, scheme: LandmarkScheme, inputs=None
) -> Validation:
    """Measure the errors of the averaged weights on the faces of the val split.

    inputs: what the tower sees of the faces, [n, H, W, C]; by default their pictures.
    """
    if not len(val):
        return Validation()
    predicted, rotations = predict(session, tower, val.images if inputs is None else inputs)
    if not np.isfinite(predicted).all():
        return Validation(faces=len(val), finite=False)
    if not val.mask.any():
        return Validation(faces=len(val), predicted=predicted)
    loss, mae = loss_and_mae(session, tower, predicted, val.landmarks, val.mask)
    nmes = nme(val.normalised_errors(predicted, scheme, "inter-ocular"))
    scored = np.isfinite(nmes)
    return Validation(
        faces=len(val),
        scored_faces=int(scored.sum()),
        loss=loss,
        mae=mae,
        nme=float(nmes[scored].mean()) if scored.any() else None,
        spread=float(spread_ratio(predicted, val.landmarks, val.mask)),
        pose_deg=None if rotations is None else _pose_error_deg(rotations, val, scheme),
        predicted=predicted,
    )


def require_observable(schedule: str, val: Crops, scheme: LandmarkScheme):
    """Raise UserError for a plateau schedule without any val face that has an NME."""
    lengths = normaliser(val.landmarks, val.mask, scheme, "inter-ocular")
    if schedule == "plateau" and not np.isfinite(lengths).any():
        raise UserError(
            "--schedule plateau needs the val NME, and none of the"
            f" {len(val)} val faces has both outer eye corners labelled; choose another schedule"
        )


def _pose_error_deg(rotations, val: Crops, scheme: LandmarkScheme) -> float | None:
    """Mean angle between rotations [n, 3, 3] and the true ones; None if none is known."""
    faces = zip(val.pose_deg, val.landmarks, val.mask, strict=True)
    angles = angle_between_deg(rotations, [true_rotation(*face, scheme) for face in faces])
    known = np.isfinite(angles)
    return float(angles[known].mean()) if known.any() else None
