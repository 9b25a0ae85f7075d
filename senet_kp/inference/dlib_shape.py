"""dlib's shape predictor on the network's crops, to compare with.

Kazemi and Sullivan, "One millisecond face alignment with an ensemble of regression trees", 2014.
dlib's coordinates are pixels with the first one's centre at 0, and its rectangles name their first
and last pixel. It takes and gives whole pixels only, so crops are enlarged first; by an odd factor,
so that the centres of the crop's first and last pixel fall on centres of the enlarged crop's.
"""

import cv2
import numpy as np

from senet_kp.tfrecords.errors import ModelError, UserError

ENLARGED = 3  # whole pixels of it are off by 0.13 crop pixels on average, of the crop's own by 0.38


class DlibShapeBackend:
    """A trained predictor: a crop [S, S, 3] uint8 RGB to box-relative landmarks [N, 2].

    Raises ModelError for a file that dlib cannot read.
    """

    def __init__(self, path):
        try:
            self._predictor = import_dlib().shape_predictor(str(path))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{path}: no dlib shape predictor ({reason})") from None

    def __call__(self, crop) -> np.ndarray:
        size_px = len(crop)
        found = self._predictor(enlarged(crop), crop_rectangle(size_px))
        return from_parts(found.parts(), size_px)


def enlarged(crop) -> np.ndarray:
    """A crop [S, S, 3] uint8 RGB as dlib sees it here: grey, larger."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_LINEAR)


def crop_rectangle(size_px: int):
    """The dlib.rectangle from the centre of the crop's first pixel to that of its last."""
    first = ENLARGED // 2
    last = first + (size_px - 1) * ENLARGED
    return import_dlib().rectangle(first, first, last, last)


def to_parts(landmarks, size_px: int) -> list:
    """Box-relative landmarks [N, 2] as dlib.points of the enlarged crop."""
    pixels = np.round(np.asarray(landmarks, np.float64) * size_px * ENLARGED - 0.5).astype(int)
    return [import_dlib().point(x, y) for x, y in pixels.tolist()]


def from_parts(parts, size_px: int) -> np.ndarray:
    """dlib.points of the enlarged crop as box-relative landmarks [N, 2] float64."""
    pixels = np.array([(part.x, part.y) for part in parts], np.float64)
    return (pixels + 0.5) / (size_px * ENLARGED)


def import_dlib():
    """The module dlib; raises UserError where it is not installed."""
    try:
        import dlib  # here: whoever scores no dlib predictor does without
    except ImportError as error:
        raise UserError(f"dlib cannot be imported ({error}); install dlib-bin") from None
    return dlib
