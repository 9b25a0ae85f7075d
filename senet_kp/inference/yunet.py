"""Face detection with YuNet, which OpenCV runs, from its file in the cache or one of the user's.

YuNet (Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) returns five points
with every face: the eyes, the nose and the corners of the mouth. The mean face of the training set
is aligned to them, and its face box is used. How these boxes differ from the labels' face boxes is
measured as for dlib's boxes (`yunet_box` of the model card).
"""

import contextlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.facebox import BoxRule, widened
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.face.turned import similarity, turned_crop, turned_face_box, upright_roll
from senet_kp.inference.backends import reason_of
from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.inference.cache import cache_folder
from senet_kp.inference.detections import Detection, merged, turned_back
from senet_kp.inference.pyramid import (
    MAX_ENLARGEMENT,
    check_min_face,
    detect_in_copies,
    last_reduction,
)
from senet_kp.tfrecords.errors import ModelError
from senet_kp.tfrecords.files import sha256_of_file

# The default file of OpenCV's model zoo since May 2026: weights of March 2023, any input size.
FILE = "face_detection_yunet_2026may.onnx"
FILE_BYTES = 229_738
FILE_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"

# YuNet finds faces of 10 to 300 px, the smallest of them less reliably.
LEAST_PX, COPY_STEP = 16, 8  # 8 times as large a face is found in the next smaller copy
# The picture is searched at 1/2.5 of its size; docs/demo.md gives the time of other sizes.
MIN_FACE_PX = 40
# The first copy is no smaller than this, unless the picture is, and the last one is no larger: a
# face that fills a copy of 640 px is found in the copy of 320.
FIRST_SIDE_PX, LAST_COPY_PX = 640, 320
MIN_SCORE = 0.7
TRIAL_S = 60  # for what takes half a second
_TRIAL = """
import cv2, numpy, sys
detector = cv2.FaceDetectorYN.create(sys.argv[1], "", (32, 32))
for size_px in (32, 320):
    detector.setInputSize((size_px, size_px))
    detector.detect(numpy.zeros((size_px, size_px, 3), numpy.uint8))
"""
# YuNet also finds faces that lie on their side or upside down, but places the points of an upright
# face in them. Measured on 60 turned pictures of AFLW2000-3D: 95 of 100 such scores are below 0.9,
# and 25 of 100 scores of upright faces. Those are compared in turned crops of this size.
SURE_SCORE, TURNED_PX, TURNS_DEG = 0.9, 128, range(-135, 181, 45)
BETTER = 0.02  # for a smaller difference of the scores a face stays as it was found
# Columns of a detection: x and y of the eyes and of the corners of the mouth, and the score.
ANCHOR_COLUMNS = [[4, 5], [6, 7], [10, 11], [12, 13]]
SCORE_COLUMN = 14


def cached_file() -> Path | None:
    """YuNet's file in the user's cache, or None if it is not there.

    Raises ModelError if the file there is not the one that `senet-kp fetch yunet` puts there.
    """
    path = cache_folder() / FILE
    if not path.is_file():
        return None
    if not is_known_file(path):
        raise ModelError(
            f"{path}: is not YuNet's file of {FILE_BYTES:,} bytes; remove it and run senet-kp fetch"
            " yunet again, or use --detector dlib"
        )
    return path


def is_known_file(path: Path) -> bool:
    """Whether a file has the size and the SHA-256 of FILE."""
    return path.stat().st_size == FILE_BYTES and sha256_of_file(path) == FILE_SHA256


