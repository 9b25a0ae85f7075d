"""The photo of a face at the scale of 300W-LP, with its surroundings continued beyond its edges."""

from dataclasses import dataclass

import cv2
import numpy as np

from senet_kp.data_prep.sample_faces.camera import SIZE_PX
from senet_kp.face.facebox import BoxRule, crop, face_box, to_relative

FACE_PX = 200.0  # of the longer edge of the landmarks' bounding box, as in 300W-LP
MARGIN_PX = 150  # around the view: what comes into its frame when the face turns
CANVAS_PX = SIZE_PX + 2 * MARGIN_PX
_BLACK = 12  # largest value of a pixel in a black border, after JPEG
_BLUR_PX, _FEATHER_PX = 24.0, 6.0


@dataclass(frozen=True)
class Photo:
    """A face with its landmarks.

    canvas:    [CANVAS_PX, CANVAS_PX, 3] uint8; the view is its middle
    landmarks: [68, 2] pixels of the view, the centre of whose first pixel is (0, 0)
    """

    canvas: np.ndarray
    landmarks: np.ndarray

    @property
    def view(self):
        """The picture [SIZE_PX, SIZE_PX, 3] uint8, with the face in its middle."""
        inside = slice(MARGIN_PX, MARGIN_PX + SIZE_PX)
        return np.ascontiguousarray(self.canvas[inside, inside])


def framed_photo(picture, landmarks) -> Photo:
    """Return the part of a picture [H, W, 3] uint8 around its landmarks [68, 2] as a Photo."""
    box = face_box(landmarks, BoxRule(scale=CANVAS_PX / FACE_PX))
    box[:2] -= box[2] / CANVAS_PX / 2  # the face's centre falls on a pixel's, as in 300W-LP
    points = to_relative(landmarks, box) * CANVAS_PX - 0.5 - MARGIN_PX
    inner, corner = _without_black_border(picture)
    box[:2] -= corner
    inside = crop(np.full(inner.shape[:2], 255, np.uint8), box, CANVAS_PX, "black")
    return Photo(_continued(crop(inner, box, CANVAS_PX), inside), points)


def _without_black_border(picture):
    """Return a picture without the black rows and columns at its edges, and its corner (x, y)."""
    bright = picture.max(axis=2) > _BLACK
    rows, columns = (np.flatnonzero(bright.mean(axis=axis) > 0.02) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return picture, np.zeros(2)
    (top, bottom), (left, right) = rows[[0, -1]], columns[[0, -1]]
    edge = 2  # JPEG blurs the edge of the border
    top, left = (first + edge * (first > 0) for first in (top, left))
    bottom -= edge * (bottom < picture.shape[0] - 1)
    right -= edge * (right < picture.shape[1] - 1)
    inner = picture[top : bottom + 1, left : right + 1]
    return np.ascontiguousarray(inner), np.array((left, top), float)


def _continued(canvas, inside):
    """Return the canvas [C, C, 3] with a blurred continuation where `inside` [C, C] is 0."""
    if inside.min() == 255:
        return canvas
    small = cv2.resize(canvas, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cv2.GaussianBlur(small, (0, 0), _BLUR_PX / 4), canvas.shape[1::-1])
    share = cv2.GaussianBlur(cv2.erode(inside, np.ones((9, 9))), (0, 0), _FEATHER_PX)
    share = np.minimum(share, inside)[..., None] / np.float32(255)
    return (blurred + (canvas - blurred.astype(np.float32)) * share).round().astype(np.uint8)
