"""Face detection with YuNet, which OpenCV runs; the user provides YuNet's ONNX file.

YuNet (Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) returns five points
with every face: the eyes, the nose and the corners of the mouth. The mean face of the training set
is aligned to them, and its face box is used, so that no transform has to be measured.
"""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.backends import reason_of
from senet_kp.inference.pyramid import MAX_ENLARGEMENT, detect_in_pyramid
from senet_kp.tfrecords.errors import ModelError

# Longest side of the copies that are searched until a face is found. YuNet finds faces of 10 to
# 300 px: a face that fills a copy of 640 px is found in the copy of 320.
SEARCH_SIDES_PX = (640, 320, 1280)
MIN_SCORE = 0.7
TRIAL_S = 60  # for what takes half a second
_TRIAL = """
import cv2, numpy, sys
detector = cv2.FaceDetectorYN.create(sys.argv[1], "", (32, 32))
for size_px in (32, 320):
    detector.setInputSize((size_px, size_px))
    detector.detect(numpy.zeros((size_px, size_px, 3), numpy.uint8))
"""
# Columns of a detection: x and y of the eyes and of the corners of the mouth, and the score.
ANCHOR_COLUMNS = [[4, 5], [6, 7], [10, 11], [12, 13]]
SCORE_COLUMN = 14


class YuNetDetector:
    """YuNet with the face boxes of one model.

    model: YuNet's ONNX file. scheme, mean_shape [N, 2] (relative to the face box) and rule: those
    of the landmark network's model card. Raises ModelError if the file does not exist or OpenCV
    cannot run it as YuNet.
    """

    def __init__(self, model, scheme: LandmarkScheme, mean_shape, rule: BoxRule):
        if not Path(model).is_file():
            raise ModelError(
                f"{model}: no such detector file; it should be YuNet's .onnx"
                " (face_detection_yunet of OpenCV's model zoo)"
            )
        _require_survivor(model)
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (32, 32), MIN_SCORE)
        except cv2.error as error:
            raise _not_yunet(model, error) from None
        self._model, self._rule = model, rule
        self._mean = np.asarray(mean_shape, np.float64)
        self._anchors = anchors_in(scheme, self._mean)

    def face_boxes(self, picture) -> list[tuple[np.ndarray, float]]:
        """The faces in a picture [H, W, 3] uint8 RGB, best first.

        Each is a face box [x, y, side, side] in pixels and a score of 0.7..1.
        """
        longest = max(picture.shape[:2])
        reductions = [max(longest / side, 1 / MAX_ENLARGEMENT) for side in SEARCH_SIDES_PX]
        return detect_in_pyramid(self._detect_in_copy, picture, reductions)

    def _detect_in_copy(self, copy, reduction: float):
        copy = cv2.cvtColor(copy, cv2.COLOR_RGB2BGR)
        self._net.setInputSize(copy.shape[1::-1])
        try:
            _, rows = self._net.detect(copy)
        except cv2.error as error:  # for some files OpenCV fails here, not when it loads them
            raise _not_yunet(self._model, error) from None
        rows = [] if rows is None else sorted(rows, key=lambda row: -row[SCORE_COLUMN])
        return [(self._face_box(row, reduction), float(row[SCORE_COLUMN])) for row in rows]

    def _face_box(self, row, reduction: float) -> np.ndarray:
        """The face box of the mean face, aligned to the eyes and mouth of a detection."""
        # YuNet's coordinates are 0 at the outer edge of the copy's first pixel, ours at its centre.
        detected = (np.float64(row[ANCHOR_COLUMNS]) * reduction - 0.5)[: len(self._anchors)]
        return mean_face_box(self._mean, self._anchors, detected, self._rule)


def anchors_in(scheme: LandmarkScheme, shape) -> np.ndarray:
    """The anchors of a shape [N, 2]: the eyes' centres and, if the scheme has a mouth, its corners.

    [4, 2], or [2, 2] without a mouth; of each pair the one on the left of the picture first.
    """
    anchors = [shape[list(eye)].mean(axis=0) for eye in scheme.eyes]
    if mouth := scheme.regions.get("mouth"):
        points = shape[list(mouth)]
        anchors += [points[points[:, 0].argmin()], points[points[:, 0].argmax()]]
    return np.array(anchors)


def mean_face_box(mean_shape, anchors, detected, rule: BoxRule) -> np.ndarray:
    """The face box [x, y, side, side], in pixels, of a mean face that is aligned to a detection.

    A rotation, scaling and translation takes the mean face's anchors [k, 2] to the detected ones
    [k, 2] in the least-squares sense, and is applied to the mean_shape [N, 2].
    """
    # As complex numbers, rotation and scaling are one multiplication.
    source, target = (np.asarray(points) @ (1, 1j) for points in (anchors, detected))
    centred = source - source.mean()
    turn = np.vdot(centred, target) / np.vdot(centred, centred).real
    move = target.mean() - turn * source.mean()
    if rule.source == "landmarks":
        points = turn * (mean_shape @ (1, 1j)) + move
        return face_box(np.column_stack([points.real, points.imag]), rule)
    centre, side = turn * (0.5 + 0.5j) + move, abs(turn)
    return np.array([centre.real - side / 2, centre.imag - side / 2, side, side])


def _require_survivor(model):
    """Raise ModelError if OpenCV crashes on a model, which it does on some damaged ONNX files.

    The file has no card with a hash, so a process of its own tries it, which takes half a second.
    """
    if not sys.executable:  # Python is embedded in another program
        return
    command = [sys.executable, "-c", _TRIAL, str(model)]
    try:
        code = subprocess.run(command, capture_output=True, timeout=TRIAL_S).returncode
    except subprocess.TimeoutExpired:
        code = -1
    if code < 0:  # by a signal; errors of Python are reported by the caller
        raise ModelError(
            f"{model}: OpenCV {cv2.__version__} crashes or hangs on this file; it is damaged, so"
            " fetch it again"
        )


def _not_yunet(model, error: cv2.error) -> ModelError:
    return ModelError(
        f"{model}: OpenCV {cv2.__version__} cannot run this file as the YuNet face detector"
        f" ({reason_of(error)})"
    )
