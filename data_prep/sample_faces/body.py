"""Surfaces around the face: hair, ears, neck, shoulders and clothes."""

from dataclasses import dataclass

import numpy as np

from senet_kp.data_prep.sample_faces.head import Head
from senet_kp.data_prep.sample_faces.surface import Surface, bell, noise, smoothstep, unit
from senet_kp.data_prep.sample_faces.traits import Look

PIVOT = np.array((0.0, -9.0, -2.0))  # cm; the point in the neck about which the head turns


@dataclass(frozen=True)
class _HairCut:
    """A hair style.

    `hairline` lists pairs, from the lowest upward: a height in cm, and the angle from the front in
    degrees below which there is no hair at that height. The negative angles at the end extend the
    line beyond the middle of the forehead, so that the distance to it is defined everywhere.
    """

    thickness: float  # cm
    hairline: tuple[tuple[float, float], ...]
    hangs_below_y: float | None = None  # below this height the hair falls straight down
    curl: float = 0.0  # 0 straight .. 1 frizzy

    def open_deg(self, y, age):
        """Return the degrees from the front without hair at height y; temples recede with age."""
        heights, angles = np.array(self.hairline).T
        return np.interp(y, heights + 0.9 * age * (angles < 60), angles)

    def inside_cm(self, angle_deg, y, age):
        """Return the approximate distance behind the hairline; negative where there is no hair."""
        heights, angles = np.array(self.hairline).T
        heights = heights + 0.9 * age * (angles < 60)
        across = (np.abs(angle_deg) - np.interp(y, heights, angles)) * np.deg2rad(8)
        above = y - np.interp(np.abs(angle_deg), angles[::-1], heights[::-1])
        return across * np.abs(above) / np.maximum(np.hypot(across, above), 1e-6)


_SHORT_LINE = (
    (-7.0, 116), (-2.6, 114), (-1.8, 90), (-0.2, 84), (1.5, 78), (3.2, 71),
    (4.8, 60), (5.8, 44), (6.4, 22), (6.8, 0), (8.0, -30),
)  # fmt: skip
_LONG_LINE = (
    (-18.0, 92), (-12.0, 84), (-7.0, 78), (-2.0, 75), (1.0, 72), (3.0, 66),
    (5.0, 52), (6.2, 30), (6.9, 0), (8.0, -30),
)  # fmt: skip
_BOB_LINE = ((-9.5, 80), *_LONG_LINE[2:])
_FRINGE_LINE = (
    (-7.0, 116), (-2.6, 114), (-1.8, 88), (0.5, 76), (2.4, 62), (3.0, 40), (3.4, 0), (4.0, -30),
)  # fmt: skip
_CUTS = {
    "cropped": _HairCut(0.25, _SHORT_LINE, curl=0.6),
    "short": _HairCut(1.3, _SHORT_LINE, curl=0.1),
    "curly": _HairCut(2.3, _SHORT_LINE, curl=1.0),
    "fringe": _HairCut(1.3, _FRINGE_LINE),
    "bob": _HairCut(1.7, _BOB_LINE, hangs_below_y=-1.0),
    "long": _HairCut(1.6, _LONG_LINE, hangs_below_y=-1.0, curl=0.05),
}


