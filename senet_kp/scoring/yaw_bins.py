"""The error by head yaw, in the bins that AFLW2000-3D is scored with.

All functions take the absolute yaw of n faces in degrees, [n]; NaN stands for a yaw that is not
known.
"""

from collections.abc import Callable

import numpy as np

from senet_kp.face.metrics import balanced_mean
from senet_kp.face.pose import YAW_BINS_DEG, true_yaw_deg, yaw_bin
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops


def absolute_yaw_deg(crops: Crops, scheme: LandmarkScheme) -> tuple[np.ndarray, np.ndarray]:
    """The absolute yaw [n] of each face, and whether it was estimated [n].

    The annotated yaw is used where there is one. Otherwise the yaw is estimated from the true
    landmarks; it is NaN where these are not sufficient.
    """
    labels = zip(crops.pose_deg, crops.landmarks, crops.mask, strict=True)
    yaw = np.array([true_yaw_deg(*label, scheme) for label in labels], np.float64)
    return np.abs(yaw), np.isfinite(yaw) & ~np.isfinite(crops.pose_deg[:, 1])


def yaw_masks(yaw) -> dict[str, np.ndarray]:
    """{"0-30": [n] bool, ...}: which faces are in each bin."""
    bins = yaw_bin(yaw)
    return {f"{low}-{high}": bins == i for i, (low, high) in enumerate(YAW_BINS_DEG)}


def yaw_bins_mean(nmes, yaw, groups, estimate: Callable):
    """The mean of the bins' mean NMEs, in which every bin has the same weight.

    nmes [n], groups [n]; estimate: as for `scores.breakdown`. None if a bin contains no face,
    because the rest does not represent all poses. A bootstrap resample may still leave a bin empty
    and is then averaged over the other bins.
    """
    bins = yaw_bin(yaw)
    inside = bins < len(YAW_BINS_DEG)
    if len(set(bins[inside])) < len(YAW_BINS_DEG):
        return None
    values = np.column_stack([nmes, bins])[inside]
    statistics = {"mean": lambda drawn: balanced_mean(drawn[:, 0], drawn[:, 1].astype(int))}
    return estimate(statistics, values, groups[inside])["mean"]


def yaw_in_no_bin(yaw) -> dict[str, int]:
    """The number of faces whose yaw is above the last bin, and of those whose yaw is not known."""
    limit = YAW_BINS_DEG[-1][1]
    return {f"above_{limit}": int((yaw > limit).sum()), "unknown": int(np.isnan(yaw).sum())}
