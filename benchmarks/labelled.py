"""The labelled pictures that benchmarks of whole predictions read, and the face boxes in them."""

from pathlib import Path

import numpy as np

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import labelled_face
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected
from senet_kp.data_prep.recognise import recognise
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.inference.detections import Detection
from senet_kp.inference.face_detector import FaceDetector
from senet_kp.tfrecords.errors import InputError

LABELS = "labels"


def labelled_pictures(
    data: Path, card: dict, pictures: int = 0, seed: int = 0
) -> list[tuple[Path, FaceLabel]]:
    """The picture files and labels of a data set, in the order of their names.

    card: model card of the model that is to be measured. pictures: how many are drawn at random
    with `seed`; 0 for all. Raises InputError for a label that does not have the model's landmarks.
    """
    sources = FORMATS[recognise(data)].scan(data, False, PrepareConfig(()).points)
    drawn = np.random.default_rng(seed).permutation(len(sources))
    drawn = np.sort(drawn[: pictures or None])
    rule = CropRule(BoxRule(), 1.0, 95, scheme_of(card))
    return [(sources[i].picture, _label(sources[i], rule)) for i in drawn]


def _label(source: FaceSource, rule: CropRule) -> FaceLabel:
    try:
        return labelled_face(source, rule)[1]
    except Rejected as error:
        raise InputError(f"{source.picture}: {error}; choose a model for these labels") from None


def boxes_in(picture, landmarks, rule: BoxRule, detectors: list[FaceDetector]) -> dict:
    """{"labels", "dlib" or "YuNet": the Detection of a labelled face, None if it was not found}.

    landmarks [n, 2]: those of the face that are labelled, in pixels.
    """
    true_box = face_box(landmarks, rule)
    found = {name_of(one): _best(one.detect(picture), true_box) for one in detectors}
    return {LABELS: Detection(true_box, None), **found}


def name_of(detector: FaceDetector) -> str:
    """The name by which a table shows a detector: "dlib" or "YuNet"."""
    return str(detector).split(" ")[0].strip(",")


def _best(found: list[Detection], true_box) -> Detection | None:
    best = max(found, key=lambda one: iou(one.box, true_box), default=None)
    return best if best is not None and iou(best.box, true_box) >= MIN_IOU else None
