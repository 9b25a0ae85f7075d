"""The demo on videos, cameras, streams and pipes: faces are tracked, drawn and written."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args

import cv2
from tqdm import tqdm

from senet_kp.demo.frames import USUAL_FPS, Frame, Frames, PipeReader, VideoReader
from senet_kp.demo.measures import Measures
from senet_kp.demo.one_picture import PictureWork
from senet_kp.demo.results import describe, draw_faces, incomplete, show, video_file
from senet_kp.demo.sources import PIPE, is_live
from senet_kp.face.draw import draw_text
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.tfrecords.errors import UserError
from senet_kp.tracking.smoothing import smoothed_offline
from senet_kp.tracking.tracker import FaceTracker, Smoothing, TrackingConfig

OFFLINE = "offline"
FPS_FRAMES = 30  # over which the shown frames per second are averaged

Find = Callable[[Frame], tuple[list[Face], list[Face]]]
"""What finds the faces in a frame, with their ids: smoothed, and as the network has found them."""


def add_arguments(group):
    """Add the flags for videos to a group of the demo's parser."""
    group.add_argument(
        "--smooth",
        choices=(*get_args(Smoothing), OFFLINE),
        default=TrackingConfig.smooth,
        help="remove jitter from the landmarks: live, or with a look ahead (offline, for files)"
        " (default: %(default)s)",
    )
    group.add_argument(
        "--detect-every",
        type=int,
        metavar="N",
        default=TrackingConfig.detect_every,
        help="search for new faces in every Nth frame; known faces are followed in all (default:"
        " %(default)s)",
    )
    group.add_argument(
        "--raw",
        metavar="WxH",
        help="the pipe (-) holds raw RGB pictures of this size, and not JPEG pictures",
    )
    group.add_argument(
        "--fps",
        type=float,
        default=USUAL_FPS,
        help="frames per second of the pipe (default: %(default)g)",
    )


def check_arguments(args):
    """Raise UserError if the flags for videos are out of range or contradict the sources."""
    if args.detect_every < 1:
        raise UserError("--detect-every must be at least 1")
    if not args.fps > 0:
        raise UserError("--fps must be above 0")
    if args.raw:
        args.raw = _size(args.raw)
        if PIPE not in args.source:
            raise UserError(f"--raw: is for a pipe; name {PIPE} as a source")
    if args.smooth == OFFLINE and (live := [one for one in args.source if is_live(one)]):
        raise UserError(
            f"--smooth offline: reads a video twice, which {live[0]} does not allow; use --smooth"
            " live"
        )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UserError(f"--raw {text}: is not a size such as 640x480")
    return int(width), int(height)


def process_video(source: str, work: PictureWork, given: Find | None, args, write_line):
    """Predict, draw and write every frame; the drawn frames become a video.

    work: what is done with single pictures. given: finds the faces in given boxes; None to track
    detected faces. Raises InputError if the source cannot be read.
    """
    frames = _opened(source, args)
    target = args.names.target(frames.name, ".mp4")
    read = with_faces = 0
    # Ctrl-C ends the recording of a live source, but leaves a video file incomplete.
    stop = contextlib.suppress(KeyboardInterrupt if is_live(source) else ())
    meter, fit, measures = FpsMeter(), Fit(source, frames.size), Measures(work.predictor.scheme)
    video = video_file(target, frames.fps, frames.size) if args.draw else _no_file()
    find = given or _tracked(work.predictor, args)
    try:
        with video as write_frame, stop:
            for (time_s, picture), faces, found in _seen(source, frames, find, args):
                rotations = work.facts.rotations(picture, faces)
                facts = work.facts.of(picture, found, rotations, measures, time_s)
                write_line(describe(source, read, picture, faces, facts, time_s))
                drawn = picture
                if args.draw:
                    draw_faces(drawn, faces, work.predictor.scheme, rotations)
                write_frame(fit(drawn, read))
                read, with_faces = read + 1, with_faces + bool(faces)
                if args.show and show(meter.drawn_on(drawn), wait_ms=1) == ord("q"):
                    break
    except KeyboardInterrupt:
        where = f", {incomplete(target)}" if args.draw else ""
        print(f"{source}: stopped after {read} frames{where}", file=sys.stderr)
        raise
    if frames.ending:
        print(frames.ending, file=sys.stderr)
    where = f", {target}" if args.draw else ""
    print(f"{source}: {read} frames, {with_faces} with faces{where}", file=sys.stderr)


@contextlib.contextmanager
def _no_file():
    """In place of `video_file`, with --no-draw."""
    yield lambda picture: None


def _opened(source: str, args) -> Frames:
    return PipeReader(None, args.raw, args.fps) if source == PIPE else VideoReader(source)


def _tracked(predictor: LandmarkPredictor, args) -> Find:
    smooth = "off" if args.smooth == OFFLINE else args.smooth
    tracker = FaceTracker(predictor, TrackingConfig(args.detect_every, smooth=smooth))
    return lambda frame: (tracker.update(frame.picture, frame.time_s), tracker.found())


def _seen(source: str, frames: Frames, find: Find, args) -> Iterator[tuple]:
    """Yield every frame, its smoothed faces and its faces as they were found.

    With --smooth offline, that begins after all frames were seen once.
    """
    if args.smooth != OFFLINE:
        for frame in _counted(frames, source):
            yield frame, *find(frame)
        return
    times_s, found = [], []
    for frame in _counted(VideoReader(source), source):
        times_s.append(frame.time_s)
        found.append(find(frame)[1])
    yield from zip(frames, smoothed_offline(found, times_s), found, strict=False)


def _counted(frames: Frames, source: str):
    """The frames, behind a progress bar if the source states how many there are."""
    if not frames.count:
        return frames
    return tqdm(frames, total=frames.count, unit="frame", desc=source, disable=None)


def numbered(faces: list[Face]) -> list[Face]:
    """Faces in given boxes, whose ids are their numbers in the list."""
    return [replace(face, id=number) for number, face in enumerate(faces)]


class Fit:
    """Brings drawn frames to the size of the first one, since all frames of a video have one size.

    A source whose frames change their size is reported once.
    """

    def __init__(self, source: str, size: tuple[int, int]):
        self._source, self._size, self._told = source, size, False

    def __call__(self, picture, number: int):
        size = picture.shape[1::-1]
        if size == self._size:
            return picture
        if not self._told:
            print(
                f"{self._source}: from frame {number} on, frames have {size[0]}x{size[1]} px and"
                f" not {self._size[0]}x{self._size[1]}; they are drawn in the size of the first",
                file=sys.stderr,
            )
        self._told = True
        return cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)


class FpsMeter:
    """Frames per second over the latest frames."""

    def __init__(self):
        self._times_s = deque(maxlen=FPS_FRAMES)

    def drawn_on(self, picture):
        """Count a frame; return a copy of its picture with the frames per second."""
        self._times_s.append(time.perf_counter())
        took_s = self._times_s[-1] - self._times_s[0]
        if not took_s:
            return picture
        rate = (len(self._times_s) - 1) / took_s
        return draw_text(picture.copy(), f"{rate:.0f} fps", (8, 8))
