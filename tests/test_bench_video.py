"""The benchmark of videos: its clips have exact landmarks, and its measures are right."""

import numpy as np
import pytest

from benchmarks.video_measures import (
    Followed,
    flicker,
    identity_switches,
    lag_frames,
)
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pose import MEAN_LANDMARKS_CM

SHAPE = MEAN_LANDMARKS_CM[:, :2] * (1, -1) * 10  # pixels
EYES_PX = np.linalg.norm(SHAPE[36] - SHAPE[45])
TIMES = np.arange(100.0)


def path(times) -> np.ndarray:
    """A smooth motion [T, 2] in pixels."""
    return np.stack([40 * np.sin(times / 7) + 9 * np.cos(times / 4), 20 * np.sin(times / 9)], 1)


def track(times) -> np.ndarray:
    """A face on that path, [T, 1, 68, 2]."""
    return (SHAPE + path(times)[:, None])[:, None]


def seen(predicted, truth) -> list[Followed]:
    return [Followed(truth, predicted, np.zeros(truth.shape[:2]), 0)]


def test_a_constant_error_does_not_flicker_and_known_jitter_has_its_size():
    truth = track(TIMES)
    assert flicker(seen(truth + 5, truth), IBUG68) == pytest.approx(0, abs=1e-12)
    jitter = np.where(TIMES % 2, 1.5, -1.5)[:, None, None, None] * (0.6, 0.8)  # 3 px to and fro
    assert flicker(seen(truth + jitter, truth), IBUG68) == pytest.approx(3 / EYES_PX)
    gap = truth + jitter
    gap[50] = np.nan  # not found: neither the change to it nor from it counts
    gap[51:] += 1000
    assert flicker(seen(gap, truth), IBUG68) == pytest.approx(3 / EYES_PX)
    assert np.isnan(flicker(seen(truth[:1], truth[:1]), IBUG68))


@pytest.mark.parametrize("lag", [0, 1, 2, 0.5, -1])
def test_a_shifted_track_lags_by_its_shift(lag):
    truth = track(TIMES)
    found = lag_frames(seen(track(TIMES - lag) + 3, truth), IBUG68)
    assert found == pytest.approx(lag, abs=0.02)


def test_the_lag_is_found_in_spite_of_gaps_and_jitter():
    truth, late = track(TIMES), track(TIMES - 1)
    late = late + np.random.default_rng(0).normal(0, 1, late.shape)
    late[40:45] = np.nan
    assert lag_frames(seen(late, truth), IBUG68) == pytest.approx(1, abs=0.05)
    assert np.isnan(lag_frames(seen(truth[:3], truth[:3]), IBUG68))


def test_switches_are_counted_when_a_face_is_found_again_with_another_id():
    nan = np.nan
    assert identity_switches(np.array([[0, 0, 0, 0], [1, 1, 1, 1]]).T) == 0
    assert identity_switches(np.array([[0, nan, nan, 0], [nan, 1, nan, 1]]).T) == 0
    assert identity_switches(np.array([[0, 0, nan, 2], [1, 1, 1, 1]]).T) == 1
    assert identity_switches(np.array([[0, 0, 1, 1], [1, 1, 0, 0]]).T) == 2
