"""A landmark scheme: how many points, their mirror twins, and what to draw between them.

As JSON, in manifests, model cards and files of a user's own:

    {"name": "five", "landmarks": 5, "flip_pairs": [[0, 2], [1, 3]], "outer_eye_corners": [2, 0]}

and, where there is more to say, "eyes", "contour", "regions" and "lines". "Left" is the picture's.
"""

from dataclasses import dataclass, field

import numpy as np

from senet_kp.tfrecords.errors import UserError


@dataclass(frozen=True)
class LandmarkScheme:
    """Facts about one set of landmarks; nothing else in the project knows a point by number."""

    name: str
    flip: tuple[int, ...]  # flip[i] is the point that i becomes in the mirrored picture
    outer_eye_corners: tuple[
        int, int
    ]  # picture's left, picture's right; errors over their distance
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

    def facts(self) -> dict:
        """The scheme as JSON takes it: `scheme_from` makes it again."""
        return {
            "name": self.name,
            "landmarks": self.count,
            "flip_pairs": [[i, j] for i, j in enumerate(self.flip) if i < j],
            "outer_eye_corners": list(self.outer_eye_corners),
            "eyes": [list(eye) for eye in self.eyes],
            "contour": list(self.contour),
            "regions": {name: list(points) for name, points in self.regions.items()},
            "lines": [list(line) for line in self.lines],
        }


def scheme_from(facts, where) -> LandmarkScheme:
    """The scheme that `LandmarkScheme.facts` describes; raises UserError, naming `where`."""
    try:
        count, corners = int(facts["landmarks"]), facts["outer_eye_corners"]
        regions = facts.get("regions") or {"all": range(count)}
        scheme = LandmarkScheme(
            name=str(facts["name"]),
            flip=flip_of(count, *facts["flip_pairs"]),
            outer_eye_corners=tuple(map(int, corners)),
            eyes=_points(facts.get("eyes") or [[corner] for corner in corners]),
            contour=tuple(map(int, facts.get("contour", ()))),
            regions={name: tuple(map(int, points)) for name, points in regions.items()},
            lines=_points(facts.get("lines", ())),
        )
        problem = _fault(scheme)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"{type(error).__name__} {error}"
    if problem:
        raise UserError(f"{where}: not a landmark scheme ({problem})")
    return scheme


def scheme_of(described: dict) -> LandmarkScheme:
    """The scheme of a manifest or a model card."""
    return scheme_from(described["scheme"], "the manifest or model card")


def flip_of(count: int, *pairs) -> tuple[int, ...]:
    """The flip table of `count` points of which these pairs are mirror twins, the others none."""
    flip = list(range(count))
    for left, right in pairs:
        flip[left], flip[right] = right, left
    return tuple(flip)


def _points(groups) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, group)) for group in groups)


def _fault(scheme: LandmarkScheme) -> str | None:
    """What no scheme can be, or None."""
    named = [*scheme.outer_eye_corners, *scheme.contour]
    for group in (*scheme.eyes, *scheme.regions.values(), *scheme.lines):
        named += group
    if scheme.count < 2 or not all(0 <= point < scheme.count for point in named):
        return f"it names points that are not among its {scheme.count}"
    if len(scheme.outer_eye_corners) != 2 or len(scheme.eyes) != 2:
        return "outer_eye_corners and eyes are two each, the picture's left one first"
    return flip_table_error(scheme)


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
