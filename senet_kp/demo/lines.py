"""The formats of results, JSON lines and CSV, and files of them that appear when a run ends."""

import contextlib
import csv
import errno
import io
import json
import os
from collections.abc import Callable
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


def csv_format(landmarks: int, pose: bool = False, crops: bool = False) -> LineFormat:
    """The CSV table: one row for each face, or for a picture without one, whose face is 0.

    landmarks: the number that a face has. pose and crops: whether there are columns for them.
    """
    points = [f"{axis}{index}" for index in range(landmarks) for axis in "xy"]
    columns = [
        *("source", "frame", "face", "error", "picture_width", "picture_height"),
        *("box_x", "box_y", "box_width", "box_height", "score", "roll_deg"),
        *(("pose_pitch_deg", "pose_yaw_deg", "pose_roll_deg") if pose else ()),
        *(("crop",) if crops else ()),
        *points,
    ]

    def encode(described: dict) -> str:
        picture = [described["source"], described["frame"]], [described.get("error")]
        picture[1].extend([described["width"], described["height"]])
        faces = [_cells(face, pose, crops) for face in described["faces"]]
        rows = [[*picture[0], number, *picture[1], *face] for number, face in enumerate(faces, 1)]
        empty = [None] * (len(columns) - 6)
        return _table(rows or [[*picture[0], 0, *picture[1], *empty]])

    return LineFormat(_table([columns]), encode)


def _cells(face: dict, pose: bool, crops: bool) -> list:
    """What the table says of a face, after the columns of its picture."""
    return [
        *face["box"],
        face["score"],
        face["roll_deg"],
        *((face["pose"] or [None] * 3) if pose else ()),
        *([face["crop"]] if crops else ()),
        *(value for point in face["landmarks"] for value in point),
    ]


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
