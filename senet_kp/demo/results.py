"""What the demo writes for a picture: its description, drawings and videos, and a window."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.draw import draw_axes, draw_box, draw_landmarks, draw_text
from senet_kp.face.pictures import BadPicture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.predictor import Face
from senet_kp.tfrecords.errors import OutputError
from senet_kp.tfrecords.files import atomic_path


def describe(
    source: str,
    frame: int | None,
    picture,
    faces: list[Face],
    facts: list[dict] | None = None,
    time_s: float | None = None,
) -> dict:
    """One line of the JSON output: coordinates in pixels, rounded to 0.001.

    frame: the number of a video's frame, from 0; None for a picture. facts: further entries of each
    face. time_s: the time stamp of a video's frame; with it, faces have their id.
    """
    facts = facts or [{}] * len(faces)
    video = {} if time_s is None else {"time_s": round(time_s, 4)}
    return {
        "source": source,
        "frame": frame,
        **video,
        "width": picture.shape[1],
        "height": picture.shape[0],
        "faces": [
            {
                **({"id": face.id} if video else {}),
                "box": np.round(face.box, 3).tolist(),
                "score": None if face.score is None else round(face.score, 4),
                "landmarks": np.round(face.landmarks, 3).tolist(),
                "roll_deg": round(face.roll_deg, 2),
                **more,
            }
            for face, more in zip(faces, facts, strict=True)
        ],
    }


def describe_unreadable(source: str, error: BadPicture) -> dict:
    """The line of the JSON output for a picture that cannot be read."""
    unknown = {"frame": None, "width": None, "height": None, "faces": []}
    return {"source": source, **unknown, "error": error.message}


def draw_faces(picture, faces: list[Face], scheme: LandmarkScheme, rotations: list | None = None):
    """Draw boxes and landmarks, and the axes of the heads' rotations, into the picture itself."""
    for face, rotation in zip(faces, rotations or [None] * len(faces), strict=True):
        draw_box(picture, face.box, roll_deg=face.roll_deg)
        if face.id is not None:
            draw_text(picture, f"{face.id}", face.box[:2])
        draw_landmarks(picture, face.landmarks, scheme)
        if rotation is not None:
            draw_axes(picture, face.landmarks, rotation)
    return picture


@contextlib.contextmanager
def video_file(target: Path, fps: float, size: tuple[int, int]):
    """Yield a function that appends a picture [H, W, 3] uint8 RGB to an MP4 file.

    size: (width, height). The file appears when the block ends without an error. If Ctrl-C ends
    the block, the frames so far are the file `incomplete(target)`. Raises OutputError if the file
    does not hold every picture: cv2.VideoWriter itself reports no full disk and no missing encoder.
    """
    stopped, written = None, 0
    with atomic_path(incomplete(target), ".mp4") as temporary:
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)

        def write_frame(picture):
            nonlocal written
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            written += 1

        try:
            yield write_frame
        except KeyboardInterrupt as interrupt:
            if not written:
                raise
            stopped = interrupt
        finally:
            writer.release()
        if (readable := _frames_in(temporary)) != written:
            raise OutputError(
                f"{target}: only {readable} of {written} frames could be written; free some space"
                " or choose another output folder (--out)"
            )
    if stopped:
        raise stopped
    os.replace(incomplete(target), target)


def incomplete(target: Path) -> Path:
    """The name of a video that ends before its source does."""
    return target.with_stem(f"{target.stem}-incomplete")


def _frames_in(path) -> int:
    """The number of frames that can be read from a video file."""
    capture, frames = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        frames += 1
    return frames


def no_window_reason() -> str | None:
    """Why no window can be shown, or None. Without this check Qt would abort the process."""
    gui = [line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line]
    if not gui or "NONE" in gui[0]:
        return (
            "this OpenCV is built without windows (`make setup GUI=1` installs one with windows;"
            " without make, install opencv-python instead of opencv-python-headless)"
        )
    return None if _has_display() else "there is no display"


def viewer() -> str | None:
    """The system's command that opens a file with its usual program; None if there is none."""
    command = {"darwin": "open", "win32": "explorer"}.get(sys.platform, "xdg-open")
    return shutil.which(command) if _has_display() else None


def open_in_viewer(path):
    """Open a file with the system's viewer, and do not wait for it."""
    subprocess.Popen(
        [viewer(), str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _has_display() -> bool:
    """Whether programs can open windows."""
    return sys.platform != "linux" or bool(os.getenv("DISPLAY") or os.getenv("WAYLAND_DISPLAY"))


def show(picture, wait_ms: int) -> int:
    """Show a picture in a window; return the code of the key that was pressed, or -1.

    wait_ms: how long to wait for a key, 0 for ever.
    """
    cv2.imshow("landmarks", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return cv2.waitKey(wait_ms)
