"""Landmarks on pictures, in code: `LandmarkPredictor("senet.pb").predict("photo.jpg")`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from senet_kp.face.facebox import BoxRule, crop, face_box, to_absolute
from senet_kp.face.pictures import read_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import AUTO, open_backend, require_backend
from senet_kp.inference.dlib_detector import MIN_IOU, BoxTransform, FaceDetector, iou
from senet_kp.inference.model_card import box_rule, card_beside, read_card
from senet_kp.inference.yunet import YuNetDetector
from senet_kp.tfrecords.errors import ModelError, UserError

PASSES = 2  # val NME of an earlier graph, dlib's boxes: 4.08 % after one look, 3.92 after 2 and 3


@dataclass(frozen=True)
class Face:
    """One face in pixels of the picture, 0-based with the first pixel's centre at 0.

    box [x, y, w, h]: the square that the network saw. score: the detector's, None for a box that
    was given. landmarks [N, 2].
    """

    box: np.ndarray
    score: float | None
    landmarks: np.ndarray


def landmarks_in(picture, box, run, rule: BoxRule) -> np.ndarray:
    """Landmarks [N, 2], pixels, that a backend `run` finds in a face box [x, y, w, h]."""
    return to_absolute(run(crop(picture, box, rule.size_px, rule.padding)), box)


def landmarks_near(
    picture, box, run, rule: BoxRule, passes: int = PASSES
) -> tuple[np.ndarray, np.ndarray]:
    """The face box and the landmarks of a face that a detector's box is near to.

    Coarse to fine: the landmarks found in `box` say where the face box really lies, and are found
    again in that one. Where the two boxes have little in common, the earlier answer stands, and
    where face boxes are not made from landmarks.
    """
    box = np.asarray(box, np.float64)
    landmarks = landmarks_in(picture, box, run, rule)
    for _ in range(passes - 1 if rule.source == "landmarks" else 0):
        better = face_box(landmarks, rule)
        if iou(better, box) < MIN_IOU:
            break
        box, landmarks = better, landmarks_in(picture, better, run, rule)
    return box, landmarks


class LandmarkPredictor:
    """A model file, its card, and a face detector that is loaded when it is first needed.

    A `.dat` of benchmarks.dlib_baseline, which has a card of its own beside it, does as well.
    passes: how often the network looks at a face that was found. detector: YuNet's ONNX file; with
    None dlib finds the faces. Raises ModelError for a model that cannot be used.
    """

    def __init__(self, model, backend: str = AUTO, passes: int = PASSES, detector=None):
        require_backend(backend)
        if passes < 1:
            raise UserError("the network looks at least once: passes is at least 1")
        self.passes, self._detector_file = passes, detector
        is_dlib = Path(model).suffix == ".dat"
        self.card = _dlib_card(Path(model)) if is_dlib else read_card(model)
        self.scheme = scheme_of(self.card)
        self.rule = box_rule(self.card)
        if is_dlib:
            from senet_kp.inference.dlib_shape import (
                DlibShapeBackend,  # as the detector: where it is needed
            )

            self._run = DlibShapeBackend(model)
        else:
            self._run = open_backend(model, backend)

    def face_boxes(self, picture) -> list[tuple[np.ndarray, float]]:
        """The detector's first guess at the face boxes [x, y, w, h] of an RGB picture, and its
        scores, best first."""
        return self._detect(picture)

    @cached_property
    def _detect(self):
        if self._detector_file is not None:
            return self._yunet().face_boxes
        detector, transform = FaceDetector(), self._transform()
        return lambda picture: [
            (transform.apply(box), score) for box, score in detector.detect(picture)
        ]

    def _transform(self) -> BoxTransform:
        if not self.card.get("detector_box"):
            raise ModelError(
                "the model card does not say how dlib's boxes lie to the face box, because dlib"
                " found no face in the training pictures; give boxes with --boxes"
            )
        return BoxTransform(**self.card["detector_box"])

    def _yunet(self) -> YuNetDetector:
        if "mean_shape" not in self.card:
            raise ModelError(
                "the model card has no mean_shape, which YuNet's points are laid on; freeze the"
                " model again, or give boxes with --boxes"
            )
        shape = self.card["mean_shape"]
        return YuNetDetector(self._detector_file, self.scheme, shape, self.rule)

    def predict(self, picture, boxes=None) -> list[Face]:
        """The faces of a picture: a path, or [H, W, 3] uint8 RGB.

        `boxes` are face boxes [x, y, w, h] by the card's box rule; without them the detector finds
        the faces. An empty list where there is none. Raises BadPicture for an unusable file.
        """
        if not isinstance(picture, np.ndarray):
            picture = read_picture(picture)
        if boxes is None:
            return [self._found(picture, *found) for found in self.face_boxes(picture)]
        return [self._given(picture, np.asarray(box, np.float64)) for box in boxes]

    def _found(self, picture, box, score) -> Face:
        box, landmarks = landmarks_near(picture, box, self._run, self.rule, self.passes)
        return Face(box, score, landmarks)

    def _given(self, picture, box) -> Face:
        return Face(box, None, landmarks_in(picture, box, self._run, self.rule))


def _dlib_card(model: Path) -> dict:
    """What stands beside a dlib predictor that was trained on face boxes; raises ModelError."""
    card = card_beside(model) or {}
    if missing := [key for key in ("box", "scheme") if key not in card]:
        raise ModelError(
            f"{model}: {model.with_suffix('.json').name} beside it does not say its"
            f" {' and '.join(missing)}; train it again with benchmarks.dlib_baseline"
        )
    return card
