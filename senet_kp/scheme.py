"""Landmark schemes: what every point is called, its mirror twin, and what to draw between them.

The 68-point scheme is that of iBUG's 300-W (Sagonas et al., "300 faces in-the-wild challenge",
2016), counted from 0. "Right" and "left" are the viewer's: point 0 is at the picture's left.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class LandmarkScheme:
    """Facts about one set of landmarks; nothing else in the project knows a point by number."""

    name: str
    flip: tuple[int, ...]  # flip[i] is the point that i becomes in the mirrored picture
    outer_eye_corners: tuple[int, int]  # picture's left, picture's right
    eyes: tuple[tuple[int, ...], tuple[int, ...]]  # the points around each eye
    contour: tuple[int, ...]  # points on the outline of the head, which a turned head hides
    regions: dict[str, tuple[int, ...]] = field(repr=False)
    lines: tuple[tuple[int, ...], ...] = field(repr=False)  # polylines; closed repeat their start

    @property
    def count(self) -> int:
        """Number of landmarks N."""
        return len(self.flip)

    def mirror(self, landmarks):
        """Box-relative landmarks [..., N, 2] (x, y) of the same face in the mirrored box."""
        mirrored = np.asarray(landmarks)[..., list(self.flip), :].copy()
        mirrored[..., 0] = 1 - mirrored[..., 0]
        return mirrored


def _pairs(count: int, *swaps: tuple[int, int]) -> tuple[int, ...]:
    flip = list(range(count))
    for left, right in swaps:
        flip[left], flip[right] = right, left
    return tuple(flip)


def _run(first: int, last: int, closed: bool = False) -> tuple[int, ...]:
    return (*range(first, last + 1), *((first,) if closed else ()))


IBUG68 = LandmarkScheme(
    name="ibug68",
    flip=_pairs(
        68,
        *((i, 16 - i) for i in range(8)),  # jaw, 8 is the chin
        *((17 + i, 26 - i) for i in range(5)),  # brows
        (31, 35), (32, 34),  # nostrils; 27 to 30 and 33 are the middle line
        (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),  # eyes
        (48, 54), (49, 53), (50, 52), (55, 59), (56, 58),  # outer lips
        (60, 64), (61, 63), (65, 67),  # inner lips
    ),
    outer_eye_corners=(36, 45),
    eyes=(_run(36, 41), _run(42, 47)),
    contour=_run(0, 16),
    regions={
        "jaw": _run(0, 16),
        "brows": _run(17, 26),
        "nose": _run(27, 35),
        "eyes": _run(36, 47),
        "mouth": _run(48, 67),
    },
    lines=(
        _run(0, 16), _run(17, 21), _run(22, 26), _run(27, 30), _run(31, 35),
        _run(36, 41, closed=True), _run(42, 47, closed=True),
        _run(48, 59, closed=True), _run(60, 67, closed=True),
    ),
)  # fmt: skip

SCHEMES = {scheme.name: scheme for scheme in (IBUG68,)}


def flip_table_error(scheme: LandmarkScheme, mean_shape=None) -> str | None:
    """Why the flip table is wrong, or None.

    The table must be its own inverse, and with a `mean_shape` [N, 2] the mirrored shape must lie
    on the shape itself, up to a similarity: within 15 % of its size on average. Real mean shapes
    stay under 5 %, a table of another scheme gives 30 % and more.
    """
    flip = np.array(scheme.flip)
    if sorted(flip) != list(range(scheme.count)) or (flip[flip] != np.arange(scheme.count)).any():
        return f"the flip table of {scheme.name} is not its own inverse"
    if mean_shape is None:
        return None
    shape = np.asarray(mean_shape, np.float64) - np.mean(mean_shape, axis=0)
    mirrored = shape[flip] * (-1, 1)
    off = np.linalg.norm(_rotated_onto(mirrored, shape) - shape, axis=1).mean()
    size = np.ptp(shape, axis=0).max()
    if off > 0.15 * size:
        return (
            f"the flip table of {scheme.name} does not mirror the mean shape of the records:"
            f" points land {off / size:.0%} of the face's size away"
        )
    return None


def _rotated_onto(points, target):
    """`points` turned and scaled about the origin onto `target`, in the least squares' sense."""
    z, w = points @ (1, 1j), target @ (1, 1j)
    z = z * (np.vdot(z, w) / np.vdot(z, z))
    return np.stack([z.real, z.imag], axis=1)
