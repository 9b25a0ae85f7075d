"""Data augmentation: one affine transform, then changes of colour and image quality.

The affine transform resamples the stored picture once, including its context around the face box.
All operations are OpenCV functions on one uint8 picture at a time. They run several times faster
than the same operations as TensorFlow ops, and OpenCV releases the global interpreter lock. The
result for a sample depends only on the random generator that it is given.
"""

import math
from dataclasses import dataclass, fields
from typing import Literal
from zlib import crc32

import cv2
import numpy as np

from senet_kp.face.pictures import stored_picture
from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.nets import NETWORKS, NetName
from senet_kp.tfrecords.shards import encoding_of

_LEVELS = np.arange(256, dtype=np.float32) / 255
_MIDDLE = np.float32(0.5)
# Standard deviations of (shift x, shift y, log scale) for manifests in which data preparation did
# not measure a face detector.
DEFAULT_SPREAD = (0.06, 0.06, 0.08)
# Memory for decoded pictures: 8,600 pictures at 96 px with context, or 4,800 at 128 px. The other
# pictures of a larger data set are decoded again in every epoch, which takes a quarter of the time
# that a sample costs.
DECODED_MB = 512


@dataclass(frozen=True)
class AugmentConfig:
    flip: float = 0.5
    """probability that a picture is mirrored"""
    rotation: Literal["normal", "uniform"] = "normal"
    """distribution of the in-plane rotation"""
    rotation_deg: float = 12.0
    """standard deviation of a normal rotation, or the largest uniform one, in degrees"""
    scale: float = 0.0
    """range of a uniformly drawn scale factor around 1: 0.2 draws from 0.8 to 1.2"""
    stretch: float = 0.05
    """standard deviation of the log of the aspect-ratio factor, by which the width of a face is
    multiplied and its height is divided"""
    box_jitter: float = 0.6
    """shift and scale of the face box, in multiples of the standard deviations that the manifest
    gives for the boxes of the face detector"""
    brightness: float = 0.1
    """standard deviation of the offset added to all pixel values, as a share of the value range"""
    contrast: float = 0.2
    """standard deviation of the log of the contrast factor, which acts around middle grey"""
    gamma: float = 0.2
    """standard deviation of the log of the gamma exponent"""
    colour: float = 0.06
    """standard deviation of the log of the factor drawn for each colour channel"""
    grey: float = 0.1
    """probability that a picture is converted to greyscale"""
    blur: float = 0.15
    """probability that a picture is blurred"""
    blur_px: float = 1.5
    """largest standard deviation of the Gaussian blur, in pixels of the network input"""
    noise: float = 0.1
    """probability that noise is added to a picture"""
    noise_level: float = 0.06
    """largest standard deviation of the noise, as a share of the value range"""
    jpeg: float = 0.15
    """probability that a picture is compressed with JPEG"""
    jpeg_quality: int = 20
    """lowest JPEG quality"""
    patches: float = 0.3
    """probability that a rectangular patch hides a part of a picture"""
    patch_size: float = 0.35
    """largest width and height of a patch, as a share of the face box's width"""


# Every probability and every strength is 0, so that a picture is the face box as it is stored.
NO_AUGMENTATION = AugmentConfig(
    **{
        f.name: type(f.default)(0)
        for f in fields(AugmentConfig)
        if f.type is not str and f.name != "rotation"
    }
)


def augment_recipe(net: NetName) -> AugmentConfig:
    """The augmentation of a network's recipe."""
    return AugmentConfig(**NETWORKS[net].recipe.get("augment", {}))


