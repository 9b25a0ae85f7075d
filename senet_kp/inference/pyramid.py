"""An image pyramid: the copies of a picture, reduced or enlarged, in which a detector searches."""

import cv2

from senet_kp.inference.detections import Detection, merged
from senet_kp.tfrecords.errors import UserError

LEAST_FACE_PX = 20  # for smaller faces, dlib would search a copy of more than 16 times the pixels
MAX_ENLARGEMENT = 2  # of a small picture in which nothing was found
LAST_SIDE_PX = 1280  # longest side of the copy in which small faces are looked for in that case


def check_min_face(min_face_px: float | None):
    """Raise UserError if faces of this size cannot be searched; None stands for a default."""
    if min_face_px is not None and not min_face_px >= LEAST_FACE_PX:
        raise UserError(
            f"--min-face-px {min_face_px:g}: has to be at least {LEAST_FACE_PX}; enlarge the"
            " pictures to find smaller faces"
        )


def detect_in_copies(detect, picture, reductions) -> list[Detection]:
    """The faces of all copies of a picture, each once, best score first.

    detect(copy, reduction) -> list of Detection: the faces in a copy at 1/reduction of the
    picture's size, with coordinates of the picture itself.
    """
    found = []
    for reduction in reductions:
        found += detect(resized(picture, reduction), reduction)
    return merged(found)


def last_reduction(picture) -> float:
    """The reduction of the copy that is searched where no other had a face."""
    return max(max(picture.shape[:2]) / LAST_SIDE_PX, 1 / MAX_ENLARGEMENT)


def resized(picture, reduction: float):
    """The picture at 1/reduction of its size; a reduction below 1 enlarges it."""
    if reduction == 1:
        return picture
    size = [max(round(length / reduction), 1) for length in picture.shape[1::-1]]
    method = cv2.INTER_AREA if reduction > 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=method)
