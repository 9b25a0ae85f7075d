"""The frames of videos, cameras, streams and pipes, with their time stamps."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import cv2
import numpy as np

from senet_kp.demo.sources import PIPE, is_camera, is_live
from senet_kp.face.jpeg import SOI, decode_silently, end_of_jpeg
from senet_kp.tfrecords.errors import InputError

USUAL_FPS = 25.0  # of a source that does not state it
STALLED_S = 10  # a stream from which no frame comes for so long has ended
_CHUNK = 1 << 16  # bytes that are read from a pipe at a time
# A container states a number of frames that may be off by a few; a file that is cut off lacks more.
_LEAST_SHARE = 0.95


class Frame(NamedTuple):
    """A picture [H, W, 3] uint8 RGB and its time stamp in seconds, which grows."""

    time_s: float
    picture: np.ndarray


class Frames:
    """What all sources of frames have in common; can be iterated once and yields Frames.

    name: a name for results. fps: frames per second, as far as the source states it. size: (width,
    height) of the first frame in pixels. count: how many frames the source says it has, 0 if it
    does not say it. ending: after the last frame, a line that says why there
    are no more, or None if that is as it should be.
    """

    name: str
    fps: float
    size: tuple[int, int]
    count: int = 0
    ending: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        last_s = None
        for time_s, picture in self._read():
            if last_s is not None and time_s <= last_s:
                time_s = last_s + 1 / self.fps
            last_s = time_s
            yield Frame(time_s, picture)

    def _read(self):
        """Yield the time stamp, which may stand still, and the picture of every frame."""
        raise NotImplementedError


class VideoReader(Frames):
    """The frames of a video file, camera or address, by OpenCV, which turns them upright.

    The time stamps of a file are its own, also with a variable frame rate; those of a camera or
    address are when a frame arrived. Raises InputError if no frame can be read.
    """

    def __init__(self, source: str):
        self._source, camera = source, is_camera(source)
        self._live = is_live(source)
        if not self._live and not Path(source).exists():
            raise InputError(f"{source}: No such file or directory")
        self._capture = _capture(source)
        self._began_s = time.monotonic()
        ok, self._first = self._capture.read()
        if not ok:
            kind = "camera" if camera else "address" if self._live else "video"
            raise InputError(f"{source}: no frame could be read from this {kind}")
        self.name = f"camera{source}" if camera else _stem(source)
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or USUAL_FPS
        self.size = self._first.shape[1::-1]
        if not self._live:
            self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def _read(self):
        ok, frame, number, waited_s = True, self._first, 0, 0.0
        while ok:
            yield self._time_s(number), cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            number, asked_s = number + 1, time.monotonic()
            ok, frame = self._capture.read()
            waited_s = time.monotonic() - asked_s
        self.ending = self._why_it_ended(number, waited_s)

    def _time_s(self, number: int) -> float:
        if self._live:
            return time.monotonic() - self._began_s
        stated = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return stated if stated > 0 else number / self.fps

    def _why_it_ended(self, number: int, waited_s: float) -> str | None:
        if self._live:
            stalled = f", no frame came for {waited_s:.0f} s" if waited_s >= STALLED_S / 2 else ""
            return f"{self._source}: the stream ended after {number} frames{stalled}"
        if number >= _LEAST_SHARE * self.count:
            return None
        return (
            f"{self._source}: only {number} of {self.count} frames could be read; the file is cut"
            " off or damaged"
        )


def _capture(source: str) -> cv2.VideoCapture:
    if is_camera(source):
        return cv2.VideoCapture(int(source))
    if not is_live(source):
        return cv2.VideoCapture(source)
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    settings = [value for limit in limits for value in (limit, 1000 * STALLED_S)]
    return cv2.VideoCapture(source, cv2.CAP_ANY, settings)


class PipeReader(Frames):
    """The frames that another program writes to a pipe: JPEG pictures, or raw pixels.

    file: the pipe, opened for reading bytes, standard input by default. raw_size: (width, height)
    of raw RGB pictures without anything between them; None for JPEG pictures, one after another
    (MJPEG). fps: that of the time stamps. Raises InputError if no frame can be read.
    """

    def __init__(self, file=None, raw_size: tuple[int, int] | None = None, fps: float = USUAL_FPS):
        self._file, self._raw_size = file or sys.stdin.buffer, raw_size
        self.name, self.fps, self._left = "pipe", fps, b""
        self._pictures = self._raw() if raw_size else self._jpegs()
        self._first = next(self._pictures, None)
        if self._first is None:
            what = "raw frames" if raw_size else "JPEG pictures"
            raise InputError(f"{PIPE}: no frame could be read: the pipe holds no {what}")
        self.size = self._first.shape[1::-1]

    def _read(self):
        number = 0
        for number, picture in enumerate(self._all(), 1):
            yield (number - 1) / self.fps, picture
        if len(self._left) > 1:
            self.ending = f"{PIPE}: the pipe ended after {number} frames, in the middle of one"

    def _all(self):
        yield self._first
        yield from self._pictures

    def _raw(self):
        width, height = self._raw_size
        size = 3 * width * height
        while len(data := self._file.read(size)) == size:
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3).copy()
        self._left = data

    def _jpegs(self):
        while data := self._file.read1(_CHUNK):
            self._left += data
            start = self._left.find(SOI)
            if start < 0:
                self._left = self._left[-1:]  # it may be the first half of a start marker
            while start >= 0 and (end := end_of_jpeg(self._left, start)):
                coded, self._left = self._left[start:end], self._left[end:]
                picture = decode_silently(coded, cv2.IMREAD_COLOR_RGB)
                if picture is not None:
                    yield picture
                start = self._left.find(SOI)


def _stem(source: str) -> str:
    """The stem of a file's name, or of the path of an address; its host where it has no path."""
    if "://" not in source:
        return Path(source).stem
    address = urlsplit(source)
    return Path(address.path).stem or address.hostname or "address"
