"""What the demo reads: pictures, folders of pictures, videos, and a file of face boxes."""

from pathlib import Path

import cv2

from senet_kp.face.folders import (
    VIDEO_SUFFIXES,
    is_picture,
    pictures_in,
    suffix_of,
    unread_format,
)
from senet_kp.tfrecords.errors import InputError, UserError, brief
from senet_kp.tfrecords.files import read_json
from senet_kp.tfrecords.forms import NUMBER, listed

PIPE = "-"  # a source: the frames that another program writes to standard input


def pictures_of(source: str) -> tuple[list[str], list[str]]:
    """The pictures directly in a folder, or else the source itself; and lines on what is left out.

    Raises InputError for a folder that has no pictures or cannot be listed.
    """
    if not Path(source).is_dir():
        return [source], []
    try:
        found = pictures_in(source)
        return list(map(str, found.pictures)), found.lines()
    except OSError as error:
        raise InputError(f"{source}: the folder cannot be listed ({error.strerror})") from None


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
