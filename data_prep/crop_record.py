"""Crops one face to one record: the work of preparation that is done for every picture.

`crop_record` reads the picture and the label, returns bytes and keeps no state, so that any number
of processes can call it.
"""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected
from senet_kp.data_prep.kept_out import REASON, kept_face
from senet_kp.data_prep.read_face import (
    FaceOnDisk,
    location,
    orientation_of_source,
    picture_bytes,
    pixels_of,
    read_face,
    read_label,
    stored_label,
)
from senet_kp.face.facebox import (
    BoxRule,
    box_affine,
    crop,
    face_box,
    picture_box,
    to_relative,
    widened,
)
from senet_kp.face.orientation import UPRIGHT
from senet_kp.face.pictures import BadPicture
from senet_kp.face.turning import inverse, turned_box
from senet_kp.tfrecords.fingerprints import HASH_SIDE, hash_text
from senet_kp.tfrecords.schema import Record, encode

MIN_BOX_PX = 16.0  # a smaller face has no detail that a 128 px crop could show


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
    orientation:  that of the picture's file, 1..8
    """

    data: bytes
    relative: np.ndarray
    mask: np.ndarray
    points_hash: bytes
    content_hash: str
    bytes_hash: str
    picture_hash: str
    orientation: int = UPRIGHT


@dataclass(frozen=True)
class Reject:
    """A face that cannot be used: a short reason code, and a message that names the file.

    orientation: that of the picture's file, 1..8, if it was read
    """

    reason: str
    message: str
    orientation: int = UPRIGHT


def crop_record(source: FaceSource, rule: CropRule) -> Cropped | Reject:
    """Read, check, crop and encode one face. Returns a Reject if the face cannot be used."""
    face = None
    try:
        # BGR, as the JPEG encoder expects: swapping channels twice would take a tenth of the time.
        face = read_face(source, rule, cv2.IMREAD_COLOR_BGR)
        box = _checked_box(face, source, rule)
    except BadPicture as error:
        return Reject(error.reason, str(error))
    except Rejected as error:
        orientation = face.orientation if face else UPRIGHT
        return Reject(error.reason, _with_picture(str(error), source), orientation)
    label, stored = face.label, crop_with_context(face.picture, box, rule)
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
    cropped = Cropped(
        data=encode(record),
        relative=record.landmarks,
        mask=label.mask,
        points_hash=hashlib.sha256(np.round(label.landmarks, 3).tobytes()).digest()[:8],
        content_hash=hashlib.sha256(b"".join(face.data)).hexdigest(),
        bytes_hash=hashlib.sha256(record.picture).hexdigest(),
        picture_hash=perceptual_hash(stored),
        orientation=face.orientation,
    )
    return _kept_out(source, cropped, rule) or cropped


def _kept_out(source: FaceSource, cropped: Cropped, rule: CropRule) -> Reject | None:
    """The Reject of a face that --keep-out keeps for evaluation, None for any other face."""
    hashes = cropped.bytes_hash, cropped.picture_hash
    meeting = kept_face(rule.keep_out, source.name, source.group, *hashes)
    if not meeting:
        return None
    message = f"it matches {meeting.other} by its {meeting.by}, which --keep-out keeps out"
    return Reject(REASON, _with_picture(message, source), cropped.orientation)


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
    """Return the face box [x, y, w, h] (w == h) and the label of a face in stored pixels.

    Those are what dlib and imglab see, which do not turn pictures. The picture is only decoded if
    it has an orientation. The source of the box in `rule` must not be "picture". Raises Rejected,
    and BadPicture.
    """
    orientation = orientation_of_source(source, picture_bytes(source))
    if orientation == UPRIGHT:
        label = read_label(source, rule)
        return face_box_of(label, rule.box), label
    face = read_face(source, rule, cv2.IMREAD_COLOR_BGR)
    size = face.picture.shape[1::-1]
    box = turned_box(face_box_of(face.label, rule.box), inverse(orientation), size)
    return box, stored_label(face.label, orientation, size)


def face_box_of(label: FaceLabel, rule: BoxRule, picture=None) -> np.ndarray:
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


def _with_picture(message: str, source: FaceSource) -> str:
    """Return the message, with the picture's location in front if it does not start with it."""
    where = location(source)
    return message if message.startswith(where) else f"{where}: {message}"


def _checked_box(face: FaceOnDisk, source: FaceSource, rule: CropRule) -> np.ndarray:
    """Return the face box. Raises Rejected if it is tiny or its middle is off the picture."""
    box = face_box_of(face.label, rule.box, face.picture)
    height, width = face.picture.shape[:2]
    x, y, *size = box.tolist()
    if min(size) < MIN_BOX_PX:
        raise Rejected(
            "tiny-face", f"the face box is {min(size):.1f} px wide, under {MIN_BOX_PX:g}"
        )
    if not (0 <= x + size[0] / 2 <= width and 0 <= y + size[1] / 2 <= height):
        read = pixels_of(source.format, rule.label_pixels)
        turned = (
            f"was the label, read in {read} pixels of a picture with orientation"
            f" {face.orientation}, made in others (--label-pixels)"
        )
        same_size = "do label and picture have the same size"
        raise Rejected(
            "outside",
            f"the middle of the face box is outside the {width}x{height} picture;"
            f" {same_size if face.orientation == UPRIGHT else turned}?",
        )
    return box
