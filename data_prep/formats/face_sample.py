"""What a format finds and reads: `FaceSource`, one face on disk, and `FaceLabel`, its landmarks."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from senet_kp.face.known_schemes import SCHEMES
from senet_kp.face.label_map import LabelMap
from senet_kp.face.scheme import LandmarkScheme

# Distances of a landmark from the median of all of them, in median distances. Measured: the largest
# is 3.8 in 300W-LP, AFLW2000-3D and P1 (6,000 faces, 68 points), and 5.7 in all but one of AFLW's
# first 6,000 faces, in which few of 21 points are visible; that one is a wrong label.
CORNER, FARTHEST = 4.0, 8.0
MIN_POINTS = 4  # with fewer, one wrong point moves the median


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
    label_map: how the landmarks of the label become those of the records; None if they are the same
    columns:  {name: cell} of the columns of a user's table by which --group-by can form groups
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
    label_map: LabelMap | None = None
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FaceLabel:
    """The label of one face.

    landmarks: [N, 2] float64, pixels of the picture; the centre of the first pixel is 0
    mask:      [N] bool, True where a landmark is known
    pose_deg:  [3] pitch, yaw, roll in degrees; NaN if unknown
    box:       [x, y, w, h] in pixels, if the data set has face boxes
    whole:     [M, 2] the landmarks with estimates for those that are missing, which only the face
               box uses; None if none are missing or nothing can be estimated
    """

    landmarks: np.ndarray
    mask: np.ndarray
    pose_deg: np.ndarray
    box: np.ndarray | None = None
    whole: np.ndarray | None = None


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
    refuse_far_points(where, points, np.ones(count, bool))
    return points


def stated_missing(values, mask) -> np.ndarray:
    """Return bool [n], True where a known landmark is a value that stands for a missing one.

    values: [n, 2], coordinates as the file has them
    AFLW, WIDER FACE and others write -1 -1, and some programs 0 0, for a point that is not visible.
    0 0 can also be the corner of the picture: it is missing if several landmarks have it or it is
    far from the others.
    """
    negative = mask & (values == -1).all(axis=1)
    zero = mask & (values == 0).all(axis=1)
    far = distances(values, mask & ~negative & ~zero)[zero] > CORNER
    return negative | (zero & (zero.sum() > 1 or far.any()))


def distances(landmarks, mask) -> np.ndarray:
    """Return the distance of every landmark [n] from the median of the known ones.

    Its unit is the median distance of the known ones. It is 0 if fewer than MIN_POINTS are known.
    """
    if mask.sum() < MIN_POINTS:
        return np.zeros(len(landmarks))
    found = np.hypot(*(landmarks - np.median(landmarks[mask], axis=0)).T)
    return found / max(np.median(found[mask]), 1e-9)


def refuse_far_points(where: str, landmarks, mask):
    """Raise Rejected, naming `where` and the landmark, if a known one is far from the others."""
    far = np.where(mask, distances(landmarks, mask), 0)
    point = int(np.argmax(far))
    if far[point] > FARTHEST:
        x, y = landmarks[point]
        raise Rejected(
            "far-point",
            f"{where}: point {point} (the first is 0) at {x:g}, {y:g} is farther from the others"
            " than a face is large; correct it, or mark it as missing",
        )


def checked_label(
    where: str, landmarks, mask, scheme: LandmarkScheme, box=None, first_pixel: int = 0
) -> FaceLabel:
    """Return the label of landmarks [n, 2], 0-based pixels, which are known where mask [n] is True.

    Landmarks that the file states as missing (`stated_missing`) become unknown. `first_pixel` is
    the file's coordinate of the first pixel. Raises Rejected, naming `where`, if their number is
    not that of the scheme, or a known landmark is not finite or far from the others.
    """
    if len(landmarks) != scheme.count:
        raise wrong_count(where, len(landmarks), scheme)
    if not np.isfinite(landmarks[mask]).all():
        raise Rejected("not-finite", f"{where} contains values that are not finite")
    mask = mask & ~stated_missing(landmarks + first_pixel, mask)
    refuse_far_points(where, landmarks, mask)
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
