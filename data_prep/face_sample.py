"""The small record that every format's reader yields, and what sets a sample aside."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


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

    name:     the picture's path relative to the data's root, unique in the record set; "#2" and
              the like at its end tell faces of one file apart
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
