"""One face of a video over time: where it is, where it is going, and whether it is lost."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from senet_kp.inference.predictor import Face
from senet_kp.tracking.smoothing import FaceSmoother, SmoothingConfig

# The share of the newest speed in that by which a face is expected to go on. Half of it halves the
# variance of the landmarks' jitter in it to a third.
NEW_SPEED = 0.5


class Way(NamedTuple):
    """A straight, even motion: centre [2] in pixels and face size in pixels at a time, and speed
    [2] in pixels per second."""

    centre: np.ndarray
    size_px: float
    speed: np.ndarray
    time_s: float

    def centre_at(self, time_s: float) -> np.ndarray:
        """Where the centre is at another time, if the motion goes on."""
        return self.centre + (time_s - self.time_s) * self.speed


@dataclass(eq=False)
class Track:
    """A face with one identity.

    face:     as the network found it last
    shown:    the same with the identity and, if they are smoothed, its smoothed landmarks
    lost:     whether it was not found again
    way:      its present motion
    free_way: its motion when no other face was near it
    sure_way: its motion when the detector found it, too
    """

    id: int
    face: Face | None = None
    shown: Face | None = None
    lost: bool = False
    way: Way | None = None
    free_way: Way | None = None
    sure_way: Way | None = None
    _smoother: FaceSmoother | None = None

    @property
    def time_s(self) -> float:
        """When the face was seen last."""
        return self.way.time_s

    def enter(self, face: Face, time_s: float, smoothing: SmoothingConfig | None):
        """The face as it is seen now; smoothing: the filters' settings, or None for none."""
        begins = self.way is None or self.lost
        if begins and smoothing:
            self._smoother = FaceSmoother(smoothing)
        landmarks = self._smoother(face.landmarks, time_s) if smoothing else face.landmarks
        self.face, self.lost = face, False
        self.shown = replace(face, landmarks=landmarks, id=self.id)
        centre, size_px = landmarks.mean(axis=0), float(np.ptp(landmarks, axis=0).max())
        self.way = Way(centre, size_px, self._speed(centre, time_s, begins), time_s)
        if begins:
            self.free_way = self.sure_way = self.way

    def _speed(self, centre, time_s: float, begins: bool) -> np.ndarray:
        if begins:
            return np.zeros(2)
        newest = (centre - self.way.centre) / (time_s - self.way.time_s)
        return self.way.speed + NEW_SPEED * (newest - self.way.speed)

    def expected_landmarks(self, time_s: float) -> np.ndarray:
        """The landmarks [N, 2] in pixels, moved on by the speed of the face."""
        return self.shown.landmarks + (time_s - self.time_s) * self.way.speed

    def confirm(self, score: float | None):
        """The detector has found the face, too; score: the detector's."""
        self.face, self.shown = replace(self.face, score=score), replace(self.shown, score=score)
        self.sure_way = self.way

    def keep_way(self):
        """No other face is near: what the face does now is its own motion."""
        self.free_way = self.way

    def off_its_way(self, time_s: float) -> float:
        """How far the face is from where its own motion leads, in its sizes."""
        expected = self.free_way.centre_at(time_s)
        return float(np.linalg.norm(self.way.centre - expected) / self.free_way.size_px)
