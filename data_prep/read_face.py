"""Reads one face of a data set: its picture, upright, and its label, in upright pixels.

Labels of a picture whose file states an orientation (`senet_kp.face.orientation`) lie either in
stored pixels, as programs see them that ignore it, or in upright pixels. `Format.label_pixels` says
which, and `--label-pixels` overrules it.
"""

from dataclasses import dataclass

import numpy as np

from senet_kp.data_prep.crop_rule import CropRule, LabelPixels
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.face_sample import Cell, FaceLabel, FaceSource, Rejected
from senet_kp.data_prep.formats.format import Pixels
from senet_kp.data_prep.formats.matlab73 import picture_of
from senet_kp.data_prep.whole_face import mapped
from senet_kp.face.orientation import UPRIGHT, orientation_of
from senet_kp.face.pictures import decode_picture, grey_picture
from senet_kp.face.pose import angles_deg, rotation_of, turned
from senet_kp.face.turning import inverse, turn_matrix, turned_box, turned_points, turned_size
from senet_kp.tfrecords.errors import is_exhausted

OTHER = {"stored": "upright", "upright": "stored"}


@dataclass(frozen=True)
class FaceOnDisk:
    """One face, read.

    picture:     [H, W, 3] uint8, upright
    label:       its landmarks, box and pose in upright pixels
    orientation: that of the picture's file, 1..8
    other:       the label by the other reading of its pixels; None if the orientation is 1
    data:        bytes of the picture, and bytes of the label
    """

    picture: np.ndarray
    label: FaceLabel
    orientation: int
    other: FaceLabel | None
    data: tuple[bytes, bytes]


def read_face(source: FaceSource, rule: CropRule, mode: int) -> FaceOnDisk:
    """Return one face. Raises Rejected, and BadPicture for its picture.

    mode: OpenCV's, IMREAD_COLOR_RGB or IMREAD_COLOR_BGR
    """
    data = picture_bytes(source), _label_data(source)
    label = _label(source, data[1], rule)
    picture = _picture(source, data[0], mode)
    orientation = orientation_of_source(source, data[0])
    if orientation == UPRIGHT:
        return FaceOnDisk(picture, label, orientation, None, data)
    size = turned_size(picture.shape[1::-1], orientation)  # as stored
    readings = {"upright": label, "stored": turned_label(label, orientation, size)}
    own = pixels_of(source.format, rule.label_pixels)
    return FaceOnDisk(picture, readings[own], orientation, readings[OTHER[own]], data)


def read_label(source: FaceSource, rule: CropRule) -> FaceLabel:
    """Return the label of a face as its file has it, without opening the picture. Raises Rejected.

    Its pixels are those of `pixels_of`.
    """
    return _label(source, _label_data(source), rule)


def pixels_of(format: str, asked: LabelPixels) -> Pixels:
    """Return the pixels in which the labels of a format lie, given the value of --label-pixels."""
    return FORMATS[format].label_pixels if asked == "format" else asked


def turned_label(label: FaceLabel, orientation: int, size) -> FaceLabel:
    """Return a label after the turn of a picture whose width and height were `size`."""
    points = turned_points(label.landmarks, orientation, size)
    return FaceLabel(
        landmarks=np.where(label.mask[:, None], points, 0),
        mask=label.mask,
        pose_deg=_turned_pose(label.pose_deg, orientation),
        box=None if label.box is None else turned_box(label.box, orientation, size),
        whole=None if label.whole is None else turned_points(label.whole, orientation, size),
    )


def stored_label(label: FaceLabel, orientation: int, size) -> FaceLabel:
    """Return a label in stored pixels; `size` is the width and height of the upright picture."""
    return turned_label(label, inverse(orientation), size)


def _turned_pose(pose_deg, orientation: int) -> np.ndarray:
    if not np.isfinite(pose_deg).all():  # of a pose known in part, yaw alone means nothing turned
        return np.full(3, np.nan)
    # `turned` takes the matrix from the new picture to the old one.
    return angles_deg(turned(rotation_of(pose_deg), turn_matrix(orientation).T))


def picture_bytes(source: FaceSource) -> bytes:
    """Return the bytes of the picture's file, or of its part of a file that holds many pictures.

    Raises Rejected.
    """
    if source.cell is None:
        return _read(source.picture)
    if isinstance(source.cell, Cell):
        return _read(source.picture, source.cell.offset, source.cell.length)
    return picture_of(source.picture, source.cell)


def orientation_of_source(source: FaceSource, data: bytes) -> int:
    """Return the orientation of a picture; one inside another file is upright."""
    return UPRIGHT if source.cell else orientation_of(data)


def location(source: FaceSource) -> str:
    """Return what messages call the picture: its file and, if that holds many, its name."""
    return f"{source.picture}: {source.name}" if source.cell else str(source.picture)


def _label(source: FaceSource, data: bytes, rule: CropRule) -> FaceLabel:
    """Return the label in the scheme of the records, by the label map of its data set if any."""
    own = source.label_map.source if source.label_map else rule.scheme
    label = FORMATS[source.format].read_label(source, data, own)
    return mapped(label, source.label_map, rule.scheme, rule.box.source == "landmarks")


def _label_data(source: FaceSource) -> bytes:
    return _read(source.label) if source.row is None else source.row


def _picture(source: FaceSource, data: bytes, mode: int) -> np.ndarray:
    if isinstance(source.cell, Cell):
        return grey_picture(data, source.cell.width_px, location(source))
    return decode_picture(data, location(source), mode)


def _read(path, offset: int = 0, length: int = -1) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(length)
    except (FileNotFoundError, ValueError):  # ValueError: a zero byte in a damaged table
        raise Rejected("missing", f"{path}: no such file") from None
    except OSError as error:
        if is_exhausted(error):
            raise
        raise Rejected("unreadable", f"{path}: {error.strerror}") from None
