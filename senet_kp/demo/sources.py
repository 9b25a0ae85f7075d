"""What the demo reads: pictures, folders of pictures, videos, and a file of face boxes."""

from pathlib import Path
from typing import NamedTuple

import cv2

from senet_kp.demo.names import leave_out_own
from senet_kp.face.folders import (
    VIDEO_SUFFIXES,
    contents_below,
    is_picture,
    require_pictures,
    suffix_of,
    unread_format,
)
from senet_kp.tfrecords.errors import UserError, brief
from senet_kp.tfrecords.files import read_json
from senet_kp.tfrecords.forms import NUMBER, listed

PIPE = "-"  # a source: the frames that another program writes to standard input


class Source(NamedTuple):
    """A picture, video, camera or address, and the subfolder of a given folder that it is in."""

    path: str
    below: str = ""


def pictures_of(
    source: str, drawings: Path | None = None, crops: Path | None = None
) -> tuple[list[Source], list[str]]:
    """The pictures in a folder and its subfolders, or else the source itself; and what is left out.

    drawings and crops: the folders that results are written to, which may be in this one. The
    returned lines describe what is left out. Raises InputError for a folder in which no picture
    can be read.
    """
    if not Path(source).is_dir():
        return [Source(source)], []
    found = contents_below(source)
    leave_out_own(found, drawings, crops)
    require_pictures(source, found)
    pictures = ((str(path), path.relative_to(source).parent) for path in found.pictures)
    return [Source(path, str(below)) for path, below in pictures], found.lines()


def is_video(source: str) -> bool:
    """Whether a source is a video: by its suffix, a camera, an address, or by its contents.

    The contents decide for a file whose suffix is neither one of a video nor one of a picture.
    """
    if suffix_of(source) in VIDEO_SUFFIXES or is_live(source):
        return True
    known = is_picture(source) or unread_format(source) or not Path(source).is_file()
    known = known or Path(source).stat().st_size == 0
    return not known and not cv2.haveImageReader(source) and cv2.VideoCapture(source).isOpened()


def is_live(source: str) -> bool:
    """Whether a source is a camera, address or pipe, whose frames can be read only once."""
    return source == PIPE or is_camera(source) or "://" in source


def is_camera(source: str) -> bool:
    """Whether a source is a camera number: digits that are not the name of a file."""
    return source.isdecimal() and not Path(source).exists()


def read_boxes(path: str) -> dict[str, list]:
    """The face boxes {file name: [[x, y, w, h], ...]} in a JSON file.

    Raises UserError if the file cannot be read or has another form, or a box is not a square.
    """
    try:
        boxes = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"--boxes {path}: not readable ({brief(error)})") from None
    if not isinstance(boxes, dict):
        raise UserError(f'--boxes {path}: not of the form {{"name.jpg": [[x, y, w, h], ...]}}')
    for name, given in boxes.items():
        if not (isinstance(given, list) and all(map(_is_square, given))):
            raise UserError(
                f"--boxes {path}: the value of {brief(name)} has to be a list of squares"
                " [x, y, w, h] with w = h > 0"
            )
    return boxes


def boxes_of(source: str, boxes: dict[str, list]) -> list:
    """The face boxes of a source, by its path or its file name; an empty list if it has none."""
    return boxes.get(source, boxes.get(Path(source).name, []))


def _is_square(box) -> bool:
    """Whether this is [x, y, w, h] with w > 0 and w == h up to rounding."""
    return not listed(NUMBER, 4)(box) and box[2] > 0 and abs(box[2] - box[3]) <= 1e-3 * box[2]
