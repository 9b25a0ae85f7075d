"""What a format finds and reads: `FaceSource`, one face on disk, and `FaceLabel`, its landmarks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senet_kp.face.known_schemes import SCHEMES
from senet_kp.face.scheme import LandmarkScheme


class Rejected(Exception):
    """A face cannot be used. `reason` is a short code for rejects.csv, such as "point-count"."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Cell:
    """The cell of a table that holds a square grey picture as text: values separated by spaces.

    offset, length: position of that text in the file, in bytes
    width_px:       width and height of the picture
    """

    offset: int
    length: int
    width_px: int


@dataclass(frozen=True)
class Element:
    """The element of a cell array in a MATLAB 7.3 file that holds a picture.

    variable: name of the cell array
    index:    number of the element, from 0
    """

    variable: str
    index: int


@dataclass(frozen=True)
class FaceSource:
    """Where the picture and the label of one face are. A scan finds it without opening the picture.

    name:     path of the picture relative to the data set's folder, unique among the records;
              `tfrecords.schema.face_name` if a picture has several faces
    format:   name of the Format that reads the label
    picture:  the file that holds the picture
    label:    the file that holds the label
    photo:    the original photo and the face in it of which this is a view
    group:    the photo or person; all faces of a group are on the same side of the split
    subset:   the part of the data set that it belongs to
    row:      the label itself, if the label file is a table, which the scan has read
    variable: name of the array that holds the landmarks, if the label file has several
    cell:     where in the file `picture` the picture is, if that file holds many of them
    official: "train" or "test", as its publishers divide the data set; None if they do not
    tags:     attributes for which evaluation reports scores of their own, such as "occlusion"
    """

    name: str
    format: str
    picture: Path
    label: Path
    photo: str
    group: str
    subset: str
    row: bytes | None = None
    variable: str = ""
    cell: Cell | Element | None = None
    official: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class FaceLabel:
    """The label of one face.

    landmarks: [N, 2] float64, pixels of the picture; the centre of the first pixel is 0
    mask:      [N] bool, True where a landmark is known
    pose_deg:  [3] pitch, yaw, roll in degrees; NaN if unknown
    box:       [x, y, w, h] in pixels, if the data set has face boxes
    """

    landmarks: np.ndarray
    mask: np.ndarray
    pose_deg: np.ndarray
    box: np.ndarray | None = None


def complete_points(points, where: str, count: int) -> np.ndarray:
    """Return `points` as [count, 2] float64, all of them known.

    Raises Rejected, naming `where`, if there is another number of points or a value is not finite.
    """
    points = np.asarray(points, np.float64)
    if points.shape != (count, 2):
        shape = "x".join(map(str, points.shape))
        raise Rejected("point-count", f"{where} has the shape {shape}, not {count}x2")
    if not np.isfinite(points).all():
        raise Rejected("not-finite", f"{where} contains values that are not finite")
    return points


def checked_label(where: str, landmarks, mask, scheme: LandmarkScheme, box=None) -> FaceLabel:
    """Return the label of landmarks [n, 2], 0-based pixels, which are known where mask [n] is True.

    Raises Rejected, naming `where`, if their number is not that of the scheme or a known landmark
    is not finite.
    """
    if len(landmarks) != scheme.count:
        raise wrong_count(where, len(landmarks), scheme)
    if not np.isfinite(landmarks[mask]).all():
        raise Rejected("not-finite", f"{where} contains values that are not finite")
    return FaceLabel(np.where(mask[:, None], landmarks, 0), mask, np.full(3, np.nan), box)


def wrong_count(where: str, count: int, scheme: LandmarkScheme) -> Rejected:
    """Return the error for a label with another number of points; it lists schemes that fit."""
    fitting = [name for name, other in SCHEMES.items() if other.count == count]
    advice = " or ".join(f"--scheme {name}" for name in fitting) or (
        f"no built-in scheme has {count} points: pass your own JSON file with --scheme"
    )
    return Rejected(
        "point-count",
        f"{where} has {count} points, but the scheme {scheme.name} has {scheme.count} ({advice})",
    )
