"""How often a training draws each record: shares of the subsets and of the yaw bins in a batch.

A record has a weight, the mean number of times that an epoch draws it. The weights of an epoch of n
records have the sum n, so that an epoch has as many pictures with shares as without. A weight is
the product of a factor of the record's subset and one of its yaw bin, which raking (iterative
proportional fitting; Deming and Stephan, 1940) fits to the wanted shares. A rare face of one subset
is therefore not drawn more often than a face of the same yaw in a large subset of the same factor.
"""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from senet_kp.face.pose import YAW_BINS_DEG, true_yaw_deg, yaw_bin
from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.schema import Record
from senet_kp.tfrecords.shards import read_records

ROUNDS = 100  # of raking; the shares of real sets are exact to 1e-4 after 20
TOLERANCE = 0.01  # of a share after raking; more is left if the shares contradict each other
# A record that is drawn again in an epoch is augmented as in the epoch REPEATED x its number later.
REPEATED = 1 << 24
MAX_WEIGHT = 200  # so that the number of an epoch in which a record is repeated has 32 bits


@dataclass(frozen=True)
class Shares:
    """What --subset-shares and --yaw-shares ask for.

    subsets: {subset: share of a batch}; all other subsets together have the rest. yaws: a number
    for every bin of YAW_BINS_DEG, in any unit, or none. Faces whose yaw is unknown keep the share
    that they have in the records.
    """

    subsets: dict[str, float]
    yaws: tuple[float, ...]

    def __bool__(self) -> bool:
        return bool(self.subsets or self.yaws)


def check_shares(shares: Shares):
    """Raise UserError if a share is out of range."""
    given = shares.subsets.values()
    if not all(0 <= share <= 1 for share in given) or sum(given) > 1 + 1e-9:
        raise UserError("--subset-shares must be between 0 and 1, and together at most 1")
    if shares.yaws and len(shares.yaws) != len(YAW_BINS_DEG):
        raise UserError(f"--yaw-shares needs {len(YAW_BINS_DEG)} numbers, one for each yaw bin")
    if shares.yaws and not (min(shares.yaws) >= 0 and 0 < sum(shares.yaws) < np.inf):
        raise UserError("--yaw-shares must be at least 0, and not all of them 0")


@dataclass(frozen=True)
class Population:
    """The n records of a training in the order of their shards, with weights [n]."""

    subsets: np.ndarray  # [n], names
    bins: np.ndarray  # [n], indices of yaw bins; len(YAW_BINS_DEG) where the yaw is unknown
    weights: np.ndarray  # [n], the mean number of times that an epoch draws each record

    def lines(self) -> list[str]:
        """A line for each subset and yaw bin: its faces, and its share of a batch."""
        names = [f"yaw {low}-{high}" for low, high in YAW_BINS_DEG] + ["yaw unknown"]
        parts = [(subset, self.subsets == subset) for subset in sorted({*self.subsets})]
        parts += [(names[bin], self.bins == bin) for bin in sorted({*self.bins})]
        total = self.weights.sum()
        return [
            f"  {name:<12} {faces.sum():>7,} faces, {self.weights[faces].sum() / total:6.1%} of a"
            f" batch, each {self.weights[faces].mean():.2f} times an epoch"
            for name, faces in parts
        ]


def population(
    folder: Path, manifest: dict, sides: tuple[str, ...], shares: Shares, complete: bool = False
) -> Population:
    """Read the subsets and yaws of all records of some sides, and fit the weights to the shares.

    complete: give faces that lack landmarks the weight 0. Raises UserError if a subset or a yaw bin
    that shall have a share has no faces.
    """
    scheme = scheme_of(manifest)
    records = chain.from_iterable(read_records(folder, manifest, side) for side in sides)
    facts = [(r.subset, _bin(r, scheme, shares), not complete or r.mask.all()) for r in records]
    subsets, bins, usable = map(np.array, zip(*facts, strict=True))
    weights = _raked(subsets, bins, usable.astype(np.float64), shares)
    if weights.max() > MAX_WEIGHT:
        index = weights.argmax()
        raise UserError(
            f"{folder}: with these shares every epoch would repeat a face of {subsets[index]}"
            f" {weights[index]:.0f} times; give its subset or its yaw a smaller share"
        )
    return Population(subsets, bins, weights)


def repetitions(weights: np.ndarray, seed: int, epoch):
    """The op [n] of how often an epoch draws each of n records: systematic sampling.

    Each is its weight, rounded up or down, and their sum is that of the weights exactly. Whether it
    is rounded up or down depends on the seed and the epoch, an int64 tensor.
    """
    from senet_kp.nets.tf1 import tf  # here, because only training needs TensorFlow

    ends = np.cumsum(weights)
    ends[-1] = round(ends[-1])
    start = tf.random.stateless_uniform(
        [], tf.stack([tf.cast(seed, tf.int64), epoch]), dtype=tf.float64
    )
    drawn = tf.cast(tf.floor(start + np.append(0.0, ends)), tf.int64)
    return drawn[1:] - drawn[:-1]


def _bin(record: Record, scheme: LandmarkScheme, shares: Shares) -> int:
    """The yaw bin of a record. All are in one if no shares of them are wanted: it costs 0.3 ms."""
    if not shares.yaws:
        return len(YAW_BINS_DEG)
    yaw_deg = true_yaw_deg(record.pose, record.landmarks, record.mask, scheme)
    return int(yaw_bin(abs(yaw_deg)))


def _raked(subsets, bins, weights, shares: Shares) -> np.ndarray:
    """The weights [n], whose sum is kept, fitted to the shares."""
    count = weights.sum()
    wanted = [*_subset_targets(subsets, weights, shares), *_yaw_targets(bins, weights, shares)]
    for what, faces, share in wanted:
        if share and not weights[faces].any():
            raise UserError(f"there is no face {what} to train on; leave out its share")
    for _ in range(ROUNDS):
        for _, faces, share in wanted:
            have = weights[faces].sum()
            weights[faces] *= share * count / have if have else 0.0
    for what, faces, share in wanted:
        if not abs(weights[faces].sum() / count - share) < TOLERANCE:
            raise UserError(
                f"no batch can have all these shares at once: {share:.0%} of faces {what} needs"
                " another share of a subset or a yaw bin"
            )
    return weights * (count / weights.sum())


def _subset_targets(subsets, weights, shares: Shares) -> list:
    """(description, faces [n], share) of every subset that has a share, and of the rest."""
    if not shares.subsets:
        return []
    named = [(f"of {name}", subsets == name, share) for name, share in shares.subsets.items()]
    rest = ~np.isin(subsets, list(shares.subsets))
    left = max(0.0, 1 - sum(shares.subsets.values()))
    if left > 1e-9 and not weights[rest].any():
        raise UserError("--subset-shares: they name all subsets, so they must have the sum 1")
    return [*named, ("of another subset", rest, left)]


def _yaw_targets(bins, weights, shares: Shares) -> list:
    """(description, faces [n], share) of every yaw bin; faces of unknown yaw keep their share."""
    if not shares.yaws:
        return []
    known = weights[bins < len(YAW_BINS_DEG)].sum() / weights.sum()
    return [
        (f"with a yaw of {low} to {high} degrees", bins == index, known * share / sum(shares.yaws))
        for index, ((low, high), share) in enumerate(zip(YAW_BINS_DEG, shares.yaws, strict=True))
    ]
