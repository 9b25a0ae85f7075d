"""Finding faces with dlib, and the way from a detector's box to the face box.

dlib's HOG detector (King, "Max-margin object detection", 2015) answers with a square that stops
between lip and chin and may leave the frame. Preparation measures on training pictures how that
square lies to the face box; the model card carries the answer, and the demo applies it.
"""

import contextlib
from dataclasses import dataclass

import cv2
import numpy as np
from platformdirs import user_cache_path

from senet_kp.tfrecords.errors import OutputError, UserError
from senet_kp.tfrecords.files import atomic_path

# Longest side of the copies that are searched, one after the other until a face is found.
# dlib finds faces from 80 px on, so 640 px shows faces from an eighth of the picture's longest
# side, in about 50 ms; the second look takes four times as long and is for pictures without one.
SEARCH_SIDES_PX = (640, 1280)
MAX_ENLARGEMENT = 2  # of a small picture in the second look: faces from 40 px on
MIN_IOU = 0.3  # below this a detection is another face, or no face


@dataclass(frozen=True)
class BoxTransform:
    """From a detector's square to the face box: centre += shift x side, then side x= scale.

    spread: standard deviations of (shift_x, shift_y, log scale) over the measured pictures: dlib
    searches coarse steps of place and size. pictures, found: how many were searched and matched.
    """

    shift_x: float
    shift_y: float
    scale: float
    spread: tuple[float, float, float]
    pictures: int
    found: int

    def apply(self, box) -> np.ndarray:
        """The face box [x, y, side, side] for a detector's box [x, y, w, h]."""
        x, y, w, h = box
        side = max(w, h)
        cx, cy = x + w / 2 + self.shift_x * side, y + h / 2 + self.shift_y * side
        side *= self.scale
        return np.array([cx - side / 2, cy - side / 2, side, side])


def measure_transform(pairs, pictures: int) -> BoxTransform:
    """The BoxTransform that takes detected boxes to face boxes, from (detected, face box) pairs."""
    if not pairs:
        raise ValueError("no pair of boxes to measure from")
    detected, truth = np.array(pairs, np.float64).transpose(1, 0, 2)
    sides = detected[:, 2:].max(axis=1)
    shifts = _centres(truth) - _centres(detected)
    values = np.column_stack([shifts / sides[:, None], np.log(truth[:, 2] / sides)])
    middle = np.median(values, axis=0)
    spread = values.std(axis=0)
    return BoxTransform(
        *map(float, middle[:2]),
        float(np.exp(middle[2])),
        tuple(spread.tolist()),
        pictures,
        len(pairs),
    )


def iou(first, second) -> float:
    """Intersection over union of two boxes [x, y, w, h]."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    overlap = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    both = np.prod(np.maximum(overlap, 0))
    return float(both / (np.prod(a[2:]) + np.prod(b[2:]) - both))


class FaceDetector:
    """dlib's frontal face detector, on copies of the picture of the size that it works best on."""

    def __init__(self):
        try:
            import dlib  # here: with boxes given, everything works without it
        except ImportError as error:
            raise UserError(
                f"dlib cannot be imported ({error}); install dlib-bin, or give boxes with --boxes"
            ) from None
        self._detector = _frontal_detector(dlib)

    def detect(self, picture) -> list[tuple[np.ndarray, float]]:
        """Boxes [x, y, w, h] in pixels and scores of the faces in an RGB picture, best first."""
        longest = max(picture.shape[:2])
        first, second = SEARCH_SIDES_PX
        faces = self._search(picture, max(longest / first, 1.0))
        return faces or self._search(picture, max(longest / second, 1 / MAX_ENLARGEMENT))

    def _search(self, picture, reduction: float):
        rectangles, scores, _ = self._detector.run(reduced(picture, reduction), 0, 0.0)
        # A rectangle names its first and last pixel; their outer edges are the box's.
        return [
            (
                np.array([r.left(), r.top(), r.width(), r.height()], np.float64) * reduction
                - (0.5, 0.5, 0, 0),
                float(score),
            )
            for r, score in zip(rectangles, scores, strict=True)
        ]


def _frontal_detector(dlib):
    """dlib's frontal detector, from a file that an earlier start left in the user's cache.

    Unpacking the one inside dlib takes 350 ms, reading 155 kB of it 3.
    """
    path = user_cache_path("senet_kp") / f"frontal-face-{dlib.__version__}.svm"
    try:
        return dlib.fhog_object_detector(str(path))
    except RuntimeError:  # not there yet, or not whole
        detector = dlib.get_frontal_face_detector()
    # Where there is no place for a cache, the next start unpacks again.
    with contextlib.suppress(OutputError, OSError, RuntimeError), atomic_path(path) as temporary:
        detector.save(str(temporary))
    return detector


def reduced(picture, reduction: float):
    """The picture at 1/reduction of its size."""
    if reduction == 1:
        return picture
    size = [max(round(length / reduction), 1) for length in picture.shape[1::-1]]
    method = cv2.INTER_AREA if reduction > 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=method)


def _centres(boxes):
    return boxes[:, :2] + boxes[:, 2:] / 2
