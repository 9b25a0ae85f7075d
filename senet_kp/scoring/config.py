"""The settings that `evaluate` and `report` share."""

from dataclasses import dataclass
from pathlib import Path

from senet_kp.face.metrics import Normaliser
from senet_kp.inference.backends import AUTO, Backend
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.sides import Side


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """Which faces are scored, how, and in which engine a model file runs."""

    records: Path = Path("out/tfrecords")
    """record folder that holds the faces to score"""
    side: Side = "test"
    """which side of the train/val/test split to score"""
    normaliser: Normaliser = "inter-ocular"
    """length that the errors are divided by: the distance between the outer eye corners
    (inter-ocular) or between the eye centres (inter-pupil), or the square root of the area (box)
    or the diagonal (diagonal) of the bounding rectangle of the annotated landmarks"""
    threshold: float = 0.08
    """NME above which a face counts as a failure, and the upper limit of the AUC"""
    backend: Backend = AUTO
    """engine that runs a model file; auto takes the first one that supports the file"""
    trained_on: tuple[Path, ...] = ()
    """record folders that the models were trained on, if they are not the scored one"""
    allow_overlap: bool = False
    """also score faces that a model was trained on"""


def check(config: ScoringConfig):
    """Raise UserError for a threshold that is not positive."""
    if config.threshold <= 0:
        raise UserError("--threshold must be greater than 0")
