"""Landmarks of the faces in a picture: `LandmarkPredictor().predict("photo.jpg")`."""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike

import numpy as np

from senet_kp.face.facebox import BoxRule, crop, face_box, is_beside, picture_box, to_absolute
from senet_kp.face.pictures import picture_of_array, read_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import AUTO, Backend, open_backend
from senet_kp.inference.box_transform import MIN_IOU, BoxTransform, iou
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.inference.yunet import YuNetDetector
from senet_kp.tfrecords.errors import ModelError, UserError

# Validation NME of an earlier graph with dlib's boxes: 4.08 % after one pass, 3.92 % after two and
# after three.
PASSES = 2


@dataclass(frozen=True)
class Face:
    """One face of a picture, as `LandmarkPredictor.predict` returns it.

    Coordinates are pixels of the picture, x to the right and y downwards; the centre of the
    top-left pixel is (0, 0).

    Attributes
    ----------
    box : ndarray [4], float64
        The square [x, y, width, height] that the network saw in its last pass, (x, y) being its
        top-left corner. It may extend beyond the picture. It is the whole picture, which need not
        be square, for a model whose face-box rule says so.
    score : float or None
        The face detector's confidence: above 0 from dlib, 0.7..1 from YuNet. None if the caller
        gave the box, or it is the whole picture.
    landmarks : ndarray [N, 2], float64
        x and y of every landmark, in the order of the model's landmark scheme. Landmarks may lie
        outside the picture.

    Examples
    --------
    >>> face = LandmarkPredictor().predict("photo.jpg")[0]
    >>> x, y = face.landmarks[30]  # the tip of the nose in the 68-point scheme
    """

    box: np.ndarray
    score: float | None
    landmarks: np.ndarray


def landmarks_in(picture, box, run, rule: BoxRule) -> np.ndarray:
    """Landmarks [N, 2] in pixels, found by a backend `run` in a face box [x, y, w, h]."""
    return to_absolute(run(crop(picture, box, rule.size_px, rule.padding)), box)


