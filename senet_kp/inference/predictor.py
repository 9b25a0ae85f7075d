"""Landmarks of the faces in a picture: `LandmarkPredictor().predict("photo.jpg")`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from senet_kp.face.facebox import is_beside
from senet_kp.face.pictures import rgb_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.agreement import certainty_of, disagreement, second_box
from senet_kp.inference.backends import AUTO, Backend, open_backend
from senet_kp.inference.face_detector import FaceDetector
from senet_kp.inference.looks import PASSES, landmarks_near, look
from senet_kp.inference.many import predictions
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.tfrecords.errors import ModelError, UserError
from senet_kp.tfrecords.workers import engine_threads


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
    roll_deg : float
        The angle by which the square was turned clockwise about its own centre, so that the face
        in it was upright. It is 0 for a face that is turned by less than 20 degrees.
    id : int or None
        In a video, the number of the face, which it keeps from frame to frame; None in a picture.

    Examples
    --------
    >>> face = LandmarkPredictor().predict("photo.jpg")[0]
    >>> x, y = face.landmarks[30]  # the tip of the nose in the 68-point scheme
    """

    box: np.ndarray
    score: float | None
    landmarks: np.ndarray
    roll_deg: float = 0.0
    id: int | None = None


class LandmarkPredictor:
    """Finds the faces in pictures and predicts their landmarks.

    It can be given to other processes, each of which opens the model once.

    Parameters
    ----------
    model : str or Path, default PRETRAINED
        A frozen graph (.pb) or a file exported from one (.onnx, .tflite, the folder of a
        SavedModel), or a dlib shape predictor (.dat) trained by benchmarks.dlib_baseline. Its
        model card has to be in the same folder. The default is the shipped graph with 68
        landmarks, for non-commercial research only; PRETRAINED_3D is the one whose landmarks are
        those of a 3-D head model, also on the far side of a turned head.
    backend : {"auto", "opencv", "tensorflow", "onnxruntime", "tflite", "dlib"}, default "auto"
        The engine that runs the model; "auto" takes the first of these that reads the file.
    passes : int, default 2
        How often the network looks at a detected face. Each pass after the first uses the face
        box of the landmarks of the pass before it. Given boxes are looked at once.
    detector : "auto", "dlib", or the path of a file, default "auto"
        What finds the faces: dlib, or YuNet from its ONNX file. "auto" is YuNet if `senet-kp fetch
        yunet` has put its file into the user's cache, and otherwise dlib. The detector is loaded by
        the first call that needs it.
    min_face_px : float or None, default None
        Faces of at least this size are found. If None, it is 80 with dlib and 40 with YuNet. A
        search for smaller faces takes longer.
    any_roll : bool, default False
        Search every picture in all four quarter turns. If False, only a picture without an upright
        face is searched in the other three.

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
    detector : FaceDetector
        What finds the faces; `str(predictor.detector)` says it in words.

    Raises
    ------
    ModelError
        If the model or its card is missing or damaged, or the backend is not installed or cannot
        run the model.
    UserError
        If there is no such backend, passes is below 1, min_face_px below 20, or a detector is
        given for a model that takes whole pictures.

    Examples
    --------
    >>> predictor = LandmarkPredictor()
    >>> for face in predictor.predict("photo.jpg"):
    ...     print(face.box, face.score, face.landmarks.shape)
    """

    def __init__(
        self,
        model=PRETRAINED,
        backend: Backend = AUTO,
        passes=PASSES,
        detector=AUTO,
        min_face_px=None,
        any_roll=False,
    ):
        if passes < 1:
            raise UserError(f"passes is {passes}, but has to be at least 1")
        self.passes = passes
        self.card = read_card(model)
        self.scheme = scheme_of(self.card)
        self.rule = box_rule(self.card)
        self.detector = FaceDetector(self.card, detector, min_face_px, any_roll, model)
        self._model, self._engine = model, open_backend(model, backend, engine_threads())
        self._settings = (backend, detector, min_face_px, any_roll)

    def __reduce__(self):
        """What is pickled is how to open the model."""
        return _opened_once, (self._model, self.card["sha256"], self.passes, *self._settings)

    def predict(self, picture, boxes=None, rolls_deg=None) -> list[Face]:
        """The faces in a picture.

        Parameters
        ----------
        picture : str, Path, or ndarray [H, W, 3] uint8 RGB
            A picture file, or its pixels. OpenCV reads files as BGR: give `picture[:, :, ::-1]`.
            Arrays may also be grey [H, W] or [H, W, 1], or have an alpha channel, which is ignored.
        boxes : sequence of [x, y, width, height] in pixels, or None
            Face boxes by the model card's rule, to predict without a detector. If None, the
            detector finds the faces.
        rolls_deg : sequence of floats, or None
            With boxes: by how much each is turned clockwise, as `Face.roll_deg` says. If None, the
            faces in them are taken to be upright.

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
            If the model cannot be run or its landmarks are not finite, or the detector cannot be
            used with this model.
        UserError
            If dlib is needed and not installed.

        Examples
        --------
        >>> predictor.predict("photo.jpg", boxes=[[120, 80, 256, 256]])
        """
        picture = rgb_picture(picture)
        if boxes is None:
            return [
                self._in_detected_box(picture, found) for found in self.detector.detect(picture)
            ]
        boxes = _boxes_in(picture, boxes)
        rolls_deg = [0.0] * len(boxes) if rolls_deg is None else rolls_deg
        return [
            self._in_given_box(picture, *turned_box)
            for turned_box in zip(boxes, rolls_deg, strict=True)
        ]

    def predict_many(self, pictures, boxes=None, processes=None) -> Iterator[tuple]:
        """The faces in many pictures, on all cores.

        Parameters
        ----------
        pictures : iterable of str, Path, or ndarray [H, W, 3] uint8 RGB
            Each as in `predict`. They are taken from the iterable when they are needed, a few for
            each process in advance, so that there may be any number of them.
        boxes : iterable of boxes as in `predict`, or None
            Those of each picture, in the same order. None as a whole, or for a picture: the
            detector finds the faces.
        processes : int or None, default None
            How many worker processes share the pictures. If None, all cores do, or this process
            alone for at most 20 pictures. The results do not depend on it.

        Returns
        -------
        iterator over (picture, faces)
            In the order of the pictures: the picture as it was given, and a list of Face. Instead
            of the list there is the BadPicture of a file that cannot be read, or the ValueError of
            an array or a box that cannot be used, and the others follow.

        Raises
        ------
        UserError
            If processes is below 1.
        ValueError
            If there are more or fewer boxes than pictures.
        ModelError, TypeError, UserError
            As in `predict`; they end the iteration. TypeError also for one path instead of several.

        Examples
        --------
        >>> for path, faces in predictor.predict_many(sorted(Path("photos").rglob("*.jpg"))):
        ...     print(path, faces if isinstance(faces, Exception) else len(faces))
        """
        return predictions(self, pictures, boxes, processes)

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
        return [(found.box, found.score) for found in self.detector.detect(rgb_picture(picture))]

    def certainty(self, picture, face: Face) -> float:
        """How certain it is that landmarks are those of a face, and right; costs one more look.

        The network looks again, in a box that is shifted and enlarged: on a face it finds the same
        landmarks, and elsewhere others. It also tells profiles and hidden faces on which it is
        lost.

        Parameters
        ----------
        picture : str, Path, or ndarray [H, W, 3] uint8 RGB
            The picture in which the face was found.
        face : Face
            One of the faces that `predict` has returned for it.

        Returns
        -------
        float
            The estimated probability, 0..1, that the mean error is below 8 % of the face's size.

        Raises
        ------
        BadPicture, ValueError, TypeError, ModelError
            As in `predict`.

        Examples
        --------
        >>> faces = [f for f in predictor.predict(picture) if predictor.certainty(picture, f) > 0.5]
        """
        picture, box = rgb_picture(picture), second_box(face.box)
        if is_beside(box, picture):
            return 0.0
        again = look(picture, box, self._run, self.rule, face.roll_deg).landmarks
        return certainty_of(disagreement(face.landmarks, again, face.box))

    def _in_detected_box(self, picture, found) -> Face:
        mean_shape = self.card.get("mean_shape")
        box, score, roll_deg = found
        seen = landmarks_near(picture, box, self._run, self.rule, self.passes, roll_deg, mean_shape)
        return Face(seen.box, score, seen.landmarks, seen.roll_deg)

    def _run(self, crop) -> np.ndarray:
        landmarks = self._engine(crop)
        if len(landmarks) != self.scheme.count:
            raise ModelError(
                f"{self._model}: predicts {len(landmarks)} landmarks, but its model card describes"
                f" {self.scheme.count}"
            )
        return landmarks

    def _in_given_box(self, picture, box, roll_deg) -> Face:
        seen = look(picture, box, self._run, self.rule, roll_deg)
        return Face(seen.box, None, seen.landmarks, seen.roll_deg)


@cache
def _opened_once(model, sha256: str, passes, *settings) -> LandmarkPredictor:
    """The predictor that another process pickled, opened at the first time that it is asked for.

    Raises ModelError if the model file is no longer the one of that process.
    """
    backend, *others = settings
    predictor = LandmarkPredictor(model, backend, passes, *others)
    if predictor.card["sha256"] != sha256:
        raise ModelError(f"{model}: has been replaced during the run; run the same command again")
    return predictor


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