class YuNetDetector:
    """YuNet with the face boxes of one model.

    model: YuNet's ONNX file. scheme, mean_shape [N, 2] (relative to the face box) and rule: those
    of the landmark network's model card. min_face_px: faces of at least this size are searched, 40
    if None. Raises ModelError if the file does not exist or OpenCV cannot run it as YuNet, and
    UserError if the size is below 20.
    """

    def __init__(
        self,
        model,
        scheme: LandmarkScheme,
        mean_shape,
        rule: BoxRule,
        min_face_px: float | None = None,
    ):
        check_min_face(min_face_px)
        if not Path(model).is_file():
            raise ModelError(
                f"{model}: no such detector file; it should be YuNet's .onnx"
                " (face_detection_yunet of OpenCV's model zoo)"
            )
        if not is_known_file(Path(model)):
            _require_survivor(model)
        try:
            with _quiet_opencv():
                self._net = cv2.FaceDetectorYN.create(str(model), "", (32, 32), MIN_SCORE)
        except cv2.error as error:
            raise _not_yunet(model, error) from None
        self._model, self._rule = model, rule
        self.min_face_px = min_face_px or MIN_FACE_PX
        self._mean = np.asarray(mean_shape, np.float64)
        self._anchors = anchors_in(scheme, self._mean)

    def detect(self, picture) -> list[Detection]:
        """The faces in a picture [H, W, 3] uint8 RGB, best first.

        Each has the face box of the mean face that is aligned to it, turned if the face is, and a
        score of 0.7..1.
        """
        reductions = _reductions(max(picture.shape[:2]), self.min_face_px)
        last = last_reduction(picture)
        found = detect_in_copies(self._detect_in_copy, picture, reductions)
        if not found and last < reductions[0]:
            found = detect_in_copies(self._detect_in_copy, picture, [last])
        sure = [one.score >= SURE_SCORE for one in found]
        turned = [
            one if well else self._best_turn(picture, one)
            for one, well in zip(found, sure, strict=True)
        ]
        return found if all(sure) else merged(turned)

    def _best_turn(self, picture, found: Detection) -> Detection:
        """The face found again in the turn that suits it best, if its score is better there."""
        region = widened(found.box, 2)
        again = [
            one
            for roll_deg in TURNS_DEG
            for one in self._in_turned(picture, region, roll_deg)
            if iou(one.box, found.box) >= MIN_IOU
        ]
        best = max(again, key=lambda one: one.score, default=found)
        return best if best.score > found.score + BETTER else found

    def _in_turned(self, picture, region, roll_deg: float) -> list[Detection]:
        """The faces in a turned square of the picture, in the picture's pixels."""
        part = turned_crop(picture, region, BoxRule(size_px=TURNED_PX), roll_deg)
        return [
            turned_back(one, region, TURNED_PX, roll_deg) for one in self._detect_in_copy(part, 1)
        ]

    def _detect_in_copy(self, copy, reduction: float) -> list[Detection]:
        copy = cv2.cvtColor(copy, cv2.COLOR_RGB2BGR)
        try:
            with _quiet_opencv():
                self._net.setInputSize(copy.shape[1::-1])
                _, rows = self._net.detect(copy)
        except cv2.error as error:  # for some files OpenCV fails here, not when it loads them
            raise _not_yunet(self._model, error) from None
        return [self._detection(row, reduction) for row in (() if rows is None else rows)]

    def _detection(self, row, reduction: float) -> Detection:
        """The mean face's box, aligned to the eyes and mouth of a detection."""
        # YuNet's coordinates are 0 at the outer edge of the copy's first pixel, ours at its centre.
        detected = (np.float64(row[ANCHOR_COLUMNS]) * reduction - 0.5)[: len(self._anchors)]
        box, roll_deg = mean_face_box(self._mean, self._anchors, detected, self._rule)
        return Detection(box, float(row[SCORE_COLUMN]), roll_deg)


def _reductions(longest_px: int, min_face_px: float) -> list[float]:
    """The reductions of the copies in which every face of at least min_face_px is found."""
    first = min(min_face_px / LEAST_PX, max(longest_px / FIRST_SIDE_PX, 1 / MAX_ENLARGEMENT))
    last, reductions = longest_px / LAST_COPY_PX, [first]
    while reductions[-1] < last:
        reductions.append(min(reductions[-1] * COPY_STEP, last))
    return reductions


@contextlib.contextmanager
def _quiet_opencv():
    """Without OpenCV's warnings about the settings that FaceDetectorYN itself makes."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def anchors_in(scheme: LandmarkScheme, shape) -> np.ndarray:
    """The anchors of a shape [N, 2]: the eyes' centres and, if the scheme has a mouth, its corners.

    [4, 2], or [2, 2] without a mouth; of each pair the one on the left of the picture first.
    """
    anchors = [shape[list(eye)].mean(axis=0) for eye in scheme.eyes]
    if mouth := scheme.regions.get("mouth"):
        points = shape[list(mouth)]
        anchors += [points[points[:, 0].argmin()], points[points[:, 0].argmax()]]
    return np.array(anchors)


def mean_face_box(mean_shape, anchors, detected, rule: BoxRule) -> tuple[np.ndarray, float]:
    """The turned box [x, y, side, side] in pixels, and roll, of a mean face aligned to a detection.

    A rotation, scaling and translation takes the mean face's anchors [k, 2] to the detected ones
    [k, 2] in the least-squares sense, and is applied to the mean_shape [N, 2].
    """
    turn, move = similarity(anchors, detected)
    roll_deg = upright_roll(np.degrees(np.angle(turn)))
    if rule.source == "landmarks":
        points = turn * (mean_shape @ (1, 1j)) + move
        return turned_face_box(
            np.column_stack([points.real, points.imag]), rule, roll_deg
        ), roll_deg
    centre, side = turn * (0.5 + 0.5j) + move, abs(turn)
    return np.array([centre.real - side / 2, centre.imag - side / 2, side, side]), roll_deg


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
