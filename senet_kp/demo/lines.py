"""The formats of results, JSON lines and CSV, and files of them that appear when a run ends."""

import contextlib
import csv
import errno
import io
import json
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from senet_kp.tfrecords.files import NAMES, atomic_path

STDOUT = "-"


class LineFormat(NamedTuple):
    """A format of results.

    start: what a file begins with. encode: from the description of a picture or frame
    (`senet_kp.demo.results.describe`) to its line or lines. Both end with line breaks.
    """

    start: str
    encode: Callable[[dict], str]


JSON = LineFormat("", lambda described: json.dumps(described) + "\n")


# The columns of what is said about a face on request, by its key in the JSON output.
FACTS = {
    "pose": ("pose_pitch_deg", "pose_yaw_deg", "pose_roll_deg"),
    "certainty": ("certainty",),
    "eye_aspect_ratios": ("eye_aspect_ratio_left", "eye_aspect_ratio_right"),
    "mouth_opening": ("mouth_opening",),
    "crop": ("crop",),
}
_OF_PICTURE = ("source", "frame", "time_s", "error", "width", "height")
_OF_FACE = ("box_x", "box_y", "box_width", "box_height", "score", "roll_deg")


def csv_format(landmarks: int, facts: Sequence[str] = ()) -> LineFormat:
    """The CSV table: one row for each face, or for a picture without one, whose face is 0.

    landmarks: the number that a face has. facts: keys of FACTS, which have columns, too.
    """
    points = [f"{axis}{index}" for index in range(landmarks) for axis in "xy"]
    more = [column for key in facts for column in FACTS[key]]
    of_picture = [f"picture_{key}" if key in ("width", "height") else key for key in _OF_PICTURE]
    columns = [*of_picture, "face", "id", *_OF_FACE, *more, *points]

    def encode(described: dict) -> str:
        picture = [described.get(key) for key in _OF_PICTURE]
        faces = [[*picture, *_cells(*face, facts)] for face in enumerate(described["faces"], 1)]
        empty = [None] * (len(columns) - len(picture) - 1)
        return _table(faces or [[*picture, 0, *empty]])

    return LineFormat(_table([columns]), encode)


def _cells(number: int, face: dict, facts: Sequence[str]) -> list:
    """The cells of a face's row that follow the cells of its picture."""
    return [
        *(number, face.get("id"), *face["box"], face["score"], face["roll_deg"]),
        *(value for key in facts for value in _values(face[key], len(FACTS[key]))),
        *(value for point in face["landmarks"] for value in point),
    ]


def _values(found, columns: int) -> list:
    """The cells of a fact; it is None if it could not be found."""
    if found is None:
        return [None] * columns
    return found if isinstance(found, list) else [found]


def _table(rows: list) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


class Lines(NamedTuple):
    """Where the results of a run go that begins anew; see `senet_kp.demo.resumable.Resumable`."""

    write_line: Callable[[dict], None]
    done: tuple = ()


@contextlib.contextmanager
def all_lines(formats: dict[str, LineFormat]):
    """Yield the Lines that go to several files, each as in `lines`: {file: its format}."""
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(lines(*each)) for each in formats.items()]

        def write_line(described):
            for write in writers:
                write(described)

        yield Lines(write_line)


@contextlib.contextmanager
def lines(target: str, form: LineFormat):
    """Yield a function that writes the description of a picture or frame.

    target: a file, which appears when the block ends, with the lines that are complete by then
    even if an error or Ctrl-C ended it; "-" for standard output.
    """
    if target == STDOUT:
        print(form.start, end="")
        yield lambda described: print(form.encode(described), end="", flush=True)
    else:
        with _file_of_lines(target, form) as write_line:
            yield write_line


@contextlib.contextmanager
def _file_of_lines(target: str, form: LineFormat):
    """As `lines`, into a file. An error before the first line leaves an earlier file alone."""
    failure, start = None, form.start.encode()
    whole = len(start)
    with atomic_path(target) as temporary, open(temporary, "wb", buffering=0) as file:
        write_whole(file, start, target)

        def write_line(described):
            nonlocal whole
            whole += write_whole(file, encoded(form, described), target)

        try:
            yield write_line
        except BaseException as error:
            if whole == len(start):
                raise
            failure = error
        file.truncate(whole)
    if failure:
        raise failure


def encoded(form: LineFormat, described: dict) -> bytes:
    """The line or lines of a description as they are in a file."""
    return form.encode(described).encode(errors=NAMES)


def write_whole(file, data: bytes, target) -> int:
    """Write to an unbuffered file; return the length. Raises OSError, which names the target."""
    if file.write(data) < len(data):  # what a full disk does before it is an error
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    return len(data)
