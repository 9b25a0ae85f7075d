"""Landmark schemes: the number of points, their mirror pairs, regions, and the lines to draw.

Manifests, model cards and scheme files written by users hold a scheme as JSON:

    {"name": "five", "landmarks": 5, "flip_pairs": [[0, 2], [1, 3]], "outer_eye_corners": [2, 0]}

"eyes", "contour", "regions" and "lines" are optional. "Left" means left in the picture.
"""

from dataclasses import dataclass, field

import numpy as np

from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.forms import SCHEME, fault_in


@dataclass(frozen=True)
class LandmarkScheme:
    """Facts about one set of landmarks. All knowledge of single point numbers is kept here.

    flip:              flip[i] is the point that point i becomes in the mirrored picture
    outer_eye_corners: left and right one in the picture; their distance normalises errors
    eyes:              the points around the left and the right eye
    contour:           points on the outline of the head, hidden on one half of a turned head
    regions:           points by the name of the region, such as "mouth"
    lines:             polylines to draw; closed ones repeat their first point
    """

    name: str
    flip: tuple[int, ...]
    outer_eye_corners: tuple[int, int]
    eyes: tuple[tuple[int, ...], tuple[int, ...]]
    contour: tuple[int, ...]
    regions: dict[str, tuple[int, ...]] = field(repr=False)
    lines: tuple[tuple[int, ...], ...] = field(repr=False)

    @property
    def count(self) -> int:
        """Number of landmarks N."""
        return len(self.flip)

    def mirror(self, landmarks):
        """Return box-relative landmarks [..., N, 2] (x, y) of the same face, mirrored."""
        mirrored = np.asarray(landmarks)[..., list(self.flip), :].copy()
        mirrored[..., 0] = 1 - mirrored[..., 0]
        return mirrored

    def facts(self) -> dict:
        """Return the scheme as values for JSON; `scheme_from` is the inverse."""
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
    """Build a scheme from the values of `LandmarkScheme.facts`.

    Raises UserError, naming `where`, if they do not describe a valid scheme.
    """
    if fault := fault_in(facts, SCHEME):
        raise UserError(f"{where}: not a landmark scheme ({fault})")
    count, corners = facts["landmarks"], facts["outer_eye_corners"]
    regions = facts.get("regions") or {"all": range(count)}
    return LandmarkScheme(
        name=facts["name"],
        flip=flip_of(count, *facts["flip_pairs"]),
        outer_eye_corners=tuple(corners),
        eyes=_points(facts.get("eyes") or [[corner] for corner in corners]),
        contour=tuple(facts.get("contour", ())),
        regions={name: tuple(points) for name, points in regions.items()},
        lines=_points(facts.get("lines", ())),
    )


def scheme_of(described: dict) -> LandmarkScheme:
    """Return the scheme of a manifest or a model card."""
    return scheme_from(described["scheme"], "the manifest or model card")


def flip_of(count: int, *pairs) -> tuple[int, ...]:
    """Return the flip table of `count` points from its mirror pairs; other points stay."""
    flip = list(range(count))
    for left, right in pairs:
        flip[left], flip[right] = right, left
    return tuple(flip)


def _points(groups) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, groups))


def flip_table_error(scheme: LandmarkScheme, mean_shape=None) -> str | None:
    """Return why the flip table is wrong, or None.

    The table must be its own inverse. Given a `mean_shape` [N, 2], the mirrored mean shape, rotated
    and scaled onto the mean shape, must also match it within 15 % of its size on average. Real mean
    shapes stay below 5 %; the flip table of another scheme gives 30 % and more. No two landmarks
    may match each other's location instead of their own, as two eye corners do if the table, or a
    data set's labels on one side of the face, exchange them.
    """
    flip = np.array(scheme.flip)
    if sorted(flip) != list(range(scheme.count)) or (flip[flip] != np.arange(scheme.count)).any():
        return f"the flip table of {scheme.name} is not its own inverse"
    if mean_shape is None:
        return None
    shape = np.asarray(mean_shape, np.float64) - np.mean(mean_shape, axis=0)
    mirrored = _rotated_onto(shape[flip] * (-1, 1), shape)
    size = np.ptp(shape, axis=0).max()
    distances = np.linalg.norm(mirrored[:, None] - shape, axis=2) / size
    if (off := np.diag(distances).mean()) > 0.15:
        return (
            f"the flip table of {scheme.name} does not mirror the mean shape of the records:"
            f" points land {off:.0%} of the face's size away"
        )
    if exchanged := _exchanged(distances):
        pairs = ", ".join(f"{i} and {j}" for i, j in exchanged)
        return (
            f"landmarks {pairs} change places when the mean shape of the records is mirrored:"
            f" correct the flip pairs of {scheme.name}, or the labels of the data set"
        )
    return None


def _exchanged(distances) -> list[tuple[int, int]]:
    """The pairs of landmarks that each match the other's location better than their own.

    distances: [N, N] from each mirrored landmark to each landmark, relative to the face's size.
    Of 300-W and P1's mean shape, this finds every wrong pairing of two landmarks except that of an
    outer and an inner mouth corner, which are too close. On a mean shape of turned heads, landmarks
    match their neighbours along a line, but the neighbours do not match them.
    """
    own = np.diag(distances)
    kept, exchanged = own[:, None] + own, distances + distances.T
    return list(zip(*np.where(np.triu((kept > 0.06) & (exchanged < 0.5 * kept))), strict=True))


def _rotated_onto(points, target):
    """Rotate and scale `points` about the origin onto `target`, by least squares."""
    z, w = points @ (1, 1j), target @ (1, 1j)
    z = z * (np.vdot(z, w) / np.vdot(z, z))
    return np.stack([z.real, z.imag], axis=1)
