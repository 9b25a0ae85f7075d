"""Crops one face to one record: the work of preparation that is done for every picture.

`crop_record` reads the picture and the label, returns bytes and keeps no state, so that any number
of processes can call it.
"""

import functools
import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.face_sample import Cell, FaceLabel, FaceSource, Rejected
from senet_kp.data_prep.formats.matlab73 import picture_of
from senet_kp.data_prep.label_maps import mapped
from senet_kp.face.facebox import (
    BoxRule,
    box_affine,
    crop,
    face_box,
    picture_box,
    to_relative,
    widened,
)
from senet_kp.face.pictures import BadPicture, decode_picture, grey_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.tfrecords.fingerprints import HASH_SIDE, hash_text
from senet_kp.tfrecords.schema import Encoding, Record, encode

MIN_BOX_PX = 16.0  # a smaller face has no detail that a 128 px crop could show


@dataclass(frozen=True)
class CropRule:
    """The settings by which a face is cropped to a record; see PrepareConfig."""

    box: BoxRule
    context: float
    jpeg_quality: int
    scheme: LandmarkScheme
    encoding: Encoding = "jpeg"

    @property
    def stored_px(self) -> int:
        """Width and height of the stored picture: the face box and the context around it."""
        return round(self.box.size_px * self.context)


@dataclass(frozen=True)
class Cropped:
    """A record, and what the manifest and split.csv say about it.

    data:         the encoded record
    relative:     [N, 2] float32, its landmarks relative to the face box
    mask:         [N] bool, True where a landmark is known
    points_hash:  hash of the landmarks in the picture, to find views with identical ones
    content_hash: SHA-256 of the picture and the label
    bytes_hash:   SHA-256 of the stored picture
    picture_hash: perceptual hash of the stored picture
    """

    data: bytes
    relative: np.ndarray
    mask: np.ndarray
    points_hash: bytes
    content_hash: str
    bytes_hash: str
    picture_hash: str


@dataclass(frozen=True)
class Reject:
    """A face that cannot be used: a short reason code, and a message that names the file."""

    reason: str
    message: str


def crop_record(source: FaceSource, rule: CropRule) -> Cropped | Reject:
    """Read, check, crop and encode one face. Returns a Reject if the face cannot be used."""
    try:
        picture_data, label_data = _picture_data(source), _label_data(source)
        label = _label(source, label_data, rule)
        # BGR, as the JPEG encoder expects: swapping channels twice would take a tenth of the time.
        picture = _picture(source, picture_data, cv2.IMREAD_COLOR_BGR)
        box = _checked_box(label, picture, rule.box)
    except BadPicture as error:
        return Reject(error.reason, str(error))
    except Rejected as error:
        return Reject(error.reason, _with_picture(str(error), source))
    stored = crop_with_context(picture, box, rule)
    relative = to_relative(label.landmarks, box).astype(np.float32)
    record = Record(
        picture=_encoded(stored, rule),
        landmarks=np.where(label.mask[:, None], relative, 0),
        mask=label.mask.astype(np.float32),
        affine=box_affine(box),
        pose=label.pose_deg,
        name=source.name,
        group=source.group,
        subset=source.subset,
        tags=source.tags,
        encoding=rule.encoding,
    )
    return Cropped(
        data=encode(record),
        relative=record.landmarks,
        mask=label.mask,
        points_hash=hashlib.sha256(np.round(label.landmarks, 3).tobytes()).digest()[:8],
        content_hash=hashlib.sha256(picture_data + label_data).hexdigest(),
        bytes_hash=hashlib.sha256(record.picture).hexdigest(),
        picture_hash=perceptual_hash(stored),
    )


def _encoded(stored, rule: CropRule) -> bytes:
    """The bytes that a record holds of a picture [C, C, 3] uint8 BGR."""
    if rule.encoding == "raw":
        return cv2.cvtColor(stored, cv2.COLOR_BGR2RGB).tobytes()
    quality = [cv2.IMWRITE_JPEG_QUALITY, rule.jpeg_quality]
    return cv2.imencode(".jpg", stored, quality)[1].tobytes()


def perceptual_hash(stored) -> str:
    """Return the phash of a stored picture [C, C, 3] uint8 BGR as hexadecimal digits."""
    import imagehash  # with Pillow; only the processes that crop need them
    from PIL.Image import fromarray

    grey = cv2.cvtColor(stored, cv2.COLOR_BGR2GRAY)
    # phash reduces to this size anyway; OpenCV takes a tenth of Pillow's 0.25 ms.
    small = cv2.resize(grey, (4 * HASH_SIDE, 4 * HASH_SIDE), interpolation=cv2.INTER_AREA)
    return hash_text(imagehash.phash(fromarray(small), hash_size=HASH_SIDE).hash)


