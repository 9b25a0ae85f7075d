"""What places landmarks on pictures that have none: a frozen graph, or a dlib shape predictor.

A labeller has a scheme; find(picture), the faces of an RGB picture as senet_kp.predictor.Face,
best first; and place(picture, box), the landmarks [N, 2] in pixels of the face in one box
[x, y, w, h] of the kind that find() names.
"""

from pathlib import Path

import numpy as np

from senet_kp.face.known_schemes import SCHEMES
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.inference.dlib_shape import import_dlib, load_predictor
from senet_kp.inference.model_card import find_card
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.tfrecords.errors import ModelError, UserError

# Each variant's shift of the box in its sides, right and down, and its scale: about half of how
# dlib's boxes stray from face to face.
VARIANTS = ((0.04, 0, 1), (-0.04, 0, 1), (0, 0.04, 1), (0, -0.04, 1), (0, 0, 0.94), (0, 0, 1.06))


class CardLabeller:
    """A frozen graph, or a predictor of benchmarks.dlib_baseline, with its card, as the demo uses
    it; a box is the square that the model saw."""

    def __init__(self, model: Path, detector: Path | None = None):
        self._predictor = LandmarkPredictor(model, detector=detector)
        self.scheme = self._predictor.scheme

    def find(self, picture) -> list[Face]:
        return self._predictor.predict(picture)

    def place(self, picture, box) -> np.ndarray:
        return self._predictor.predict(picture, [box])[0].landmarks


class DlibLabeller:
    """dlib's shape predictor on whole pictures; a box is the rectangle that dlib's detector gave.

    Raises ModelError for a file that dlib cannot read and for a number of points that no scheme
    has.
    """

    def __init__(self, model: Path):
        self._dlib, self._detector = import_dlib(), DlibDetector()
        self._predictor = load_predictor(model)
        count = len(self.place(np.zeros((64, 64, 3), np.uint8), (0, 0, 64, 64)))
        self.scheme = _scheme_of(count, model)

    def find(self, picture) -> list[Face]:
        found = self._detector.detect(picture)
        return [Face(box, score, self.place(picture, box)) for box, score in found]

    def place(self, picture, box) -> np.ndarray:
        # A rectangle names its first and last pixel, whose outer edges are the box's.
        x, y, w, h = box
        first, last = np.round([x + 0.5, y + 0.5]), np.round([x + w - 0.5, y + h - 0.5])
        rectangle = self._dlib.rectangle(*map(int, (*first, *last)))
        parts = self._predictor(picture, rectangle).parts()
        return np.array([(part.x, part.y) for part in parts], np.float64)


def open_labeller(model: Path, detector: Path | None = None):
    """A labeller for a model file, with its card, or for a dlib shape predictor without one.

    A shape predictor without the card of a training is taken to be trained on dlib's own boxes.
    detector: YuNet's file; None for dlib's detector. Raises ModelError if the model cannot be used,
    and UserError for a detector with a model that takes dlib's boxes.
    """
    if find_card(model) is not None:
        return CardLabeller(model, detector)
    if detector:
        raise UserError(f"--detector: {model} takes dlib's own boxes; leave it out")
    return DlibLabeller(model)


def spread_percent(labeller, picture, face: Face) -> float:
    """How far the landmarks move when the face is mirrored and its box moved and scaled a little.

    The mean distance from the landmarks to those of every variant, in percent of the distance
    between the outer eye corners: small where the model is sure of what it sees. For an earlier
    graph on 247 faces of HELEN and AFW that it was not trained on, its median is 1.4 and its rank
    correlation with the error 0.74; the tenth with the largest spread has 5.9 % NME, the rest 3.4.
    """
    width = face.box[2:]
    boxes = (
        np.concatenate(
            [face.box[:2] + width * (np.array([right, down]) - (scale - 1) / 2), width * scale]
        )
        for right, down, scale in VARIANTS
    )
    shapes = [labeller.place(picture, box) for box in boxes]
    shapes.append(_placed_in_the_mirror(labeller, picture, face.box))
    distances = np.linalg.norm(np.array(shapes) - face.landmarks, axis=-1)
    left, right = face.landmarks[list(labeller.scheme.outer_eye_corners)]
    return float(100 * distances.mean() / max(np.linalg.norm(left - right), 1e-6))


def _placed_in_the_mirror(labeller, picture, box) -> np.ndarray:
    """The landmarks found in the mirrored picture, brought back into the picture."""
    size = np.array(picture.shape[1::-1])
    x, y, w, h = box
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    found = labeller.place(mirrored, np.array([size[0] - 1 - x - w, y, w, h]))
    return labeller.scheme.mirror((found + 0.5) / size) * size - 0.5


def _scheme_of(count: int, model: Path) -> LandmarkScheme:
    for scheme in SCHEMES.values():
        if scheme.count == count:
            return scheme
    known = ", ".join(f"{scheme.count} ({scheme.name})" for scheme in SCHEMES.values())
    raise ModelError(f"{model}: places {count} points; the known schemes have {known}")