def hair(head: Head, look: Look, rng) -> list[Surface]:
    """Return a shell over the skull that thins out toward the hairline; no surface if bald."""
    if look.hair_style == "bald":
        return []
    cut, shape = _CUTS[look.hair_style], (300, 480)
    y = _hair_heights(head, cut, shape[0])[:, None]
    line = cut.open_deg(y, look.age)
    ragged = 2.5 * noise(rng, (shape[0], 1), (14, 1)) * (line > 5)
    open_deg = np.maximum(line + ragged, 0)
    turn = open_deg + (360 - 2 * open_deg) * np.linspace(0, 1, shape[1])
    angle = np.where(turn > 180, turn - 360, turn)
    full = smoothstep(cut.inside_cm(angle, y, look.age), -0.15, 1.3 + 0.6 * cut.thickness)
    full *= 0.4 + 0.6 * smoothstep(y, -4, 6) if cut.hangs_below_y is None else 1.0
    clumps = noise(rng, shape, (5 + int(20 * cut.curl), 40))
    strands = noise(rng, shape, (7 + int(70 * cut.curl), 200))
    strands += 0.7 * noise(rng, shape, (12 + int(90 * cut.curl), 400))
    from_seam = smoothstep(180 - np.abs(turn - 180) - open_deg, 0, 20)
    clumps *= from_seam  # so that the first and the last column meet over the forehead
    height = cut.thickness * full * (1 + 0.2 * clumps + 0.06 * strands) - 0.06
    positions = _fallen(head, cut, angle + 4 * clumps * full, y, height)
    if cut.hangs_below_y is not None:
        ends = noise(rng, (1, shape[1]), (1, 60)) * smoothstep(-y, 0, -cut.hairline[0][0])
        positions[..., 1] += 0.9 * ends
    tone = np.clip(0.8 + 0.22 * strands + 0.2 * clumps, 0.25, 1.7) * (0.6 + 0.4 * full)
    gloss = np.clip(0.33 * (1 - 0.5 * cut.curl) + 0.1 * strands, 0.05, 0.55)
    albedo = look.hair * tone[..., None]
    return [
        Surface(
            positions.astype(np.float32),
            albedo.astype(np.float32),
            gloss.astype(np.float32),
            step=5,
            two_sided=cut.hangs_below_y is not None,
        )
    ]


def _fallen(head, cut, angle, y, height):
    """Return points `height` cm off the skull; below `hangs_below_y` the hair hangs straight."""
    section_y = y if cut.hangs_below_y is None else np.maximum(y, cut.hangs_below_y)
    skull = head.section(angle, section_y + 0 * angle)
    x, up, z = np.moveaxis(skull, -1, 0)
    outward = unit(np.stack([x / 55, np.maximum(up, 0) / 140, (z + 0.6) / 85], axis=-1) + 1e-6)
    points = skull + outward * height[..., None]
    points[..., 1] += y - section_y
    return points


def paint_scalp(skin: Surface, look: Look, angle_deg, rng):
    """Blend the skin, in place, into the colour of the hair behind a ragged hairline.

    `angle_deg` [W] are the angles of the columns of the grid from the front.
    """
    if look.hair_style == "bald":
        return
    y = skin.positions[..., 1]
    ragged = noise(rng, y.shape, (60, 160)) + noise(rng, y.shape, (20, 300))
    inside = _CUTS[look.hair_style].inside_cm(angle_deg, y, look.age) + 0.25 * ragged
    cover = 0.85 * smoothstep(inside, -0.5, 0.7) * (y > -6.5)
    skin.albedo += cover[..., None] * (look.hair * 0.8 - skin.albedo)


def ears(head: Head, look: Look) -> list[Surface]:
    """Return two shells, rounded at the rim and hollow in the middle."""
    radius = np.linspace(0, 1, 22)[:, None]
    turn = np.linspace(0, 2 * np.pi, 41)[None, :]
    size = head.shape.ear_size
    up, back = radius * np.sin(turn), radius * np.cos(turn)
    back = back * (0.29 + 0.05 * up) - 0.06 * up
    out = 0.10 + 0.09 * (back / 0.3 + 0.6) + 0.05 * bell(radius - 0.86, 0.09)
    out = out - 0.06 * bell(radius - 0.35, 0.3) - 0.05 * bell(radius - 0.68, 0.07)
    out = out - 0.12 * smoothstep(radius, 0.94, 1.0)
    ear_y, ear_z = -2.2, -1.0
    x = float(head.half_width(np.array(ear_y))) - 0.35 + size * out
    local = np.stack([x, ear_y + size * 0.5 * up, ear_z - size * back], axis=-1)
    depth = 1 - 0.55 * bell(radius - 0.3, 0.25) - 0.3 * bell(radius - 0.68, 0.08)
    colour = look.skin * (1.02, 0.86, 0.84) * (depth + 0 * turn)[..., None]
    gloss = np.full(x.shape, 0.25, np.float32)
    return [
        Surface(
            (local * (sign, 1, 1)).astype(np.float32),
            colour.astype(np.float32),
            gloss,
            two_sided=True,
        )
        for sign in (-1, 1)
    ]


