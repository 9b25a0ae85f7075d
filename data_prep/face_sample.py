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
class FaceSource:
    """Where one face's picture and label are; found by a scan, without opening the picture.

    name:   the picture's path relative to the data's root, unique in the record set
    format: which format's reader reads the label
    row:    the label itself, where the label file is a table that the scan has read
    photo:  which original photo and face this is a view of
    group:  which photo or person it belongs to: a group stays on one side of the split
    subset: the part of the data set it comes from
    tags:   attributes by which it is scored too, such as "occlusion"
    """

    name: str
    format: str
    picture: Path
    label: Path
    photo: str
    group: str
    subset: str
    row: bytes | None = None
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
