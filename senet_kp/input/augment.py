"""Augmentation: one affine, one resampling of the stored context, then colour and damage.

Plain OpenCV on uint8, on one sample at a time: several times quicker than the same in TensorFlow's
ops, and the lock that Python threads share is free while it works. What happens to a sample
depends on its generator alone.
"""

import math
from dataclasses import dataclass
from zlib import crc32

import cv2
import numpy as np

from senet_kp.face.pictures import decode_picture
from senet_kp.face.scheme import LandmarkScheme, scheme_of

_LEVELS = np.arange(256, dtype=np.float32) / 255
_MIDDLE = np.float32(0.5)
# Of (shift x, shift y, log scale), where preparation could not measure the detector.
DEFAULT_SPREAD = (0.06, 0.06, 0.08)
DECODED_MB = 512  # 8,600 pictures at 96 px with context, 4,800 at 128; of larger sets the rest is
# decoded in every epoch, for a quarter of what a sample costs


@dataclass(frozen=True)
class AugmentConfig:
    flip: float = 0.5
    """share of pictures that are mirrored"""
    rotation_deg: float = 12.0
    """standard deviation of the turn in the picture's plane, degrees"""
    scale: float = 0.0
    """a face becomes up to this share larger or smaller, evenly spread: 0.2 for 0.8 to 1.2"""
    stretch: float = 0.05
    """standard deviation of the log of the factor that widens a face and lowers it as much"""
    box_jitter: float = 0.6
    """shift and scale of the box, in units of the spread of the detector's boxes in the manifest"""
    brightness: float = 0.1
    """standard deviation of what is added to all values, of the whole range"""
    contrast: float = 0.2
    """standard deviation of the log of the linear factor about the middle grey"""
    gamma: float = 0.2
    """standard deviation of the log of the exponent"""
    colour: float = 0.06
    """standard deviation of the log of each channel's own factor"""
    grey: float = 0.1
    """share of pictures without colour"""
    blur: float = 0.15
    """share of pictures that are blurred"""
    blur_px: float = 1.5
    """largest standard deviation of the Gaussian, pixels of the input"""
    noise: float = 0.1
    """share of pictures with noise"""
    noise_level: float = 0.06
    """largest standard deviation of the noise, of the whole range"""
    jpeg: float = 0.15
    """share of pictures with JPEG's artefacts"""
    jpeg_quality: int = 20
    """lowest JPEG quality"""
    patches: float = 0.3
    """share of pictures on which a patch hides a part"""
    patch_size: float = 0.35
    """largest side of a patch, in sides of the box"""


class Augmenter:
    """Decodes and augments records of one manifest."""

    def __init__(self, manifest: dict, seed: int, config: AugmentConfig):
        self.scheme, self.size_px = scheme_of(manifest), manifest["box"]["size_px"]
        detector = manifest["detector_box"]
        self.spread = detector["spread"] if detector else DEFAULT_SPREAD
        self.seed, self.config = seed, config
        self._kept = {}  # decoded pictures by name

    def batch(self, jpegs, landmarks, masks, names, epochs):
        """Of a batch of records' features: uint8 [B, S, S, 3], float32 [B, N, 2] and [B, N], and
        float32 [B, 2, 2] that takes directions in the stored picture to those in the new one."""
        samples = zip(jpegs, landmarks, masks, names, epochs, strict=True)
        parts = zip(*(self.sample(*sample) for sample in samples), strict=True)
        return tuple(map(np.stack, parts))

    def sample(self, jpeg: bytes, landmarks, mask, name: bytes, epoch: int):
        """One augmented sample: uint8 [S, S, 3], float32 [N, 2], [N], [2, 2]."""
        random, stored = self._random(name, epoch), self._decoded(jpeg, name)
        return augment(
            stored, landmarks, mask, random, self.size_px, self.spread, self.scheme, self.config
        )

    def change(self, name: bytes, epoch: int) -> np.ndarray:
        """[2, 2]: from directions in the picture that `sample` makes to those in the stored one."""
        return _box_change(self._random(name, epoch), self.spread, self.config)[0]

    def _decoded(self, jpeg: bytes, name: bytes) -> np.ndarray:
        """The stored picture: of a set that fits into DECODED_MB, decoded once for all epochs."""
        stored = self._kept.get(name)
        if stored is None:
            stored = decode_picture(jpeg, name.decode())
            if stored.nbytes * (len(self._kept) + 1) <= DECODED_MB * 2**20:  # all are of one size
                self._kept[name] = stored
        return stored

    def _random(self, name: bytes, epoch: int):
        # Philox takes any key: no state to carry, and no sample knows of another.
        key = [crc32(name), (self.seed << 32) + int(epoch)]
        return np.random.Generator(np.random.Philox(key=key))


