"""Glasses, and occluders between camera and face, in the coordinates of the head."""

import numpy as np

from senet_kp.data_prep.sample_faces.head import Head
from senet_kp.data_prep.sample_faces.surface import Surface, capsule, solid, tube
from senet_kp.data_prep.sample_faces.traits import Look

OCCLUDERS = ("hand", "microphone", "mug", "scarf", "fingers")


def glasses(head: Head, look: Look, rng) -> list[Surface]:
    """Return two rims, a bridge and temples to the ears; sunglasses also have dark lenses."""
    if not look.glasses:
        return []
    colour = rng.choice([(0.01, 0.01, 0.012), (0.09, 0.03, 0.012), (0.25, 0.24, 0.23)])
    thick = rng.uniform(0.08, 0.2) + 0.06 * (look.glasses == "sun")
    half_x, half_y = rng.uniform(2.15, 2.5), rng.uniform(1.45, 2.0)
    eye_x, eye_y = head.eye_centre
    y = eye_y - 0.35
    z = float(head.eyeball_z(eye_x, eye_y)) + 1.25
    roundness = rng.uniform(2.0, 3.4)
    turn = np.linspace(0, 2 * np.pi, 49)
    rim_x = half_x * _power(np.cos(turn), 2 / roundness)
    rim_y = half_y * _power(np.sin(turn), 2 / roundness)
    parts = []
    for sign in (-1, 1):
        rim = np.stack([sign * (eye_x + rim_x), y + rim_y, z - 0.16 * (1 + rim_x / half_x)], axis=1)
        cheek_z = head.front_surface_z(rim[:, 0], rim[:, 1])
        rim[:, 2] = np.maximum(rim[:, 2], cheek_z + thick + 0.1)  # stays outside the brow
        parts.append(tube(rim, thick, colour, 0.6, segments=7))
        hinge = rim[0] + (0, 0.5, 0)
        ear = np.array((sign * (head.shape.face_half_width + 0.15), eye_y + 0.2, -1.0))
        bend = hinge + (sign * 0.35, 0, -0.4)
        parts.append(
            tube([hinge, bend, (bend + ear) / 2, ear], thick * 0.9, colour, 0.5, segments=7)
        )
        if look.glasses == "sun":
            lens = rim.mean(axis=0) + np.linspace(0.02, 1, 12)[:, None, None] * (
                rim - rim.mean(axis=0)
            )
            parts.append(solid(lens, (0.012, 0.012, 0.014), 0.45, two_sided=True))
    gap = eye_x - half_x
    x = np.linspace(-gap, gap, 9)
    arch = np.stack([x, y + 0.35 + 0.25 * (1 - (x / gap) ** 2), z + 0.1 - 0 * x], axis=1)
    return [*parts, tube(arch, thick, colour, 0.6, segments=7)]


def occluder(head: Head, look: Look, rng) -> list[Surface]:
    """Return the surfaces of `look.occluder`, in front of the lower face."""
    if not look.occluder:
        return []
    return _MAKERS[look.occluder](head, look, rng)


def _hand(head, look, rng):
    """Return a fist under the chin or at the cheek, with its knuckles up."""
    sign = rng.choice([-1, 1])
    middle = np.array((sign * rng.uniform(1.0, 4.5), head.chin_y + rng.uniform(-0.5, 2.5), 0.0))
    middle[2] = 1.0 + head.smooth_z(min(abs(middle[0]), 4.0), max(middle[1], head.chin_y + 1.5))
    parts = []
    for finger, length in zip(range(4), (2.6, 3.0, 2.8, 2.2), strict=True):
        knuckle = middle + (
            sign * (finger - 1.5) * 1.65,
            0.25 * length - 0.3 * finger,
            0.1 * finger,
        )
        tip = knuckle + (-sign * 0.4, -0.35 * length, 0.9)
        wrist = knuckle + (sign * 0.8, -5.0, -0.6)
        parts += [capsule(knuckle, tip, 0.82, look.skin), capsule(knuckle, wrist, 0.95, look.skin)]
    arm = middle + (sign * 1.2, -4.5, -0.5)
    return [*parts, capsule(arm, arm + (sign * 3, -12, -1.0), 2.6, look.skin)]


