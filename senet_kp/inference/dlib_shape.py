"""dlib's shape predictor on the crops of a landmark network: loading and coordinates.

Kazemi and Sullivan, "One millisecond face alignment with an ensemble of regression trees", 2014.

In dlib the centre of the first pixel is 0, and a rectangle is given by its first and last pixel.
dlib takes and returns whole pixels, so a crop is enlarged before dlib sees it. The factor is odd,
so that the centres of the crop's first and last pixel are pixel centres of the enlarged crop.
"""

import cv2
import numpy as np

from senet_kp.tfrecords.errors import ModelError, UserError

# Rounding to whole pixels of the enlarged crop moves a landmark by 0.13 pixels of the crop on
# average; without enlarging, by 0.38.
ENLARGEMENT = 3


def load_predictor(path):
    """The dlib.shape_predictor in a file.

    Raises ModelError if dlib cannot read the file, UserError if dlib is not installed.
    """
    try:
        return import_dlib().shape_predictor(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: dlib cannot read it as a shape predictor ({reason})") from None


def enlarged(crop) -> np.ndarray:
    """What dlib sees of a crop [S, S, 3] uint8 RGB: [3S, 3S] uint8, grey."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, None, fx=ENLARGEMENT, fy=ENLARGEMENT, interpolation=cv2.INTER_LINEAR)


def crop_rectangle(size_px: int):
    """The dlib.rectangle, in an enlarged crop, of a crop that is size_px wide.

    It runs from the centre of the crop's first pixel to the centre of its last.
    """
    first = ENLARGEMENT // 2
    last = first + (size_px - 1) * ENLARGEMENT
    return import_dlib().rectangle(first, first, last, last)


def to_parts(landmarks, size_px: int) -> list:
    """Box-relative landmarks [N, 2] as dlib.points in the enlarged crop of a crop size_px wide."""
    pixels = np.round(np.asarray(landmarks, np.float64) * size_px * ENLARGEMENT - 0.5).astype(int)
    return [import_dlib().point(x, y) for x, y in pixels.tolist()]


def from_parts(parts, size_px: int) -> np.ndarray:
    """Box-relative landmarks [N, 2] float64 of dlib.points: the inverse of `to_parts`."""
    pixels = np.array([(part.x, part.y) for part in parts], np.float64)
    return (pixels + 0.5) / (size_px * ENLARGEMENT)


def import_dlib():
    """The module dlib; raises UserError if it is not installed."""
    try:
        import dlib  # imported here: everything but dlib's own models works without it
    except ImportError as error:
        raise UserError(f"dlib cannot be imported ({error}); install dlib-bin") from None
    return dlib