def landmarks_near(
    picture, box, run, rule: BoxRule, passes: int = PASSES
) -> tuple[np.ndarray, np.ndarray]:
    """Refine an approximate face box: the face box [x, y, w, h] and the landmarks [N, 2] in pixels.

    Each further pass draws the face box around the landmarks of the pass before it, and finds the
    landmarks again in that box. It stops early if the new box overlaps the previous one by less
    than MIN_IOU, and there is only one pass if the rule does not draw face boxes around landmarks.
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
    """Finds the faces in pictures and predicts their landmarks.

    Parameters
    ----------
    model : str or Path, default PRETRAINED
        A frozen graph (.pb) or a file exported from one (.onnx, .tflite, the folder of a
        SavedModel), or a dlib shape predictor (.dat) trained by benchmarks.dlib_baseline. Its
        model card has to be in the same folder. The default is the shipped graph with 68
        landmarks, for non-commercial research only.
    backend : {"auto", "opencv", "tensorflow", "onnxruntime", "tflite", "dlib"}, default "auto"
        The engine that runs the model; "auto" takes the first of these that reads the file.
    passes : int, default 2
        How often the network looks at a detected face. Each pass after the first uses the face
        box of the landmarks of the pass before it. Given boxes are looked at once.
    detector : str, Path or None, default None
        YuNet's ONNX file, to find faces with YuNet. If None, dlib finds them. The detector is
        loaded by the first call that needs it.

    Attributes
    ----------
    card : dict
        The model card, see `read_card`.
    scheme : LandmarkScheme
        Name, count, mirror pairs, regions and lines of the landmarks.
    rule : BoxRule
        How face boxes are drawn, and the input size of the network in pixels.
    passes : int
        The parameter of that name.

    Raises
    ------
    ModelError
        If the model or its card is missing or damaged, or the backend is not installed or cannot
        run the model.
    UserError
        If there is no such backend, passes is below 1, or a detector is given for a model that
        takes whole pictures.

    Examples
    --------
    >>> predictor = LandmarkPredictor()
    >>> for face in predictor.predict("photo.jpg"):
    ...     print(face.box, face.score, face.landmarks.shape)
    """

    def __init__(self, model=PRETRAINED, backend: Backend = AUTO, passes=PASSES, detector=None):
        if passes < 1:
            raise UserError(f"passes is {passes}, but has to be at least 1")
        self.passes, self._detector_file = passes, detector
        self.card = read_card(model)
        self.scheme = scheme_of(self.card)
        self.rule = box_rule(self.card)
        if self.rule.source == "picture" and detector is not None:
            raise UserError(
                f"{model}: takes whole pictures as face boxes and uses no face detector; leave out"
                " the detector (--detector)"
            )
        self._model, self._engine = model, open_backend(model, backend)

    def predict(self, picture, boxes=None) -> list[Face]:
        """The faces in a picture.

        Parameters
        ----------
        picture : str, Path, or ndarray [H, W, 3] uint8 RGB
            A picture file, or its pixels. OpenCV reads files as BGR: give `picture[:, :, ::-1]`.
            Arrays may also be grey [H, W] or [H, W, 1], or have an alpha channel, which is ignored.
        boxes : sequence of [x, y, width, height] in pixels, or None
            Face boxes by the model card's rule, to predict without a detector. If None, the
            detector finds the faces.

        Returns
        -------
        list of Face
            One for each given box, in the same order; or the detected faces, best score first.
            Empty if no face is found.

        Raises
        ------
        BadPicture
            If the picture file cannot be read.
        ValueError
            If an array is empty or has another shape or type; floats and 16-bit values are
            refused, because their range is not known. If a box is not four numbers with a width
            and height above 0, or has nothing of the picture in it.
        TypeError
            If the picture is neither a path nor an array.
        ModelError
            If the model cannot be run, or the detector cannot be used with this model.
        UserError
            If dlib is needed and not installed.

        Examples
        --------
        >>> predictor.predict("photo.jpg", boxes=[[120, 80, 256, 256]])
        """
        picture = _rgb_picture(picture)
        if boxes is None:
            return [self._in_detected_box(picture, *found) for found in self.face_boxes(picture)]
        return [self._in_given_box(picture, box) for box in _boxes_in(picture, boxes)]

    def face_boxes(self, picture) -> list[tuple[np.ndarray, float | None]]:
        """The face boxes that the detector finds in a picture, before any landmark is predicted.

        For a model whose face-box rule takes whole pictures, it is the picture's own box.

        Parameters
        ----------
        picture : str, Path, or ndarray [H, W, 3] uint8 RGB
            As in `predict`.

        Returns
        -------
        list of (box, score)
            Boxes [x, y, width, height] in pixels, ndarray [4], and the detector's scores, best
            first. Empty if no face is found. The score of a whole picture is None.

        Raises
        ------
        BadPicture, ValueError, TypeError, ModelError, UserError
            As in `predict`.

        Examples
        --------
        >>> boxes = [box for box, score in predictor.face_boxes("photo.jpg") if score > 0.5]
        """
        return self._detect(_rgb_picture(picture))

    @cached_property
    def _detect(self):
        """A function from a picture to face boxes and scores; loads the detector."""
        if self.rule.source == "picture":
            return lambda picture: [(picture_box(picture), None)]
        if self._detector_file is not None:
            return self._yunet().face_boxes
        detector, transform = DlibDetector(), self._transform()
        return lambda picture: [
            (transform.apply(box), score) for box, score in detector.detect(picture)
        ]

    def _transform(self) -> BoxTransform:
        if not self.card.get("detector_box"):
            raise ModelError(
                f"{self._model}: the model card has no detector_box, the transform from dlib's"
                " boxes to face boxes, because dlib found no face in the training pictures; give"
                " face boxes (--boxes) or use YuNet (--detector)"
            )
        return BoxTransform(**self.card["detector_box"])

    def _yunet(self) -> YuNetDetector:
        if "mean_shape" not in self.card:
            raise ModelError(
                f"{self._model}: the model card has no mean_shape, which YuNet's face boxes are"
                " made from; freeze the model again, or give face boxes (--boxes)"
            )
        shape = self.card["mean_shape"]
        return YuNetDetector(self._detector_file, self.scheme, shape, self.rule)

    def _run(self, crop) -> np.ndarray:
        landmarks = self._engine(crop)
        if len(landmarks) != self.scheme.count:
            raise ModelError(
                f"{self._model}: predicts {len(landmarks)} landmarks, but its model card describes"
                f" {self.scheme.count}"
            )
        return landmarks

    def _in_detected_box(self, picture, box, score) -> Face:
        box, landmarks = landmarks_near(picture, box, self._run, self.rule, self.passes)
        return Face(box, score, landmarks)

    def _in_given_box(self, picture, box) -> Face:
        return Face(box, None, landmarks_in(picture, box, self._run, self.rule))


def _boxes_in(picture, boxes) -> list[np.ndarray]:
    """The boxes as arrays [4]; raises ValueError for one that is none or is beside the picture."""
    found = [np.asarray(box, np.float64) for box in boxes]
    for box in found:
        if box.shape != (4,) or not np.isfinite(box).all() or min(box[2:]) <= 0:
            raise ValueError(f"a face box has to be [x, y, width, height] in pixels, not {box}")
        if is_beside(box, picture):
            height, width = picture.shape[:2]
            raise ValueError(f"the face box {box} lies outside the picture of {width}x{height} px")
    return found


def _rgb_picture(picture) -> np.ndarray:
    """A picture as contiguous [H, W, 3] uint8 RGB, read from its file if it is a path."""
    return (
        read_picture(picture) if isinstance(picture, (str, PathLike)) else picture_of_array(picture)
    )