def _fingers(head, look, rng):
    """Return four fingers laid flat on one cheek, pointing up."""
    sign = rng.choice([-1, 1])
    parts = []
    for finger in range(4):
        x = sign * (2.9 + 1.45 * finger)
        end_y = rng.uniform(-4.6, -3.4) - 0.35 * abs(finger - 1.2)
        end = np.array((x, end_y, head.smooth_z(min(abs(x), 6.2), end_y) + 0.75))
        joint = np.array((x * 0.98 + sign * 0.2, -9.0, head.smooth_z(min(abs(x), 4.5), -8.6) + 1.1))
        parts += [
            capsule(end, joint, 0.72, look.skin),
            capsule(joint, joint + (sign, -4, -0.8), 0.85, look.skin),
        ]
    palm = np.array((sign * 5.6, -13.5, 8.0))
    return [*parts, capsule(palm, palm + (sign * 2, -9, -2), 2.9, look.skin)]


def _microphone(head, look, rng):
    sign = rng.choice([-1, 1])
    ball = np.array(
        (sign * rng.uniform(0.3, 2.2), head.shape.mouth_y - rng.uniform(1.8, 3.2), 13.6)
    )
    away = ball + (sign * 4.0, -11.0, 2.0)
    grey = rng.uniform(0.02, 0.12)
    foam = capsule(ball, ball + (0, -0.4, 0), 2.2, (grey, grey, grey), 0.25)
    speckle = 1 + 0.35 * rng.normal(size=foam.gloss.shape)
    foam.albedo = (foam.albedo * speckle[..., None]).astype(np.float32)
    return [foam, capsule(ball, away, 1.15, (0.03, 0.03, 0.035), 0.55)]


def _mug(head, look, rng):
    colour = np.clip(rng.uniform(0.05, 0.8, 3), 0, 0.8)
    x = rng.uniform(-1.5, 1.5)
    top, bottom = np.array((x, head.shape.mouth_y - 1.2, 14.0)), np.array((x, -16.5, 15.0))
    path = top + np.linspace(0, 1, 30)[:, None] * (bottom - top)
    handle_turn = np.linspace(-1.7, 1.7, 16)
    handle = np.stack(
        [
            3.7 + 2.1 * np.cos(handle_turn),
            -11.8 + 2.6 * np.sin(handle_turn),
            14.5 + 0 * handle_turn,
        ],
        axis=1,
    )
    return [
        tube(path, 3.9, colour, 0.6, segments=48, two_sided=True),
        tube(handle + (x, 0, 0), 0.5, colour, 0.6),
    ]


def _scarf(head, look, rng):
    """Return two wraps of cloth around the neck, up to the chin."""
    colour = np.clip(rng.uniform(0.02, 0.5) + rng.normal(0, 0.12, 3), 0.01, 0.7)
    turn = np.linspace(-np.pi, np.pi, 97)  # the seam is at the nape
    parts = []
    for radius, drop, tilt in ((7.0, 1.6, 0.5), (7.8, 4.6, -0.4)):
        y = (
            head.chin_y
            - drop
            + 0.9
            + tilt * np.cos(turn + rng.uniform(0, 6))
            + 1.6 * (1 - np.cos(turn)) / 2
        )
        path = np.stack([radius * np.sin(turn), y, 0.8 + (radius + 1.3) * np.cos(turn)], axis=1)
        wrap = tube(path, 2.1, colour, 0.05, segments=40)
        knit = (
            1
            + 0.16 * np.sin(np.arange(41) * 2.2)[None, :]
            + 0.05 * rng.normal(size=wrap.gloss.shape)
        )
        wrap.albedo = (wrap.albedo * knit[..., None]).astype(np.float32)
        wrap.follows_head = False
        parts.append(wrap)
    return parts


_MAKERS = {
    "hand": _hand,
    "microphone": _microphone,
    "mug": _mug,
    "scarf": _scarf,
    "fingers": _fingers,
}


def _power(value, exponent):
    return np.sign(value) * np.abs(value) ** exponent
