"""Confidence intervals by a bootstrap over groups of pictures.

Frames of one person and faces of one photo resemble each other. Resampling single faces would treat
them as independent and give intervals that are too narrow. Instead, each resample draws as many
groups as there are, with replacement, and the interval is the range from the 2.5th to the 97.5th
percentile of the statistic over the resamples (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13).
"""

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
METHOD = "percentile bootstrap over groups (photos or persons)"


def estimates(statistics: dict, values, groups, seed: int = 0) -> dict:
    """{name: {"value", "low", "high"}} of each statistic, a function of values [n] or [n, k].

    groups [n]: the name of each value's group. low and high bound the 95 % interval; they are None
    if there are fewer than two groups. Numbers that are not finite, such as the mean over no face,
    are None.
    """
    values = np.asarray(values)
    names, member = np.unique(groups, return_inverse=True)
    result = {
        name: {"value": _finite(f(values)), "low": None, "high": None}
        for name, f in statistics.items()
    }
    defined = [name for name, found in result.items() if found["value"] is not None]
    if len(names) > 1 and defined:
        rng = np.random.default_rng(seed)
        drawn = [
            [statistics[name](sample) for name in defined]
            for sample in _resampled(values, member, len(names), rng)
        ]
        tail = 50 * (1 - LEVEL)
        with np.errstate(invalid="ignore"):  # of infinite draws
            bounds = np.nanpercentile(drawn, [tail, 100 - tail], axis=0).T
        for name, (low, high) in zip(defined, bounds, strict=True):
            result[name] |= {"low": _finite(low), "high": _finite(high)}
    return result


def _finite(value) -> float | None:
    return float(value) if np.isfinite(value) else None


def paired(first, other, groups, seed: int = 0) -> dict:
    """The comparison of two models by their errors [n] on the same faces, with 95 % intervals.

    difference: mean error of the first minus that of the other; negative if the first is better.
    better: share of the faces on which the first has the smaller error.
    Both are None if there are no faces.
    """
    statistics = {"difference": np.mean, "better": lambda apart: np.mean(apart < 0)}
    apart = np.asarray(first) - np.asarray(other)
    return estimates(statistics, apart, groups, seed) if len(apart) else dict.fromkeys(statistics)


def _resampled(values, member, groups: int, rng):
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        yield np.repeat(values, times[member], axis=0)
