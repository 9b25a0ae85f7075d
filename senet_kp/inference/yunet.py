"""Finding faces with YuNet, whose ONNX file the user brings and OpenCV runs.

YuNet (Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) gives five points
with every face: eyes, nose, corners of the mouth. Where those are in the mean face is known, so
that the way from them to the face box needs no measuring.
"""

from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.backends import reason_of
from senet_kp.inference.dlib_detector import MAX_ENLARGEMENT, reduced
from senet_kp.tfrecords.errors import ModelError

# Longest side of the copies that are searched until a face is found. YuNet knows faces of 10 to
# 300 px: one that fills a copy of 640 px is found in that of 320.
SEARCH_SIDES_PX = (640, 320, 1280)
MIN_SCORE = 0.7
ANCHORS = [[4, 5], [6, 7], [10, 11], [12, 13]]  # columns of x and y: eyes, corners of the mouth
SCORE = 14  # and the last column


class YuNetDetector:
    """YuNet from the user's file, for a scheme with eyes and a mean face [N, 2] in its face box.

    Raises ModelError for a file that OpenCV does not take for one.
    """

    def __init__(self, model, scheme: LandmarkScheme, mean_shape, rule: BoxRule):
        if not Path(model).is_file():
            raise ModelError(f"{model}: no such detector file; YuNet's is a .onnx")
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (32, 32), MIN_SCORE)
        except cv2.error as error:
            raise _no_yunet(model, error) from None
        self._model, self._rule = model, rule
        self._mean = np.asarray(mean_shape, np.float64)
        self._anchors = anchors_in(scheme, self._mean)

    def face_boxes(self, picture) -> list[tuple[np.ndarray, float]]:
        """Face boxes [x, y, side, side] in pixels and scores, in an RGB picture, best first."""
        longest = max(picture.shape[:2])
        reductions = [max(longest / side, 1 / MAX_ENLARGEMENT) for side in SEARCH_SIDES_PX]
        for reduction in dict.fromkeys(reductions):  # of a small picture they are all the same
            if found := self._search(picture, reduction):
                return found
        return []

    def _search(self, picture, reduction: float):
        copy = cv2.cvtColor(reduced(picture, reduction), cv2.COLOR_RGB2BGR)
        self._net.setInputSize(copy.shape[1::-1])
        try:
            _, rows = self._net.detect(copy)
        except cv2.error as error:  # a network that is none of these shows here only
            raise _no_yunet(self._model, error) from None
        rows = [] if rows is None else sorted(rows, key=lambda row: -row[SCORE])
        return [(self._face_box(row, reduction), float(row[SCORE])) for row in rows]

    def _face_box(self, row, reduction: float) -> np.ndarray:
        """The mean face's box when its eyes and mouth lie on those that were found."""
        # Points count pixels from the corner of the copy, as boxes do.
        found = (np.float64(row[ANCHORS]) * reduction - 0.5)[: len(self._anchors)]
        return mean_face_box(self._mean, self._anchors, found, self._rule)


def anchors_in(scheme: LandmarkScheme, shape) -> np.ndarray:
    """Where a shape [N, 2] has its eyes and, if the scheme knows a mouth, the mouth's corners.

    [2 or 4, 2], the picture's left ones first.
    """
    anchors = [shape[list(eye)].mean(axis=0) for eye in scheme.eyes]
    if mouth := scheme.regions.get("mouth"):
        points = shape[list(mouth)]
        anchors += [points[points[:, 0].argmin()], points[points[:, 0].argmax()]]
    return np.array(anchors)


def mean_face_box(mean_shape, anchors, found, rule: BoxRule) -> np.ndarray:
    """The face box [x, y, side, side] of the mean shape, turned, scaled and moved so that its
    anchors [k, 2] lie on those found [k, 2], pixels, in least squares."""
    source, target = (np.asarray(points) @ (1, 1j) for points in (anchors, found))
    centred = source - source.mean()
    turn = np.vdot(centred, target) / np.vdot(centred, centred).real
    move = target.mean() - turn * source.mean()
    if rule.source == "landmarks":
        points = turn * (mean_shape @ (1, 1j)) + move
        return face_box(np.column_stack([points.real, points.imag]), rule)
    centre, side = turn * (0.5 + 0.5j) + move, abs(turn)
    return np.array([centre.real - side / 2, centre.imag - side / 2, side, side])


def _no_yunet(model, error: cv2.error) -> ModelError:
    version, reason = cv2.__version__, reason_of(error)
    return ModelError(f"{model}: OpenCV {version} does not take it for YuNet ({reason})")
