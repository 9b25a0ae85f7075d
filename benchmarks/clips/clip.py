"""A clip: the frames of a video, as they were recorded, and the true landmarks in them."""

from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.pictures import stored_picture
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import atomic_path

FPS = 25.0


@dataclass(frozen=True)
class Clip:
    """T frames with F faces of N landmarks, in pixels; the first pixel's centre is (0, 0)."""

    name: str
    jpegs: list[bytes]
    """the frames, compressed as in Motion JPEG"""
    landmarks: np.ndarray
    """[T, F, N, 2], also of faces that are hidden or outside of the frame"""
    visible: np.ndarray
    """[T, F], the share of the landmarks that are in the frame and not hidden by anything else"""
    closed: np.ndarray | None
    """[T, F] bool, whether the eyes are closed; None if that is not known"""
    all_known: bool = True
    """whether every face in the frames has landmarks"""

    def __len__(self) -> int:
        return len(self.jpegs)

    @property
    def times_s(self) -> list[float]:
        """The time stamps of the frames."""
        return [number / FPS for number in range(len(self))]

    def frame(self, number: int) -> np.ndarray:
        """A frame [H, W, 3] uint8 RGB."""
        return stored_picture(self.jpegs[number], f"{self.name}, frame {number}", "jpeg")


def jpeg_of(picture, quality: int) -> bytes:
    """A frame [H, W, 3] uint8 RGB, compressed with a JPEG quality of 1 to 100."""
    bgr = np.ascontiguousarray(picture[..., ::-1])
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()


def write_clip(path: Path, clip: Clip, settings: str):
    """Write a clip whose closed eyes are known, and the settings that it was made with, as .npz."""
    stored = {field.name: getattr(clip, field.name) for field in fields(Clip)}
    stored["jpegs"] = np.frombuffer(b"".join(clip.jpegs), np.uint8)
    ends = np.cumsum([len(jpeg) for jpeg in clip.jpegs])
    with atomic_path(path, ".npz") as temporary:
        np.savez(temporary, settings=settings, ends=ends, **stored)


def read_clip(path: Path, settings: str) -> Clip | None:
    """The clip that `write_clip` wrote; None without a file, or if it has other settings.

    Raises InputError if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["settings"]) != settings:
                return None
            values = {field.name: stored[field.name] for field in fields(Clip)}
            parts = np.split(values.pop("jpegs"), stored["ends"][:-1])
    except Exception as error:  # NumPy and zipfile raise exceptions of many types for damage
        raise InputError(f"{path}: not a readable clip ({error}); remove the file") from None
    name, all_known = str(values.pop("name")), bool(values.pop("all_known"))
    return Clip(name, [part.tobytes() for part in parts], all_known=all_known, **values)
