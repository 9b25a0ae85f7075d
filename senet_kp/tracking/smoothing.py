"""Landmarks without jitter: One-Euro filters in the face's own frame.

A face moves and turns as a whole, and much faster than its landmarks move against each other. The
similarity transform (position, size, roll) from the face's first landmarks to the present ones, and
the landmarks in the coordinates of that transform, are therefore filtered with settings of their
own.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from senet_kp.face.turned import similarity
from senet_kp.inference.predictor import Face
from senet_kp.tracking.one_euro import OneEuro, OneEuroFilter


@dataclass(frozen=True)
class SmoothingConfig:
    """The filters' settings. Lengths are in sizes of the face, the root mean square distance of its
    landmarks from their mean.

    The defaults were chosen on photos under a moving camera (benchmarks.bench_video): of 23
    settings, those with the least flicker whose NME grows by at most 0.01 % and whose lag is below
    0.25 frames.
    """

    position: OneEuro = field(default_factory=lambda: OneEuro(6.0, 20.0))
    """of the mean of the landmarks"""
    size_and_roll: OneEuro = field(default_factory=lambda: OneEuro(2.0, 10.0))
    """of the logarithm of the size and the roll in radians"""
    shape: OneEuro = field(default_factory=lambda: OneEuro(1.0, 4.0))
    """of the landmarks in the face's own frame"""


class FaceSmoother:
    """Smooths the landmarks of one face from frame to frame, with what came before (live)."""

    def __init__(self, config: SmoothingConfig | None = None):
        config = config or SmoothingConfig()
        self._position = OneEuroFilter(config.position)
        self._size_and_roll = OneEuroFilter(config.size_and_roll)
        self._shape = OneEuroFilter(config.shape)
        self._reference, self._roll = None, 0.0

    def __call__(self, landmarks, time_s: float) -> np.ndarray:
        """The smoothed landmarks [N, 2] in pixels; time_s has to grow from call to call."""
        landmarks = np.asarray(landmarks, np.float64)
        if self._reference is None:
            self._reference = _normalised(landmarks)
        turn, move = similarity(self._reference, landmarks)
        size_px = abs(turn)
        # The angle nearest to that of the frame before: a head that rolls over does not jump.
        angle = np.angle(turn)
        self._roll += (angle - self._roll + np.pi) % (2 * np.pi) - np.pi
        own = (landmarks @ (1, 1j) - move) / turn
        shape = self._shape(np.column_stack([own.real, own.imag]), time_s) @ (1, 1j)
        centre = self._position([move.real, move.imag], time_s, size_px) @ (1, 1j)
        log_size, roll = self._size_and_roll([np.log(size_px), self._roll], time_s)
        points = np.exp(log_size + 1j * roll) * shape + centre
        return np.column_stack([points.real, points.imag])


def _normalised(landmarks) -> np.ndarray:
    """The landmarks with a mean of 0 and a root mean square distance from it of 1."""
    centred = landmarks - landmarks.mean(axis=0)
    return centred / np.sqrt((centred**2).sum(axis=1).mean())


def smoothed_offline(
    frames: list[list[Face]], times_s: list[float], config: SmoothingConfig | None = None
) -> list[list[Face]]:
    """The faces of a whole video with smoothed landmarks that do not lag.

    Every face is filtered forwards and backwards in time, and the mean of both is taken; after
    frames in which it was not found, it begins anew. frames: the faces of each frame, with their
    ids; times_s: the frames' time stamps, which grow.
    """
    parts, smooth = _uninterrupted(frames), {}
    for identity, seen in parts:
        stamps = np.array([times_s[number] for number, _ in seen])
        shapes = [landmarks for _, landmarks in seen]
        forwards = _filtered(shapes, stamps, config)
        backwards = _filtered(shapes[::-1], -stamps[::-1], config)[::-1]
        for (number, _), both in zip(seen, (forwards + backwards) / 2, strict=True):
            smooth[identity, number] = both
    return [
        [replace(face, landmarks=smooth[face.id, number]) for face in faces]
        for number, faces in enumerate(frames)
    ]


def _uninterrupted(frames: list[list[Face]]) -> list[tuple]:
    """Pairs of an id and [(frame, landmarks), ...] of successive frames in which it was found."""
    parts, latest = [], {}
    for number, faces in enumerate(frames):
        for face in faces:
            before, part = latest.get(face.id, (None, None))
            if before != number - 1:
                part = []
                parts.append((face.id, part))
            part.append((number, face.landmarks))
            latest[face.id] = number, part
    return parts


def _filtered(shapes, times_s, config) -> np.ndarray:
    smoother = FaceSmoother(config)
    return np.array([smoother(*seen) for seen in zip(shapes, times_s, strict=True)])
