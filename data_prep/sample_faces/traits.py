"""Parameters of an identity (proportions, expression, colours) and their random distributions.

Lengths are centimetres in the coordinates of the head: x to the right in the picture, y up, z
toward the viewer; y = 0 is the line of the eyes and z = 0 the plane through the ears. Colours are
linear (not gamma-encoded) RGB in 0..1. The defaults of `Shape` and `Expression` are the mean head.
"""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Shape:
    """Proportions of an identity, in cm; the same in all of its views."""

    face_half_width: float = 7.35
    chin_y: float = -11.2
    jaw_exponent: float = 2.08  # of the superellipse of the outline: 1.8 is pointed, 2.4 square
    chin_depth: float = 8.5
    crown_y: float = 11.9
    cheekbone: float = 0.35
    cheek_hollow: float = 0.15
    forehead_z: float = 9.0
    brow_ridge: float = 0.30
    brow_inner_x: float = 1.25
    brow_outer_x: float = 6.0
    brow_inner_y: float = 1.58
    brow_outer_y: float = 0.95
    brow_arch: float = 0.92
    brow_thickness: float = 0.48
    eye_inner_x: float = 1.88
    eye_outer_x: float = 4.50
    eye_inner_y: float = -0.42
    eye_outer_y: float = -0.20
    upper_lid: float = 0.66
    lower_lid: float = 0.30
    lid_crease: float = 0.42
    nose_tip_y: float = -3.75
    nose_base_y: float = -5.0
    nose_height: float = 2.4
    nose_bridge: float = 0.9
    nose_half_width: float = 1.62
    nose_tip_width: float = 0.62
    mouth_y: float = -6.95
    mouth_half_width: float = 2.72
    upper_lip: float = 0.66
    lower_lip: float = 0.90
    cupid_dip: float = 0.22
    chin_ball: float = 0.45
    ear_size: float = 6.0
    neck_half_width: float = 5.0


@dataclass(frozen=True)
class Expression:
    """The facial expression; lengths in cm."""

    mouth_open: float = 0.0  # gap between the lips in the middle, 0..2.4
    jaw_drop: float = 0.0  # how far the chin moves down
    smile: float = 0.0  # -0.4 (down) .. 1
    eyes_open: float = 1.0  # 0 closed .. 1.2 wide
    brow_raise: float = 0.0  # -0.35 (frown) .. 0.6
    gaze_x: float = 0.0  # shift of the iris, -0.4..0.4
    gaze_y: float = 0.0  # shift of the iris


@dataclass(frozen=True)
class Look:
    """Colours, hair, clothes and accessories."""

    skin: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    hair: np.ndarray
    cloth: np.ndarray
    age: float  # 0 young .. 1 old: wrinkles and folds
    stubble: float  # 0 none .. 1 full beard shadow
    freckles: float  # 0..1
    make_up: float  # 0..1
    hair_style: str  # one of HAIR_STYLES
    neckline: float  # y of the clothes' edge, cm
    glasses: str  # "", "clear" or "sun"
    occluder: str  # "" or one of props.OCCLUDERS


HAIR_STYLES = ("bald", "cropped", "short", "curly", "fringe", "bob", "long")
_HAIR_ODDS_MEN = (0.12, 0.32, 0.33, 0.1, 0.08, 0.01, 0.04)
_HAIR_ODDS_WOMEN = (0.01, 0.04, 0.15, 0.13, 0.17, 0.2, 0.3)

# Measured skin reflects from about 0.75 down to 0.10 in red; blue decreases fastest.
_SKINS = np.array(
    [
        (0.74, 0.50, 0.39),
        (0.66, 0.42, 0.31),
        (0.58, 0.36, 0.25),
        (0.46, 0.26, 0.16),
        (0.32, 0.165, 0.095),
        (0.19, 0.092, 0.055),
        (0.115, 0.058, 0.038),
    ]
)
_IRISES = np.array([(0.10, 0.05, 0.02), (0.05, 0.025, 0.012), (0.14, 0.24, 0.34), (0.15, 0.2, 0.1)])
_HAIRS = np.array(
    [(0.012, 0.010, 0.009), (0.035, 0.02, 0.012), (0.09, 0.045, 0.022), (0.3, 0.18, 0.08)]
)
_GREYS = np.array([(0.33, 0.32, 0.31), (0.62, 0.61, 0.6)])
# Relative standard deviation of each proportion; it is 4 % for those not listed here.
_SPREAD = {
    "chin_depth": 0.025,
    "crown_y": 0.02,
    "forehead_z": 0.015,
    "jaw_exponent": 0.06,
    "cheekbone": 0.4,
    "cheek_hollow": 0.6,
    "brow_ridge": 0.5,
    "brow_thickness": 0.25,
    "brow_arch": 0.22,
    "brow_inner_y": 0.1,
    "brow_outer_y": 0.2,
    "upper_lid": 0.12,
    "lower_lid": 0.18,
    "lid_crease": 0.25,
    "eye_inner_y": 0.15,
    "eye_outer_y": 0.5,
    "nose_height": 0.1,
    "nose_bridge": 0.25,
    "nose_half_width": 0.1,
    "nose_tip_width": 0.15,
    "upper_lip": 0.25,
    "lower_lip": 0.2,
    "cupid_dip": 0.35,
    "chin_ball": 0.4,
    "face_half_width": 0.035,
    "chin_y": 0.035,
    "neck_half_width": 0.08,
    "mouth_half_width": 0.055,
}


