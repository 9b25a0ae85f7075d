"""Labellers, which predict landmarks on pictures: a frozen graph, or a dlib shape predictor.

A labeller has four members. `scheme` is the landmark scheme. `detector`, as text, says what finds
the faces. `find(picture)` returns the faces of an RGB picture as
`senet_kp.inference.predictor.Face`, best first. `place(picture, box, roll_deg)` returns the
landmarks [N, 2] in pixels for one turned box [x, y, w, h], of the kind that `find` returns.
"""

from pathlib import Path

import numpy as np

from senet_kp.face.known_schemes import SCHEMES
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.inference.dlib_shape import import_dlib, load_predictor
from senet_kp.inference.face_detector import AUTO, DLIB
from senet_kp.inference.model_card import find_card
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.tfrecords.errors import ModelError, UserError

# Shift right and down as fractions of the box size, and scale, of each variant of a box. They are
# about half of the variation of dlib's boxes between faces.
VARIANTS = ((0.04, 0, 1), (-0.04, 0, 1), (0, 0.04, 1), (0, -0.04, 1), (0, 0, 0.94), (0, 0, 1.06))


class CardLabeller:
    """A model with a model card: a frozen graph, or a predictor of benchmarks.dlib_baseline.

    Its boxes are the squares that the model is applied to.
    """

    def __init__(self, model: Path, detector=AUTO, min_face_px=None, any_roll: bool = False):
        finding = {"detector": detector, "min_face_px": min_face_px, "any_roll": any_roll}
        self._predictor = LandmarkPredictor(model, **finding)
        self.scheme, self.detector = self._predictor.scheme, self._predictor.detector

    def find(self, picture) -> list[Face]:
        return self._predictor.predict(picture)

    def place(self, picture, box, roll_deg: float = 0.0) -> np.ndarray:
        return self._predictor.predict(picture, [box], [roll_deg])[0].landmarks


class DlibLabeller:
    """dlib's shape predictor on whole pictures; boxes are the rectangles of dlib's detector.

    Its faces are upright. Raises ModelError if dlib cannot read the file, or no scheme has its
    number of points.
    """

    def __init__(self, model: Path, min_face_px: float | None = None):
        self._dlib, self._detector = import_dlib(), DlibDetector(min_face_px)
        self.detector = f"dlib, faces from {self._detector.min_face_px:g} px on"
        self._predictor = load_predictor(model)
        count = len(self.place(np.zeros((64, 64, 3), np.uint8), (0, 0, 64, 64)))
        self.scheme = _scheme_of(count, model)

    def find(self, picture) -> list[Face]:
        found = self._detector.detect(picture)
        return [Face(one.box, one.score, self.place(picture, one.box)) for one in found]

    def place(self, picture, box, _roll_deg: float = 0.0) -> np.ndarray:
        # dlib's rectangles are given by first and last pixel, a box by their outer edges.
        x, y, w, h = box
        first, last = np.round([x + 0.5, y + 0.5]), np.round([x + w - 0.5, y + h - 0.5])
        rectangle = self._dlib.rectangle(*map(int, (*first, *last)))
        parts = self._predictor(picture, rectangle).parts()
        return np.array([(part.x, part.y) for part in parts], np.float64)


def open_labeller(model: Path, detector=AUTO, min_face_px=None, any_roll: bool = False):
    """A labeller for a model file, with its card, or for a dlib shape predictor without one.

    A shape predictor without the card of a training is taken to be trained on dlib's own boxes.
    detector, min_face_px, any_roll: as for LandmarkPredictor. Raises ModelError if the model cannot
    be used, and UserError for YuNet or turned faces with a model that takes dlib's boxes.
    """
    if find_card(model) is not None:
        return CardLabeller(model, detector, min_face_px, any_roll)
    if detector not in (AUTO, DLIB) or any_roll:
        option = "--any-roll" if any_roll else "--detector"
        raise UserError(f"{option}: {model} takes dlib's own boxes; leave it out")
    return DlibLabeller(model, min_face_px)


def spread_percent(labeller, picture, face: Face) -> float:
    """Estimate the uncertainty of a face's landmarks by test-time augmentation.

    Returns the mean distance of the landmarks from those predicted for slightly shifted and scaled
    boxes and for the mirrored picture, in percent of the distance between the outer eye corners.
    For an earlier graph on 247 faces of HELEN and AFW that it was not trained on, the median is 1.4
    and the rank correlation with the error 0.74; the tenth of the faces with the largest spread has
    5.9 % NME, the others have 3.4 %.
    """
    width = face.box[2:]
    boxes = (
        np.concatenate(
            [face.box[:2] + width * (np.array([right, down]) - (scale - 1) / 2), width * scale]
        )
        for right, down, scale in VARIANTS
    )
    shapes = [labeller.place(picture, box, face.roll_deg) for box in boxes]
    shapes.append(_placed_in_the_mirror(labeller, picture, face.box, face.roll_deg))
    distances = np.linalg.norm(np.array(shapes) - face.landmarks, axis=-1)
    left, right = face.landmarks[list(labeller.scheme.outer_eye_corners)]
    return float(100 * distances.mean() / max(np.linalg.norm(left - right), 1e-6))


def _placed_in_the_mirror(labeller, picture, box, roll_deg: float) -> np.ndarray:
    """Predict the landmarks in the mirrored picture, and mirror them back."""
    size = np.array(picture.shape[1::-1])
    x, y, w, h = box
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    found = labeller.place(mirrored, np.array([size[0] - 1 - x - w, y, w, h]), -roll_deg)
    return labeller.scheme.mirror((found + 0.5) / size) * size - 0.5


def _scheme_of(count: int, model: Path) -> LandmarkScheme:
    for scheme in SCHEMES.values():
        if scheme.count == count:
            return scheme
    known = ", ".join(f"{scheme.count} ({scheme.name})" for scheme in SCHEMES.values())
    raise ModelError(f"{model}: predicts {count} points; the known schemes have {known}")