class Augmenter:
    """Decodes and augments the records of one record folder.

    manifest: the folder's manifest; seed: the seed of the augmentation.
    """

    def __init__(self, manifest: dict, seed: int, config: AugmentConfig):
        self.scheme, self.size_px = scheme_of(manifest), manifest["box"]["size_px"]
        self.shape, self.dtype = (self.size_px, self.size_px, 3), np.dtype(np.uint8)
        detector = manifest["detector_box"]
        self.spread = detector["spread"] if detector else DEFAULT_SPREAD
        self.seed, self.config = seed, config
        self._encoding = encoding_of(manifest)
        self._kept = {}  # decoded pictures by name

    def batch(self, pictures, landmarks, masks, names, epochs):
        """Augment a batch of records; the arguments are sequences of length B.

        Returns pictures uint8 [B, S, S, 3], landmarks float32 [B, N, 2], masks float32 [B, N] and
        matrices float32 [B, 2, 2], each of which maps a direction in the stored picture to the
        same direction in the augmented picture.
        """
        samples = zip(pictures, landmarks, masks, names, epochs, strict=True)
        parts = zip(*(self.sample(*sample) for sample in samples), strict=True)
        return tuple(map(np.stack, parts))

    def sample(self, picture: bytes, landmarks, mask, name: bytes, epoch: int):
        """Augment one record: uint8 [S, S, 3], float32 [N, 2], [N] and [2, 2] as in `batch`."""
        random, stored = self._random(name, epoch), self._decoded(picture, name)
        return augment(
            stored, landmarks, mask, random, self.size_px, self.spread, self.scheme, self.config
        )

    def change(self, name: bytes, epoch: int) -> np.ndarray:
        """The matrix [2, 2] that maps directions in `sample`'s picture to the stored picture."""
        return _box_change(self._random(name, epoch), self.spread, self.config)[0]

    def _decoded(self, picture: bytes, name: bytes) -> np.ndarray:
        """The decoded picture, from a cache of at most DECODED_MB that is kept for all epochs."""
        stored = self._kept.get(name)
        if stored is None:
            stored = stored_picture(picture, name.decode(), self._encoding)
            if stored.nbytes * (len(self._kept) + 1) <= DECODED_MB * 2**20:  # all have one size
                self._kept[name] = stored
        return stored

    def _random(self, name: bytes, epoch: int):
        # Philox is a counter-based generator that accepts any key, so that every sample gets a
        # generator of its own and no state is carried from one sample to the next.
        key = [crc32(name), (self.seed << 32) + int(epoch)]
        return np.random.Generator(np.random.Philox(key=key))


def augment(stored, landmarks, mask, random, size_px: int, spread, scheme: LandmarkScheme, config):
    """Augment one network input together with its landmarks and mask.

    stored: uint8 [C, C, 3], the stored picture, whose central size_px x size_px pixels are the
    face box; landmarks: [N, 2], box-relative; mask: [N]; random: a NumPy generator; spread: the
    standard deviations of the face box's shift in x and y, in box widths, and of its log size.

    Returns the picture uint8 [size_px, size_px, 3], the landmarks relative to the augmented face
    box, the mask in the same order as those landmarks, and a matrix float32 [2, 2] that maps a
    direction in the stored picture to the same direction in the augmented picture.
    """
    # The box change is drawn first, because `Augmenter.change` draws it from the same generator.
    matrix, offset = _box_change(random, spread, config)
    turn = np.linalg.inv(matrix)
    landmarks = (landmarks - 0.5 - offset) @ turn.T + 0.5
    if np.linalg.det(matrix) < 0:  # mirrored: a right eye becomes a left eye
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
    """The affine map from the augmented box to the stored one: matrix [2, 2] and offset [2].

    Both act on coordinates relative to the centre of a box.
    """
    normal = random.standard_normal(5)
    normal = np.clip(normal, -2.5, 2.5)  # boxes in the detector's tails show other faces
    turn = normal[0] if config.rotation == "normal" else random.uniform(-1, 1)
    angle = math.radians(config.rotation_deg) * turn
    size = math.exp(config.box_jitter * spread[2] * normal[1])
    if config.scale:
        size /= random.uniform(1 - config.scale, 1 + config.scale)
    cos, sin = size * math.cos(angle), size * math.sin(angle)
    wide = math.exp(config.stretch * normal[4])
    mirror = -wide if random.random() < config.flip else wide
    offset = config.box_jitter * np.array([spread[0] * normal[2], spread[1] * normal[3]])
    return np.array([[cos * mirror, -sin / wide], [sin * mirror, cos / wide]]), offset


def _resampled(stored, matrix, offset, size_px: int):
    """Sample the stored picture bilinearly at the pixels of the augmented box."""
    # Measured from the centre of its box in box widths, the centre of output pixel i is at
    # (i + 0.5) / size_px - 0.5, and that of stored pixel j at (j + 0.5 - stored_px / 2) / size_px.
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
    """A lookup table uint8 [1, 256, 3] with gamma, contrast, brightness and colour factors."""
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
    """Add Gaussian brightness noise, like that of a camera sensor in low light."""
    level = 255 * random.uniform(0, config.noise_level)
    grains = random.standard_normal(picture.shape[:2], np.float32) * level
    return cv2.add(picture, np.repeat(grains[..., None], 3, 2), dtype=cv2.CV_8U)


def _patched(picture, random, config):
    """Draw a rectangle of one random colour; the landmarks behind it stay labelled."""
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
