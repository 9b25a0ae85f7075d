"""Compares a face detector with the labels: how its boxes relate to face boxes, and whether the
labels lie on the faces at all.

Labels of a picture with an orientation can be read in two ways (data_prep/read_face.py). One of
them puts the face box beside the face, or the eyes below the mouth or out of line in a face that
the detector found upright.
"""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from senet_kp.data_prep.crop_record import face_box_of
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource
from senet_kp.data_prep.read_face import OTHER, pixels_of, read_face
from senet_kp.face.facebox import to_relative
from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.inference.face_detector import open_detector
from senet_kp.tfrecords.errors import CheckError

MIN_FOUND = 5  # pictures with a detected face; fewer do not tell whether most labels lie beside


@dataclass(frozen=True)
class Detected:
    """What a detector finds in the picture of one labelled face.

    pair:     the detector's box and the face box, or None if it does not find this face
    found:    whether it finds any face
    on_face:  whether the label lies on a face that it finds
    source:   the face
    fits:     None for a picture without an orientation or without a face; else whether the label
              fits a face by the reading of its pixels in use, and by the other one
    """

    pair: tuple | None
    found: bool
    on_face: bool
    source: FaceSource
    fits: tuple[bool, bool] | None


def detected(
    source: FaceSource, rule: CropRule, choice, facts: str, min_face_px: float | None = None
) -> Detected:
    """Run a detector on the picture of one usable face.

    choice, min_face_px: as for `open_detector`; facts: its facts, as JSON
    """
    face = read_face(source, rule, cv2.IMREAD_COLOR_RGB)
    box = face_box_of(face.label, rule.box)
    faces = [found.box for found in _detector(choice, facts, min_face_px).detect(face.picture)]
    best = max(faces, key=lambda found: iou(found, box), default=None)
    pair = (best, box) if best is not None and iou(best, box) >= MIN_IOU else None
    fits = None
    if face.other and faces:
        readings = face.label, face.other
        fits = tuple(_fits(label, face_box_of(label, rule.box), faces, rule) for label in readings)
    return Detected(pair, bool(faces), _is_on(box, faces), source, fits)


@functools.cache
def _detector(choice, facts: str, min_face_px: float | None):
    # One per process, because loading dlib's takes half a second.
    return open_detector(choice, json.loads(facts), min_face_px)


def _is_on(box, faces) -> bool:
    """Whether the middle of a face box is in one of the boxes of faces, or overlaps it well."""
    middle = np.add(box[:2], np.divide(box[2:], 2))
    in_faces = (to_relative(middle, face) for face in faces)
    inside = any(((place >= 0) & (place <= 1)).all() for place in in_faces)
    return inside or any(iou(face, box) >= MIN_IOU for face in faces)


def _fits(label: FaceLabel, box, faces, rule: CropRule) -> bool:
    """Whether a label lies on a face and, as far as its landmarks tell, is as upright as it is."""
    return _is_on(box, faces) and is_upright(label, rule.scheme.outer_eye_corners) is not False


def is_upright(label: FaceLabel, outer_eye_corners: tuple[int, int]) -> bool | None:
    """Return whether the eyes of a label are level within 45 degrees, in order and at the top.

    The detector finds no face that is turned further. None if an eye corner is missing.
    """
    if not label.mask[list(outer_eye_corners)].all():
        return None
    first, second = label.landmarks[list(outer_eye_corners)]
    right, down = second - first
    below = label.landmarks[label.mask].mean(axis=0)[1] - (first[1] + second[1]) / 2
    return bool(right > abs(down) and below > 0)


def alarms(measured: Iterable[Detected], rule: CropRule) -> list[str]:
    """Return warnings about labels that lie beside the faces that the detector finds.

    Raises CheckError if the labels of turned pictures fit the faces by the other reading only.
    """
    measured, lines = list(measured), []
    for name in sorted({one.source.format for one in measured if one.fits}):
        turned = [one for one in measured if one.fits and one.source.format == name]
        only_other = [one for one in turned if one.fits == (False, True)]
        read = pixels_of(name, rule.label_pixels)
        if not only_other:
            continue
        found = (
            f"{only_other[0].source.picture}: of {len(turned)} measured pictures with an EXIF"
            f" orientation, this is one of {len(only_other)} whose labels ({name}, read in {read}"
            f" pixels) fit the face that dlib finds only when read in {OTHER[read]} pixels"
        )
        if len(only_other) > sum(own for own, _ in (one.fits for one in turned)):
            raise CheckError(f"{found}: give --label-pixels {OTHER[read]}")
        lines.append(f"warning: {found}; correct them, or prepare them separately")
    faces = [one for one in measured if one.found]
    beside = sum(not one.on_face for one in faces)
    if len(faces) >= MIN_FOUND and 2 * beside > len(faces):
        lines.append(
            f"warning: on {beside} of the {len(faces)} measured pictures on which dlib finds a"
            " face, the label lies elsewhere; look at the contact sheet: are the labels those of"
            " these pictures, and of this size of them?"
        )
    return lines
