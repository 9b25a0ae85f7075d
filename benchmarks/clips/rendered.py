"""Clips of rendered faces: made once, and kept in a folder."""

import json
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.clips.actor import Actor, Layer, placed
from benchmarks.clips.clip import FPS, Clip, jpeg_of, read_clip, write_clip
from benchmarks.clips.scripts import SCRIPTS, ClipName, Script
from senet_kp.data_prep.sample_faces.dataset import RENDERER
from senet_kp.data_prep.sample_faces.scene import random_background, random_light
from senet_kp.tfrecords.workers import worker_pool

VERSION = 1  # increased whenever the same settings would give other clips
SIZE_PX = (640, 480)
BOARD_PX = (210, 330)
EYES_CLOSED = 0.2  # of the opening between the lids at rest
QUALITY = 90
BLUR_PX, GRAIN = 0.5, 2.0  # of the camera; the grain's deviation in 8-bit values


class Scene:
    """A clip's people, background and light; `frame(number)` is one of its frames."""

    def __init__(self, name: ClipName, frames: int, seed: int):
        rng = np.random.default_rng([seed, list(SCRIPTS).index(name)])
        self.script: Script = SCRIPTS[name](rng, np.arange(frames) / FPS)
        self.actors = [Actor(rng.integers(1 << 32)) for _ in self.script.people]
        self._light = random_light(rng)
        self._background = cv2.resize(random_background(rng), SIZE_PX)
        self._board = random_background(rng)[: BOARD_PX[1], : BOARD_PX[0]]
        self._grain_seed = rng.integers(1 << 32)

    def frame(self, number: int) -> tuple[bytes, np.ndarray, np.ndarray, np.ndarray]:
        """A frame as JPEG; landmarks [F, 68, 2], visible [F] and closed [F] as in `Clip`."""
        poses = [person.at(number) for person in self.script.people]
        light = self._light_in(number)
        people = [
            placed(actor.rendered(pose, light), pose, SIZE_PX)
            for actor, pose in zip(self.actors, poses, strict=True)
        ]
        layers = people + self._boards_in(number)
        visible = [_visible(one.landmarks, layers[n + 1 :]) for n, one in enumerate(people)]
        exposure = 1.0 if self.script.exposure is None else self.script.exposure[number]
        picture = _recorded(
            _composed(self._background, layers), exposure, [self._grain_seed, number]
        )
        closed = [pose.eyes_open < EYES_CLOSED for pose in poses]
        landmarks = np.array([one.landmarks for one in people])
        return jpeg_of(picture, QUALITY), landmarks, np.array(visible), np.array(closed)

    def _light_in(self, number: int):
        """The light, turned about the vertical axis."""
        if self.script.light_turn_deg is None:
            return self._light
        turn = np.deg2rad(self.script.light_turn_deg[number])
        x, y, z = self._light.key
        level = np.hypot(x, z)
        return replace(self._light, key=np.float32((level * np.sin(turn), y, level * np.cos(turn))))

    def _boards_in(self, number: int) -> list[Layer]:
        if self.script.board_px is None:
            return []
        corner = self.script.board_px[number] - np.array(BOARD_PX) / 2
        matrix = np.column_stack([np.eye(2), corner])
        whole = np.ones(self._board.shape[:2], np.float32)
        linear, coverage = (cv2.warpAffine(one, matrix, SIZE_PX) for one in (self._board, whole))
        return [Layer(linear, coverage, np.empty((0, 2)))]


def _composed(background, layers: list[Layer]) -> np.ndarray:
    """The layers [H, W, 3], linear RGB, from the farthest to the nearest, over a background."""
    picture = background
    for layer in layers:
        picture = picture * (1 - layer.coverage[..., None]) + layer.linear
    return picture


def _visible(landmarks, nearer: list[Layer]) -> float:
    """The share of landmarks [N, 2] in the frame that no nearer layer covers."""
    x, y = np.round(landmarks).astype(int).T
    width, height = SIZE_PX
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    for layer in nearer:
        seen &= layer.coverage[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] < 0.5
    return float(seen.mean())


def _recorded(linear, exposure: float, seed) -> np.ndarray:
    """What the camera records, 8-bit RGB: the tone curve of the sample faces, blur and grain.

    Unlike theirs, blur and grain are equally strong in all frames.
    """
    exposed = exposure * linear
    encoded = np.sqrt(np.clip(1.28 * exposed / (1 + 0.28 * exposed), 0, 1))
    encoded = cv2.GaussianBlur(encoded, (0, 0), BLUR_PX)
    grain = np.random.default_rng(seed).normal(0, GRAIN, encoded.shape[:2])
    return np.clip(255 * encoded + grain[..., None], 0, 255).astype(np.uint8)


def rendered_clip(name: ClipName, frames: int, seed: int, folder: Path, processes: int = 1) -> Clip:
    """The clip of that name, from its file in the folder, or else rendered and stored there."""
    facts = {"frames": frames, "seed": seed, "version": VERSION, "renderer": RENDERER}
    path, settings = folder / f"{name}-{frames}-{seed}.npz", json.dumps(facts)
    clip = read_clip(path, settings)
    if clip is None:
        clip = _rendered(name, frames, seed, processes)
        write_clip(path, clip, settings)
    return clip


def _rendered(name: ClipName, frames: int, seed: int, processes: int) -> Clip:
    work, shown = partial(_frame, name, frames, seed), {"desc": name, "unit": "frame"}
    if processes == 1:
        made = list(tqdm(map(work, range(frames)), total=frames, disable=None, **shown))
    else:
        with worker_pool(processes) as pool:
            done = pool.map(work, range(frames))
            made = list(tqdm(done, total=frames, disable=None, **shown))
    jpegs, landmarks, visible, closed = zip(*made, strict=True)
    return Clip(name, list(jpegs), np.array(landmarks), np.array(visible), np.array(closed))


def _frame(name: ClipName, frames: int, seed: int, number: int):
    return _scene(name, frames, seed).frame(number)


@lru_cache(maxsize=1)  # a process renders the frames of one clip after another
def _scene(name: ClipName, frames: int, seed: int) -> Scene:
    return Scene(name, frames, seed)