def crop_with_context(picture, box, rule: CropRule) -> np.ndarray:
    """Return the box with its context; the pixels in the middle are those of the box's own crop."""
    factor = rule.stored_px / rule.box.size_px
    return crop(picture, widened(box, factor), rule.stored_px, rule.box.padding)


def labelled_face(source: FaceSource, rule: CropRule) -> tuple[np.ndarray, FaceLabel]:
    """Return the face box [x, y, w, h] (w == h) and the label, without opening the picture.

    The source of the box in `rule` must not be "picture". Raises Rejected.
    """
    label = _label(source, _label_data(source), rule)
    return _face_box(label, rule.box), label


def detected_pair(source: FaceSource, rule: CropRule):
    """Return dlib's box and the face box of a labelled face, or None if dlib does not find it."""
    box, _ = labelled_face(source, rule)
    picture = _picture(source, _picture_data(source), cv2.IMREAD_COLOR_RGB)
    detections = [found for found, _ in _detector().detect(picture)]
    best = max(detections, key=lambda found: iou(found, box), default=None)
    return (best, box) if best is not None and iou(best, box) >= MIN_IOU else None


@functools.cache
def _detector() -> DlibDetector:
    return DlibDetector()  # one per process, because loading it takes half a second


def _label(source: FaceSource, data: bytes, rule: CropRule) -> FaceLabel:
    scheme = source.label_map.source if source.label_map else rule.scheme
    label = FORMATS[source.format].read_label(source, data, scheme)
    return mapped(label, source.label_map, rule.scheme, rule.box.source == "landmarks")


def _face_box(label: FaceLabel, rule: BoxRule, picture=None):
    """Return the face box of the rule; `picture` may be None if it is not the whole picture."""
    if not label.mask.any():
        raise Rejected("no-points", "none of the landmarks in its label is known")
    if rule.source == "picture":
        return picture_box(picture)
    if rule.source == "landmarks":
        known = label.landmarks[label.mask] if label.whole is None else label.whole
        return face_box(known, rule)
    if label.box is None:
        raise Rejected("no-box", "its label has no box, which --box.source label requires")
    corner, size = np.split(np.asarray(label.box, np.float64), 2)
    return face_box(np.array([corner, corner + size]), rule)


def _label_data(source: FaceSource) -> bytes:
    return _read(source.label) if source.row is None else source.row


def _picture_data(source: FaceSource) -> bytes:
    """Return the bytes of the picture's file, or of its part of a file that holds many pictures."""
    if source.cell is None:
        return _read(source.picture)
    if isinstance(source.cell, Cell):
        return _read(source.picture, source.cell.offset, source.cell.length)
    return picture_of(source.picture, source.cell)


def _picture(source: FaceSource, data: bytes, mode: int) -> np.ndarray:
    if isinstance(source.cell, Cell):
        return grey_picture(data, source.cell.width_px, _location(source))
    return decode_picture(data, _location(source), mode)


def _location(source: FaceSource) -> str:
    """Return what messages call the picture: its file and, if that holds many, its name."""
    return f"{source.picture}: {source.name}" if source.cell else str(source.picture)


def _with_picture(message: str, source: FaceSource) -> str:
    """Return the message, with the picture's location in front if it does not start with it."""
    location = _location(source)
    return message if message.startswith(location) else f"{location}: {message}"


def _read(path, offset: int = 0, length: int = -1) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        raise Rejected("missing", f"{path}: no such file") from None
    except OSError as error:
        raise Rejected("unreadable", f"{path}: {error.strerror}") from None


def _checked_box(label: FaceLabel, picture, rule: BoxRule) -> np.ndarray:
    """Return the face box. Raises Rejected if it is tiny or its middle is off the picture."""
    box = _face_box(label, rule, picture)
    height, width = picture.shape[:2]
    x, y, *size = box.tolist()
    if min(size) < MIN_BOX_PX:
        raise Rejected(
            "tiny-face", f"the face box is {min(size):.1f} px wide, under {MIN_BOX_PX:g}"
        )
    if not (0 <= x + size[0] / 2 <= width and 0 <= y + size[1] / 2 <= height):
        raise Rejected(
            "outside",
            f"the middle of the face box is outside the {width}x{height} picture; do label and"
            " picture have the same size?",
        )
    return box
