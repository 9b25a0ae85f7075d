"""Label maps: which landmarks of one scheme are those of another.

A label map is JSON, as in this part of the one from AFLW's 21 points to iBUG's 68:

    {"from": "aflw21", "to": "ibug68",
     "points": {"8": 20, "36": 6, "30": [14], "33": [[13, 0.5], [15, 0.5]]},
     "means": {"7": [36, 37, 38, 39, 40, 41]}}

"points" gives for a landmark of the scheme "to" the landmark of the scheme "from" that is the same,
or several whose mean it is, with or without weights. Landmarks of "to" that are not named have no
counterpart: they are missing from mapped labels. "means" gives for a landmark of "from" those of
"to" whose mean it is, such as the middle of an eye; it says nothing about each of them, and only
helps to tell where the whole face is. "from" and "to" are the names of built-in schemes, or .json
files of schemes. Points are counted from 0.
"""

from dataclasses import dataclass

import numpy as np

from senet_kp.face.known_schemes import read_scheme
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.files import read_json, sha256_of_lines


@dataclass(frozen=True)
class LabelMap:
    """A map between two landmark schemes with N and M landmarks.

    points: [M, N] weights of the landmarks of `source` in each landmark of `target`; the sum of a
            row is 1, or 0 if the landmark has no counterpart
    means:  [N, M] weights of the landmarks of `target` in each landmark of `source`, likewise
    """

    name: str
    source: LandmarkScheme
    target: LandmarkScheme
    points: np.ndarray
    means: np.ndarray

    def apply(self, landmarks, mask) -> tuple[np.ndarray, np.ndarray]:
        """Map landmarks [N, 2] and mask [N] to landmarks [M, 2] and mask [M].

        A landmark is known if all those are known of which it is the mean. Unknown ones are 0.
        """
        used = self.points != 0
        known = used.any(axis=1) & ~(used & ~np.asarray(mask, bool)).any(axis=1)
        return np.where(known[:, None], self.points @ np.asarray(landmarks), 0), known

    def known_means(self, landmarks, mask) -> tuple[np.ndarray, np.ndarray]:
        """Return the known landmarks [k, 2] of `means`, and their weights [k, M]."""
        given = self.means.any(axis=1) & np.asarray(mask, bool)
        return np.asarray(landmarks)[given], self.means[given]

    def facts(self) -> dict:
        """Return name and fingerprint of the map, for manifests."""
        rows = [f"{self.source.name} {self.target.name}", *map(str, self.points.tolist())]
        return {
            "name": self.name,
            "sha256": sha256_of_lines([*rows, *map(str, self.means.tolist())]),
        }


def label_map_from(facts, where: str) -> LabelMap:
    """Build a map from the values of its JSON. Raises UserError, naming `where`, if it is none."""
    try:
        unknown = set(facts) - {"from", "to", "points", "means"}
        source, target = read_scheme(facts["from"]), read_scheme(facts["to"])
        points = _weights(facts["points"], target.count, source.count)
        means = _weights(facts.get("means", {}), source.count, target.count)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where}: not a label map ({type(error).__name__} {error})") from None
    if unknown or not points.any():
        problem = f"it has the keys {', '.join(sorted(unknown))}" if unknown else "it maps no point"
        raise UserError(f"{where}: not a label map ({problem})")
    return LabelMap(where, source, target, points, means)


def read_label_map(path) -> LabelMap:
    """Read a label map from a .json file. Raises InputError or UserError if it is none."""
    try:
        facts = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable label map ({error})") from None
    return label_map_from(facts, str(path))


def _weights(table: dict, rows: int, columns: int) -> np.ndarray:
    """Return the weights [rows, columns] of {row: column, columns, or pairs of column and weight}.

    Raises ValueError for a point that does not exist or weights that are not above 0.
    """
    weights = np.zeros((rows, columns))
    for row, parts in table.items():
        for part in parts if isinstance(parts, (list, tuple)) else [parts]:
            column, weight = part if isinstance(part, (list, tuple)) else (part, 1.0)
            if not (0 <= int(row) < rows and 0 <= int(column) < columns and weight > 0):
                raise ValueError(f"point {row} cannot be {weight} times point {column}")
            weights[int(row), int(column)] += weight
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
