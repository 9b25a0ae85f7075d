"""The small record that every format's reader yields, and what sets a sample aside."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senet_kp.face.known_schemes import SCHEMES
from senet_kp.face.scheme import LandmarkScheme


class Rejected(Exception):
    """A sample that cannot be used: a short reason code and a message for the rejects file."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Cell:
    """Where a table holds a picture as text: side_px x side_px grey values with spaces between.

    offset, length: of that text in the file, in bytes
    """

    offset: int
    length: int
    side_px: int


@dataclass(frozen=True)
class FaceSource:
    """Where one face's picture and label are; found by a scan, without opening the picture.

    name:     the picture's path relative to the data's root, unique in the record set;
              `tfrecords.schema.face_name` for one of several faces
    format:   which format's reader reads the label
    row:      the label itself, where the label file is a table that the scan has read
    cell:     where in the file `picture` the picture is, if that file is a table
    photo:    which original photo and face this is a view of
    group:    which photo or person it belongs to: a group stays on one side of the split
    subset:   the part of the data set it comes from
    official: "train" or "test", the part that its publishers put it in; None where they do not say
    tags:     attributes by which it is scored too, such as "occlusion"
    """

    name: str
    format: str
    picture: Path
    label: Path
    photo: str
    group: str
    subset: str
    row: bytes | None = None
    cell: Cell | None = None
    official: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class FaceLabel:
    """What a label file says.

    landmarks: [N, 2] float64, pixels of the picture, 0-based
    mask:      [N] bool, which of them are known
    pose_deg:  [3] pitch, yaw, roll in degrees, NaN where unknown
    box:       [x, y, w, h] in pixels, where the data set gives one
    """

    landmarks: np.ndarray
    mask: np.ndarray
    pose_deg: np.ndarray
    box: np.ndarray | None = None


def whole_points(points, where: str, count: int) -> np.ndarray:
    """`points` as [count, 2] float64 of which all are known.

    Raises Rejected, naming `where`, for another number of them or values that are not finite.
    """
    points = np.asarray(points, np.float64)
    if points.shape != (count, 2):
        shape = "x".join(map(str, points.shape))
        raise Rejected("point-count", f"{where} is {shape}, not {count} points")
    if not np.isfinite(points).all():
        raise Rejected("not-finite", f"{where} holds values that are not finite")
    return points


def checked_label(where: str, landmarks, mask, scheme: LandmarkScheme, box=None) -> FaceLabel:
    """The label of landmarks [n, 2] in 0-based pixels, known where mask [n] says so.

    Raises Rejected, which names `where`, for another count than the scheme's and for known
    landmarks that are not finite.
    """
    if len(landmarks) != scheme.count:
        raise wrong_count(where, len(landmarks), scheme)
    if not np.isfinite(landmarks[mask]).all():
        raise Rejected("not-finite", f"{where} holds values that are not finite")
    return FaceLabel(np.where(mask[:, None], landmarks, 0), mask, np.full(3, np.nan), box)


def wrong_count(where: str, count: int, scheme: LandmarkScheme) -> Rejected:
    """What to raise for a label of another number of points, with the schemes that have it."""
    fitting = [name for name, other in SCHEMES.items() if other.count == count]
    advice = " or ".join(f"--scheme {name}" for name in fitting) or (
        "no scheme of that many is known by name: --scheme takes a JSON file of your own"
    )
    return Rejected(
        "point-count",
        f"{where} holds {count} points, not the {scheme.count} of {scheme.name} ({advice})",
    )