_TORSO_Y = (-36, -26, -21, -18.3, -16.6, -15.3, -13.8, -12, -9, -2)
_TORSO_HALF_X = (22, 21.5, 20, 16.5, 11.8, 8.4, 6.7, 5.9, 5.5, 5.2)
_TORSO_HALF_Z = (11.5, 10.8, 9.8, 8.8, 7.6, 6.6, 5.9, 5.6, 5.3, 5.0)
_TORSO_Z = (-2.5, -2.5, -3, -3.4, -3.6, -3.4, -3.0, -2.6, -1.9, -1.2)


def torso(head: Head, look: Look, rng) -> list[Surface]:
    """Return a surface of neck and shoulders, and one of clothes slightly outside it."""
    turn = np.linspace(-np.pi, np.pi, 161)[None, :]
    skin_y = np.linspace(-2, -22, 161)[:, None] + 0 * turn
    edge_y = look.neckline - 1.9 * np.cos(turn) - 0.4 * np.cos(2 * turn)
    tucked = 0.9 * smoothstep(edge_y - skin_y, 0.8, 2.4)  # under the clothes
    neck = _torso_points(head, turn, skin_y, -tucked)
    tendon = 0.25 * bell(np.abs(turn) - 0.55 - 0.05 * (skin_y + 9), 0.1) * bell(skin_y + 12, 3)
    throat = 0.35 * bell(turn, 0.16) * bell(skin_y + 11.5, 1.2)
    neck = neck + (tendon + throat)[..., None] * np.stack(
        [np.sin(turn), 0 * turn, np.cos(turn)], axis=-1
    )
    tone = 0.93 + 0.03 * noise(rng, skin_y.shape, (12, 16))
    skin = (look.skin * tone[..., None]).astype(np.float32)
    matt = np.full(skin_y.shape, 0.25, np.float32)
    cloth_y = edge_y + np.linspace(0, 1, 161)[:, None] * (-36 - edge_y)
    folds = noise(rng, cloth_y.shape, (9, 12)) * smoothstep(edge_y - cloth_y, 0, 3)
    collar = 0.18 * bell(edge_y - cloth_y - 0.45, 0.35)
    hem = smoothstep(edge_y - cloth_y, -0.1, 0.35)  # the edge of the clothes touches the skin
    cloth = _torso_points(head, turn, cloth_y, (0.35 + collar + 0.22 * folds) * hem)
    weave = 1 + 0.06 * rng.normal(size=cloth_y.shape) - 0.25 * bell(edge_y - cloth_y - 1.0, 0.06)
    weave *= 1 + rng.choice([0, 0.35]) * (np.sin(cloth_y * rng.uniform(2, 5)) > 0.3)
    fabric = (look.cloth * weave[..., None]).astype(np.float32)
    dull = np.full(cloth_y.shape, 0.12, np.float32)
    return [
        Surface(neck.astype(np.float32), skin, matt, step=4, follows_head=False),
        Surface(cloth.astype(np.float32), fabric, dull, step=4, follows_head=False),
    ]


def _torso_points(head, turn, y, outward):
    """Return points [..., 3] on elliptic sections, shifted outward by `outward` cm."""
    neck = 1 + (head.shape.neck_half_width / 5.5 - 1) * smoothstep(y, -15, -12)
    half_x = np.interp(y, _TORSO_Y, _TORSO_HALF_X) * neck + outward
    half_z = np.interp(y, _TORSO_Y, _TORSO_HALF_Z) * neck + outward
    z = np.interp(y, _TORSO_Y, _TORSO_Z) + half_z * np.cos(turn)
    return np.stack([half_x * np.sin(turn), y + 0.5 * outward, z], axis=-1)


def _hair_heights(head, cut, rows):
    """Return heights from just under the crown to the hair ends, denser where the skull curves."""
    turn, split = np.linspace(0, 1, rows), 0.62
    top, end = head.shape.crown_y - 1e-3, cut.hairline[0][0]
    over = top * np.cos(np.pi / 2 * np.clip(turn / split, 0, 1))
    return over + np.clip((turn - split) / (1 - split), 0, 1) * end
