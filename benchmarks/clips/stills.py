"""Clips of labelled photos that a moving camera with sensor noise and compression records."""

import cv2
import numpy as np

from benchmarks.clips.clip import FPS, Clip, jpeg_of
from benchmarks.clips.motion import wave

# The largest shift, in sides of the photo, roll, and change of the logarithm of the scale.
SHIFT, ROLL_DEG, LOG_SCALE = 0.08, 10.0, 0.15
NOISE = 4.0  # deviation in 8-bit values
QUALITY = 50


def camera_motion(rng, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Smooth random similarity transforms [T, 2, 3] of a photo of size_px (width, height).

    They turn and scale it about its middle and shift it.
    """
    times_s = np.arange(frames) / FPS
    x, y, roll, log_scale = (wave(rng, times_s, 0.1, 0.8) for _ in range(4))
    turn = np.exp(LOG_SCALE * log_scale + 1j * np.deg2rad(ROLL_DEG) * roll)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]]).transpose(2, 0, 1)
    middle = (np.array(size_px) - 1) / 2
    shift = SHIFT * np.array(size_px) * np.stack([x, y], axis=1) + middle - linear @ middle
    return np.concatenate([linear, shift[..., None]], axis=2)


def moved_points(points, transforms) -> np.ndarray:
    """Points [N, 2] in the pixels of each frame, [T, N, 2]; transforms [T, 2, 3]."""
    return points @ transforms[:, :, :2].transpose(0, 2, 1) + transforms[:, None, :, 2]


def still_clip(name: str, photo, landmarks, frames: int, seed: int) -> Clip:
    """A clip of a photo [H, W, 3] uint8 RGB with one labelled face; landmarks [N, 2] in pixels."""
    rng = np.random.default_rng(seed)
    size_px = photo.shape[1::-1]
    transforms = camera_motion(rng, frames, size_px)
    points = moved_points(landmarks, transforms)
    inside = ((points >= 0) & (points <= np.array(size_px) - 1)).all(axis=2).mean(axis=1)
    return Clip(
        name,
        [jpeg_of(_recorded(photo, one, rng), QUALITY) for one in transforms],
        points[:, None],
        inside[:, None],
        None,
        all_known=False,
    )


def _recorded(photo, transform, rng) -> np.ndarray:
    moved = cv2.warpAffine(
        photo, transform, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    noise = rng.normal(0, NOISE, moved.shape)
    return np.clip(np.round(moved + noise), 0, 255).astype(np.uint8)
