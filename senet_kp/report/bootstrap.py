"""How sure a number is: the bootstrap over groups of pictures.

Frames of one person and faces of one photo are alike. Drawing single faces would count them as
independent and make the interval too narrow, so whole groups are drawn, with replacement, as many
as there are; the interval reaches from the 2.5th to the 97.5th percentile of what comes out
(Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
"""

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
METHOD = "percentile bootstrap over groups (photos or persons)"


def estimates(statistics: dict, values, groups, seed: int = 0) -> dict:
    """{name: {"value", "low", "high"}} for functions {name: f} of values [n] or [n, k].

    groups [n] names the group of each value. The bounds of the 95 % interval are None where
    there are fewer than two groups to draw from.
    """
    values = np.asarray(values)
    names, member = np.unique(groups, return_inverse=True)
    found = [f(values) for f in statistics.values()]
    bounds = [(None, None)] * len(found)
    if len(names) > 1:
        rng = np.random.default_rng(seed)
        drawn = [
            [f(sample) for f in statistics.values()]
            for sample in _resampled(values, member, len(names), rng)
        ]
        tail = 50 * (1 - LEVEL)
        bounds = np.percentile(drawn, [tail, 100 - tail], axis=0).T.tolist()
    return {
        name: {"value": float(value), "low": low, "high": high}
        for name, value, (low, high) in zip(statistics, found, bounds, strict=True)
    }


def _resampled(values, member, groups: int, rng):
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        yield np.repeat(values, times[member], axis=0)
