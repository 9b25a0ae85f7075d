"""The face detector of a model: dlib or YuNet, with the model's face boxes.

"auto" is YuNet where its file is in the user's cache, and dlib otherwise. Detected boxes are
converted to face boxes by the transform that was measured for the detector in use.
"""

import numpy as np

from senet_kp.face.facebox import picture_box
from senet_kp.face.scheme import scheme_of
from senet_kp.face.turned import turned
from senet_kp.inference import yunet
from senet_kp.inference.box_transform import BoxTransform
from senet_kp.inference.detections import Detection, in_quarter_turns, merged
from senet_kp.inference.dlib_detector import MIN_FACE_PX, DlibDetector
from senet_kp.inference.model_card import box_rule
from senet_kp.inference.pyramid import check_min_face
from senet_kp.tfrecords.errors import ModelError, UserError

AUTO, DLIB = "auto", "dlib"
# For a card without yunet_box: the mean face, aligned to YuNet's points, is taken as it is.
UNMEASURED = BoxTransform(0.0, 0.0, 1.0, (0.0, 0.0, 0.0), 0, 0)


def open_detector(choice, facts: dict, min_face_px: float | None = None, model=""):
    """dlib's detector if choice is "dlib", or YuNet from the file that choice names.

    facts: the "scheme", "box" and "mean_shape" of a card or manifest, which YuNet needs. model: the
    file that messages name. Raises UserError and ModelError as the two detectors do.
    """
    if choice == DLIB:
        return DlibDetector(min_face_px)
    if "mean_shape" not in facts:
        raise ModelError(
            f"{model}: the model card has no mean_shape, which YuNet's face boxes are made from;"
            " freeze the model again, or give face boxes (--boxes)"
        )
    scheme, shape = scheme_of(facts), facts["mean_shape"]
    return yunet.YuNetDetector(choice, scheme, shape, box_rule(facts), min_face_px)


class FaceDetector:
    """Finds faces and returns the face boxes of one model; loads the detector at its first use.

    facts: a model card or a manifest. detector: "auto" (or None), "dlib" or YuNet's ONNX file.
    min_face_px: faces of at least this size are found; None for the detector's default. any_roll:
    search every picture in all four quarter turns, and not only one without an upright face. model:
    the file that messages name.
    Raises UserError if min_face_px is too small, or a detector is named for a model that takes
    whole pictures, and ModelError if the file in the cache is damaged.
    """

    def __init__(
        self, facts: dict, detector=AUTO, min_face_px=None, any_roll: bool = False, model=""
    ):
        check_min_face(min_face_px)
        self._model = model
        detector = AUTO if detector is None else detector
        self._facts, self._rule = facts, box_rule(facts)
        self._min_face_px, self._any_roll = min_face_px, any_roll
        self._search = None
        if self._rule.source == "picture":
            if detector != AUTO:
                raise UserError(
                    f"{model}: takes whole pictures as face boxes and uses no face detector; leave"
                    " out the detector (--detector)"
                )
            return
        if detector == AUTO:
            detector = (yunet.cached_file() if "mean_shape" in facts else None) or DLIB
        self._choice = detector

    def __str__(self) -> str:
        """What finds the faces, in words: "dlib, faces from 80 px on"."""
        if self._rule.source == "picture":
            return "none, the face is the whole picture"
        name, default = (
            (DLIB, MIN_FACE_PX)
            if self._choice == DLIB
            else (f"YuNet ({self._choice})", yunet.MIN_FACE_PX)
        )
        note = (
            ""
            if self._choice == DLIB or self._facts.get("yunet_box")
            else "; the model card has no yunet_box, and YuNet's boxes are used as they are"
        )
        return f"{name}, faces from {self._min_face_px or default:g} px on{note}"

    def detect(self, picture) -> list[Detection]:
        """The faces in a picture [H, W, 3] uint8 RGB, best first, with turned face boxes in pixels.

        For a model that takes whole pictures it is the picture's box, with a score of None.
        """
        if self._rule.source == "picture":
            return [Detection(picture_box(picture), None)]
        self._search = self._search or self._open()
        found = self._search(picture)
        if found and not self._any_roll:
            return found
        return merged(found + in_quarter_turns(self._search, picture))

    def _open(self):
        """A function from a picture to Detections with face boxes."""
        detector = open_detector(self._choice, self._facts, self._min_face_px, self._model)
        transform = self._transform()
        return lambda picture: [_converted(one, transform) for one in detector.detect(picture)]

    def _transform(self) -> BoxTransform:
        if self._choice != DLIB:
            measured = self._facts.get("yunet_box")
            return BoxTransform(**measured) if measured else UNMEASURED
        if not self._facts.get("detector_box"):
            raise ModelError(
                f"{self._model}: the model card has no detector_box, the transform from dlib's"
                " boxes to face boxes, because dlib found no face in the training pictures; give"
                " face boxes (--boxes) or use YuNet (--detector)"
            )
        return BoxTransform(**self._facts["detector_box"])


def _converted(found: Detection, transform: BoxTransform) -> Detection:
    """The detection with its face box; the transform applies in the upright face's directions."""
    box = transform.apply(found.box)
    if not found.roll_deg:
        return found._replace(box=box)
    old, new = found.box[:2] + found.box[2:] / 2, box[:2] + box[2:] / 2
    centre = turned(new, found.roll_deg, old)
    return found._replace(box=np.concatenate([centre - box[2:] / 2, box[2:]]))