def random_shape(rng) -> Shape:
    """Return independent proportions within 2.2 standard deviations of the mean head."""
    values = {}
    for field in fields(Shape):
        spread = _SPREAD.get(field.name, 0.04) * np.clip(rng.normal(), -2.2, 2.2)
        # A Python float, because np.float64 would promote float32 arrays.
        values[field.name] = float(field.default * (1 + spread))
    return Shape(**values)


def deviations() -> dict[str, float]:
    """Return {name: standard deviation} of the fields of `Shape`, in their units."""
    return {
        field.name: abs(field.default) * _SPREAD.get(field.name, 0.04) for field in fields(Shape)
    }


def random_expression(rng) -> Expression:
    """Return an expression: half have a closed mouth, one in five half or fully closed eyes."""
    mouth_open = rng.choice(
        [0.0, rng.uniform(0.2, 0.8), rng.uniform(0.8, 2.2)], p=[0.5, 0.33, 0.17]
    )
    eyes_open = rng.choice(
        [rng.uniform(0.85, 1.1), rng.uniform(0.35, 0.8), 0.0], p=[0.8, 0.13, 0.07]
    )
    return Expression(
        mouth_open=float(mouth_open),
        jaw_drop=float(0.75 * mouth_open + rng.uniform(0, 0.15)),
        smile=float(rng.choice([rng.uniform(-0.2, 0.2), rng.uniform(0.3, 1.0)])),
        eyes_open=float(eyes_open),
        brow_raise=float(np.clip(rng.normal(0, 0.2), -0.35, 0.6)),
        gaze_x=rng.uniform(-0.25, 0.25),
        gaze_y=rng.uniform(-0.08, 0.08),
    )


def random_look(rng, occluders=()) -> Look:
    """Return colours, age, hair and accessories, and an occluder for one identity in eight."""
    tone = rng.uniform(0, len(_SKINS) - 1)
    skin = _between(_SKINS, tone) * rng.uniform(0.92, 1.06, 3)
    age, woman = rng.uniform() ** 1.5, rng.uniform() < 0.5
    dark = tone > 3.2
    hair = _HAIRS[0] if dark else _between(_HAIRS, rng.uniform(0, len(_HAIRS) - 1))
    if age > 0.82:
        hair = _between(_GREYS, rng.uniform())
    iris = _IRISES[rng.integers(2)] if dark else _between(_IRISES, rng.uniform(0, 3))
    make_up = rng.uniform(0.2, 1) if woman and rng.uniform() < 0.6 else 0.0
    return Look(
        skin=skin,
        lips=skin * (0.86, 0.55, 0.58) + make_up * np.array((0.12, -0.02, 0.0)) * skin[0],
        iris=iris * rng.uniform(0.8, 1.2),
        hair=hair * rng.uniform(0.8, 1.2),
        cloth=np.clip(rng.uniform(0.01, 0.7) ** 2 * (1 + rng.normal(0, 0.4, 3)), 0.008, 0.75),
        age=age,
        stubble=0.0 if woman else max(0.0, rng.uniform(-0.6, 1)),
        freckles=max(0.0, rng.uniform(-1.5, 1)) * (not dark),
        make_up=make_up,
        hair_style=str(rng.choice(HAIR_STYLES, p=_HAIR_ODDS_WOMEN if woman else _HAIR_ODDS_MEN)),
        neckline=rng.uniform(-17.5, -14.0),
        glasses=str(rng.choice(["", "clear", "sun"], p=[0.8, 0.17, 0.03])),
        occluder=str(rng.choice(occluders)) if len(occluders) and rng.uniform() < 0.13 else "",
    )


def _between(table, at: float):
    """Return the row of `table` at the fractional index `at`, linearly interpolated."""
    low = min(int(at), len(table) - 2)
    return table[low] + (at - low) * (table[low + 1] - table[low])