def augment(stored, landmarks, mask, random, size_px: int, spread, scheme: LandmarkScheme, config):
    """One augmented network input with its landmarks and mask.

    stored [C, C, 3] uint8 with the box's size_px pixels in the middle; landmarks [N, 2]
    box-relative; mask [N]; random: a NumPy generator; spread: standard deviations of the box's
    shift in x and y, in sides, and of its log size. Returns uint8 [size_px, size_px, 3], landmarks
    relative to the new box, the mask in the new order of points, and float32 [2, 2] that takes
    directions in the stored picture to those in the new one.
    """
    matrix, offset = _box_change(random, spread, config)  # first, as `Augmenter.change` does
    turn = np.linalg.inv(matrix)
    landmarks = (landmarks - 0.5 - offset) @ turn.T + 0.5
    if np.linalg.det(matrix) < 0:  # a mirrored right eye is a left eye
        landmarks, mask = landmarks[list(scheme.flip)], mask[list(scheme.flip)]
    picture = _resampled(stored, matrix, offset, size_px)
    picture = cv2.LUT(picture, _colour_table(random, config))
    for share, damage in (
        (config.grey, _grey),
        (config.blur, _blurred),
        (config.noise, _noisy),
        (config.patches, _patched),
        (config.jpeg, _compressed),
    ):
        if random.random() < share:
            picture = damage(picture, random, config)
    return picture, landmarks.astype(np.float32), mask, turn.astype(np.float32)


def _box_change(random, spread, config):
    """[2, 2] and [2]: from the new box's coordinates to the old one's, about the centres."""
    normal = random.standard_normal(5)
    normal = np.clip(normal, -2.5, 2.5)  # the tails of the detector's boxes are other faces
    angle = math.radians(config.rotation_deg) * normal[0]
    size = math.exp(config.box_jitter * spread[2] * normal[1])
    if config.scale:
        size /= random.uniform(1 - config.scale, 1 + config.scale)
    cos, sin = size * math.cos(angle), size * math.sin(angle)
    wide = math.exp(config.stretch * normal[4])
    mirror = -wide if random.random() < config.flip else wide
    offset = config.box_jitter * np.array([spread[0] * normal[2], spread[1] * normal[3]])
    return np.array([[cos * mirror, -sin / wide], [sin * mirror, cos / wide]]), offset


def _resampled(stored, matrix, offset, size_px: int):
    """Bilinear samples of the stored picture at the pixels of the new box."""
    # Output pixel i stands at (i + 0.5) / size_px - 0.5 from the new centre, stored pixel j at
    # (j + 0.5 - stored_px / 2) / size_px from the old one.
    centre_out, centre_in = size_px / 2 - 0.5, stored.shape[0] / 2 - 0.5
    shift = offset * size_px + centre_in - centre_out * matrix.sum(1)
    return cv2.warpAffine(
        stored,
        np.column_stack([matrix, shift]),
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _colour_table(random, config):
    """[1, 256, 3] uint8: gamma, contrast, brightness and each channel's factor in one table."""
    gamma, contrast, brightness, *channels = random.standard_normal(6).astype(np.float32)
    levels = _LEVELS ** np.exp(config.gamma * gamma)
    levels = (levels - _MIDDLE) * np.exp(config.contrast * contrast) + _MIDDLE
    levels = levels + config.brightness * brightness
    levels = levels[:, None] * np.exp(config.colour * np.array(channels))
    return np.rint(255 * levels.clip(0, 1)).astype(np.uint8)[None]


def _grey(picture, random, config):
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _blurred(picture, random, config):
    sigma = random.uniform(0.3, max(config.blur_px, 0.3))
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def _noisy(picture, random, config):
    """Grains of brightness, as a sensor in the dark makes them."""
    level = 255 * random.uniform(0, config.noise_level)
    grains = random.standard_normal(picture.shape[:2], np.float32) * level
    return cv2.add(picture, np.repeat(grains[..., None], 3, 2), dtype=cv2.CV_8U)


def _patched(picture, random, config):
    """A rectangle of one colour, anywhere; landmarks under it keep their places."""
    side = picture.shape[0]
    width, height = (random.uniform(0.1, 1, 2) * config.patch_size * side).astype(int)
    x, y = (random.uniform(0, 1, 2) * side).astype(int)
    colour = random.integers(0, 256, 3).tolist()
    corner = (int(x - width // 2), int(y - height // 2))
    return cv2.rectangle(picture, (*corner, int(width), int(height)), colour, cv2.FILLED)


def _compressed(picture, random, config):
    quality = int(random.integers(config.jpeg_quality, 96))
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)
