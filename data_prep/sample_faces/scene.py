"""Random lights and backgrounds, and the camera's effects on a picture."""

import cv2
import numpy as np

from senet_kp.data_prep.sample_faces.render import CANVAS_PX, Light
from senet_kp.data_prep.sample_faces.surface import noise, unit

_SURROUNDINGS = np.array(
    [
        (0.50, 0.48, 0.44), (0.22, 0.21, 0.20), (0.09, 0.09, 0.10), (0.27, 0.15, 0.07),
        (0.08, 0.14, 0.05), (0.28, 0.40, 0.55), (0.24, 0.09, 0.05), (0.10, 0.13, 0.22),
        (0.45, 0.36, 0.22), (0.34, 0.10, 0.09),
    ]
)  # fmt: skip


def random_light(rng) -> Light:
    """Return a key light from above left or right, a weaker fill light opposite, a tinted sky."""
    sign = rng.uniform(-1, 1)
    key = unit(np.array((1.4 * sign, rng.uniform(0.1, 1.0), rng.uniform(0.4, 1.0))))
    warmth = rng.uniform(-1, 1)  # of the key light; the sky has the opposite tint
    tint = np.array((0.10, 0.0, -0.14))
    contrast = rng.uniform(0.35, 1.15)
    ambient = 0.62 - 0.36 * contrast
    sky = ambient * (1 - 0.7 * warmth * tint) * 1.15
    fill = unit(np.array((-key[0] + rng.normal(0, 0.3), rng.uniform(-0.2, 0.3), 0.5)))
    return Light(
        key=np.float32(key),
        key_colour=np.float32((0.45 + 0.75 * contrast) * (1 + warmth * tint)),
        fill=np.float32(fill),
        fill_colour=np.float32(rng.uniform(0.05, 0.3) * (1 - 0.5 * warmth * tint)),
        sky=np.float32(sky),
        ground=np.float32(sky * rng.uniform(0.4, 0.75) * (1.06, 1.0, 0.92)),
        hardness=rng.uniform(0.35, 0.85),
    )


def random_background(rng):
    """Return an out-of-focus background of blocks and discs, [600, 600, 3] float32, linear RGB."""
    size = CANVAS_PX
    top, bottom = (_random_colour(rng) for _ in range(2))
    fall = np.linspace(0, 1, size)[:, None, None]
    picture = np.ascontiguousarray(np.broadcast_to(top + (bottom - top) * fall, (size, size, 3)))
    picture = picture.astype(np.float32)
    for _ in range(rng.integers(4, 26)):
        _add_block(picture, rng)
    for _ in range(rng.integers(0, 14)):
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        colour = _random_colour(rng) * rng.choice([0.7, 2.5])
        cv2.circle(picture, centre, int(rng.integers(6, 70)), colour.tolist(), -1, cv2.LINE_AA)
    cells = tuple(int(v) for v in rng.integers(3, 90, 2))
    grain = rng.uniform(0, 0.22) * noise(rng, (size, size), cells)
    picture *= np.clip(1 + grain, 0.2, 2)[..., None]
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(1.0, 14.0))


def developed(linear, exposure: float, monochrome: bool, rng):
    """Convert a linear RGB picture to 8-bit BGR: tone curve, gamma, blur and grain."""
    exposed = np.clip(linear * np.float32(exposure), 0, None)
    encoded = np.sqrt(np.minimum(1.28 * exposed / (1 + 0.28 * exposed), 1))  # gamma 2: fast
    if monochrome:
        encoded = np.repeat((encoded @ np.float32((0.3, 0.59, 0.11)))[..., None], 3, axis=2)
    encoded = cv2.GaussianBlur(encoded, (0, 0), rng.uniform(0.3, 0.8))
    grain = rng.standard_normal(encoded.shape[:2], np.float32) * rng.uniform(0.5, 4.0)
    return np.clip(255 * encoded[..., ::-1] + grain[..., None], 0, 255).astype(np.uint8)


def _random_colour(rng):
    """Return a colour of walls, wood, leaves, sky, brick or cloth, usually a dull one."""
    colour = _SURROUNDINGS[rng.integers(len(_SURROUNDINGS))] * rng.uniform(0.15, 1.5)
    return np.clip(colour * (1 + rng.normal(0, 0.08, 3)), 0.003, 1)


def _add_block(picture, rng):
    """Draw a rotated rectangle, like a window, a shelf or a pole, into the picture."""
    centre, extent = rng.uniform(0, CANVAS_PX, 2), rng.uniform(15, 300, 2)
    corners = cv2.boxPoints((centre.tolist(), extent.tolist(), float(rng.normal(0, 12))))
    cv2.fillPoly(picture, [corners.astype(np.int32)], _random_colour(rng).tolist(), cv2.LINE_AA)
