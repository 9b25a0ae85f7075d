"""What people and cameras do over time: smooth random motion, steps, blinks and speech."""

from dataclasses import dataclass, fields

import numpy as np

BLINK_S = (0.10, 0.08, 0.16)  # closing, closed and opening


@dataclass(frozen=True)
class Motion:
    """A person's motion over T frames, each value [T]; or, from `at`, numbers of one frame."""

    x_px: np.ndarray  # of the head's origin, which lies between the ears, in the frame
    y_px: np.ndarray
    px_per_cm: np.ndarray
    pitch_deg: np.ndarray  # as in data_prep.sample_faces.camera
    yaw_deg: np.ndarray
    roll_deg: np.ndarray
    mouth_open: np.ndarray  # as in data_prep.sample_faces.traits.Expression
    eyes_open: np.ndarray
    brow_raise: np.ndarray
    smile: np.ndarray

    def at(self, frame: int) -> "Motion":
        """The numbers of a frame."""
        # Python floats, because np.float64 would promote the renderer's float32 arrays.
        return Motion(*(float(getattr(self, field.name)[frame]) for field in fields(Motion)))


def wave(rng, times_s, slowest_hz: float = 0.1, fastest_hz: float = 0.5) -> np.ndarray:
    """Values [T] within -1..1: the mean of three sines of random frequencies and phases."""
    hz, phase = rng.uniform(slowest_hz, fastest_hz, 3), rng.uniform(0, 2 * np.pi, 3)
    return np.sin(2 * np.pi * np.outer(times_s, hz) + phase).mean(axis=1)


def step(times_s, start_s: float, end_s: float) -> np.ndarray:
    """Values [T] that go from 0 to 1 between two times with minimum jerk.

    Flash and Hogan, "The coordination of arm movements", Journal of Neuroscience 1985.
    """
    u = np.clip((np.asarray(times_s) - start_s) / (end_s - start_s), 0, 1)
    return u**3 * (10 - 15 * u + 6 * u**2)


def blinks(rng, times_s) -> np.ndarray:
    """How far the eyes are open [T], 0..1, with a blink every one to three seconds."""
    opening, start_s = np.ones(len(times_s)), rng.uniform(0.3, 1.5)
    closing_s, closed_s, opening_s = BLINK_S
    while start_s < times_s[-1]:
        reopened_s = start_s + closing_s + closed_s
        lid = step(times_s, start_s, start_s + closing_s)
        opening -= lid - step(times_s, reopened_s, reopened_s + opening_s)
        start_s += rng.uniform(1, 3)
    return opening


def speech(rng, times_s) -> np.ndarray:
    """How far the mouth is open [T] in cm: syllables, 2 to 5 in a second, louder and softer."""
    syllables = np.clip(0.5 + wave(rng, times_s, 2, 5), 0, None)
    return 1.2 * syllables * (0.7 + 0.3 * wave(rng, times_s))


def idle(rng, times_s, x_px: float, y_px: float, px_per_cm: float) -> Motion:
    """A person who stands or sits at a place, looks at the camera, and blinks."""
    moved = [wave(rng, times_s) for _ in range(8)]
    return Motion(
        x_px=x_px + 8 * moved[0],
        y_px=y_px + 5 * moved[1],
        px_per_cm=px_per_cm * (1 + 0.03 * moved[2]),
        pitch_deg=5 * moved[3],
        yaw_deg=12 * moved[4],
        roll_deg=5 * moved[5],
        mouth_open=np.zeros(len(times_s)),
        eyes_open=blinks(rng, times_s),
        brow_raise=0.2 * moved[6],
        smile=0.2 + 0.2 * moved[7],
    )
