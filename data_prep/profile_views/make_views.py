"""Makes the views of one photo: the work that is done for every picture, in any process."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from senet_kp.data_prep.crop_record import Reject
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats.face_sample import FaceSource, Rejected
from senet_kp.data_prep.profile_views.photo import framed_photo
from senet_kp.data_prep.profile_views.turn import TurnedHead, turned_head
from senet_kp.data_prep.read_face import location, read_face
from senet_kp.data_prep.sample_faces.layout import write_view
from senet_kp.face.pictures import BadPicture

PROFILE_DEG = 90.0
_MIN_FACE_PX = 60.0  # a smaller face would be enlarged more than three times


@dataclass(frozen=True)
class Task:
    """One face, and where its views are written: <folder>/<subset>/<stem>_<number>.jpg."""

    source: FaceSource
    subset: str
    stem: str


@dataclass(frozen=True)
class Made:
    """What became of one face. yaw_deg and error_percent are those of the fit to the photo."""

    views: int
    yaw_deg: float
    error_percent: float


def make_views(
    task: Task, folder: Path, rule: CropRule, steps_deg: float, max_error_percent: float
) -> Made | Reject:
    """Write the photo and its turned views; returns a Reject if the face cannot be used."""
    try:
        head = _head(task.source, rule, max_error_percent)
    except (Rejected, BadPicture) as error:
        where = location(task.source)
        message = str(error) if str(error).startswith(where) else f"{where}: {error}"
        return Reject(error.reason, message)
    yaw_deg = head.fit.camera.yaw_deg
    original = head.original()
    views = [original, *(head.turned_to(yaw) for yaw in yaws_deg(yaw_deg, steps_deg))]
    for number, view in enumerate(views):
        write_view(folder, task.subset, f"{task.stem}_{number}", view, original)
    return Made(len(views), yaw_deg, head.fit.error_percent)


def yaws_deg(yaw_deg: float, steps_deg: float) -> np.ndarray:
    """Return the yaws of the views: from the photo's in equal steps to the profile on its side.

    The steps are as near to `steps_deg` as equal ones can be.
    """
    side = 1 if yaw_deg >= 0 else -1
    steps = max(round((PROFILE_DEG - abs(yaw_deg)) / steps_deg), 0)
    return side * np.linspace(abs(yaw_deg), PROFILE_DEG, steps + 1)[1:]


def _head(source: FaceSource, rule: CropRule, max_error_percent: float) -> TurnedHead:
    """Return the fitted head. Raises Rejected, and BadPicture."""
    face = read_face(source, rule, cv2.IMREAD_COLOR_BGR)
    points = face.label.landmarks
    if missing := int((~face.label.mask).sum()):
        raise Rejected("missing-points", f"{missing} of its landmarks are not labelled")
    if (size := np.ptp(points, axis=0).max()) < _MIN_FACE_PX:
        raise Rejected("small-face", f"the face is {size:.0f} px large, under {_MIN_FACE_PX:g}")
    head = turned_head(framed_photo(face.picture, points))
    if head is None:
        raise Rejected("bad-fit", "the pose of the head cannot be estimated from its landmarks")
    if not (error := head.fit.error_percent) <= max_error_percent:
        raise Rejected(
            "bad-fit",
            f"the landmarks of the fitted head are {error:.1f} % of the face's size from the"
            f" labels, over {max_error_percent:g} (--max-error-percent)",
        )
    return head
