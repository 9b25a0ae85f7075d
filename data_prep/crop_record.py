"""One picture and its label to one record: the per-picture work, alone in its process.

The same function serves one process and many: it reads two files, returns bytes, keeps nothing.
"""

import functools
import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from senet_kp.data_prep.formats import FORMATS, labels_of
from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected
from senet_kp.face.facebox import BoxRule, box_affine, crop, face_box, to_relative, widened
from senet_kp.face.pictures import BadPicture, decode_picture, grey_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.tfrecords.fingerprints import HASH_SIDE, hash_text
from senet_kp.tfrecords.schema import Record, encode

MIN_BOX_PX = 16.0  # a smaller face has nothing that a 128 px crop could show


@dataclass(frozen=True)
class CropRule:
    """How a picture becomes a record."""

    box: BoxRule
    context: float
    jpeg_quality: int
    points: str
    scheme: LandmarkScheme

    @property
    def stored_px(self) -> int:
        """Side of the stored picture: the box and the context round it."""
        return round(self.box.size_px * self.context)


@dataclass(frozen=True)
class Cropped:
    """A record and what preparation keeps account of.

    data: the encoded record; relative [N, 2] float32: its landmarks; mask [N] bool: which are
    known; points_hash: of the landmarks in the picture, to find views that share them;
    content_hash: of the picture and the label; jpeg_hash, picture_hash: SHA-256 and perceptual hash
    of the stored picture, as split.csv holds.
    """

    data: bytes
    relative: np.ndarray
    mask: np.ndarray
    points_hash: bytes
    content_hash: str
    jpeg_hash: str
    picture_hash: str


@dataclass(frozen=True)
class Reject:
    """Why a picture cannot be used: a short reason code and a message that names the file."""

    reason: str
    message: str


def crop_record(source: FaceSource, rule: CropRule) -> Cropped | Reject:
    """Read, check, crop and encode one face; what is wrong with it comes back as a Reject."""
    try:
        picture_data, label_data = _picture_data(source), _label_data(source)
        label = _label(source, label_data, rule)
        # BGR, as the JPEG encoder wants it: turning the channels twice costs a tenth of the time.
        picture = _picture(source, picture_data, cv2.IMREAD_COLOR_BGR)
        box = _checked_box(label, picture, rule.box)
    except BadPicture as error:
        return Reject(error.reason, str(error))
    except Rejected as error:
        return Reject(error.reason, _placed(str(error), source))
    quality = [cv2.IMWRITE_JPEG_QUALITY, rule.jpeg_quality]
    stored = crop_with_context(picture, box, rule)
    relative = to_relative(label.landmarks, box).astype(np.float32)
    record = Record(
        jpeg=cv2.imencode(".jpg", stored, quality)[1].tobytes(),
        landmarks=np.where(label.mask[:, None], relative, 0),
        mask=label.mask.astype(np.float32),
        affine=box_affine(box),
        pose=label.pose_deg,
        name=source.name,
        group=source.group,
        subset=source.subset,
        tags=source.tags,
    )
    return Cropped(
        data=encode(record),
        relative=record.landmarks,
        mask=label.mask,
        points_hash=hashlib.sha256(np.round(label.landmarks, 3).tobytes()).digest()[:8],
        content_hash=hashlib.sha256(picture_data + label_data).hexdigest(),
        jpeg_hash=hashlib.sha256(record.jpeg).hexdigest(),
        picture_hash=perceptual_hash(stored),
    )


def perceptual_hash(stored) -> str:
    """The phash of a stored picture [C, C, 3] uint8 BGR, as hexadecimal digits."""
    import imagehash  # it and Pillow only in the processes that crop
    from PIL.Image import fromarray

    grey = cv2.cvtColor(stored, cv2.COLOR_BGR2GRAY)
    # phash works on 4 x HASH_SIDE pixels; OpenCV is there in a tenth of Pillow's 0.25 ms.
    small = cv2.resize(grey, (4 * HASH_SIDE, 4 * HASH_SIDE), interpolation=cv2.INTER_AREA)
    return hash_text(imagehash.phash(fromarray(small), hash_size=HASH_SIDE).hash)


def crop_with_context(picture, box, rule: CropRule) -> np.ndarray:
    """The box and its context, the pixels of the box's own crop unchanged in the middle."""
    factor = rule.stored_px / rule.box.size_px
    return crop(picture, widened(box, factor), rule.stored_px, rule.box.padding)


def labelled_face(source: FaceSource, rule: CropRule) -> tuple[np.ndarray, FaceLabel]:
    """The face box [x, y, side, side] and the label, without opening the picture.

    Raises Rejected.
    """
    label = _label(source, _label_data(source), rule)
    return _face_box(label, rule.box), label


def detected_pair(source: FaceSource, rule: CropRule):
    """(detector's box, face box) of one labelled face, or None where the detector missed it."""
    box, _ = labelled_face(source, rule)
    picture = _picture(source, _picture_data(source), cv2.IMREAD_COLOR_RGB)
    detections = [found for found, _ in _detector().detect(picture)]
    best = max(detections, key=lambda found: iou(found, box), default=None)
    return (best, box) if best is not None and iou(best, box) >= MIN_IOU else None


@functools.cache
def _detector() -> DlibDetector:
    return DlibDetector()  # one a process: loading it takes half a second


def _label(source: FaceSource, data: bytes, rule: CropRule) -> FaceLabel:
    points = labels_of(source.format, rule.points)
    return FORMATS[source.format].read_label(source, data, points, rule.scheme)


def _face_box(label: FaceLabel, rule: BoxRule):
    """The face box by the rule: round the known landmarks, or round the label's own box."""
    if not label.mask.any():
        raise Rejected("no-points", "its label knows none of its landmarks")
    if rule.source == "landmarks":
        return face_box(label.landmarks[label.mask], rule)
    if label.box is None:
        raise Rejected("no-box", "its label gives no box, which --box.source label asks for")
    corner, size = np.split(np.asarray(label.box, np.float64), 2)
    return face_box(np.array([corner, corner + size]), rule)


def _label_data(source: FaceSource) -> bytes:
    return _read(source.label) if source.row is None else source.row


def _picture_data(source: FaceSource) -> bytes:
    """The picture's file, or its cell of the table."""
    if source.cell is None:
        return _read(source.picture)
    return _read(source.picture, source.cell.offset, source.cell.length)


def _picture(source: FaceSource, data: bytes, mode: int) -> np.ndarray:
    if source.cell is None:
        return decode_picture(data, source.picture, mode)
    return grey_picture(data, source.cell.side_px, _place(source))


def _place(source: FaceSource) -> str:
    """The picture as messages call it."""
    return f"{source.picture}: {source.name}" if source.cell else str(source.picture)


def _placed(message: str, source: FaceSource) -> str:
    """A message that names its picture, and once is enough."""
    place = _place(source)
    return message if message.startswith(place) else f"{place}: {message}"


def _read(path, offset: int = 0, length: int = -1) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        raise Rejected("missing", f"{path}: no such file") from None
    except OSError as error:
        raise Rejected("unreadable", f"{path}: {error.strerror}") from None


def _checked_box(label: FaceLabel, picture, rule: BoxRule):
    box = _face_box(label, rule)
    height, width = picture.shape[:2]
    x, y, side, _ = box.tolist()
    if side < MIN_BOX_PX:
        raise Rejected("tiny-face", f"the face box is {side:.1f} px wide, under {MIN_BOX_PX:g}")
    if x > width or y > height or x + side < 0 or y + side < 0:
        raise Rejected("outside", f"the landmarks lie outside the {width}x{height} picture")
    return box
