import numpy as np
import pytest

from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.metrics import (
    auc,
    balanced_mean,
    ced,
    ced_at,
    ced_end,
    failure_rate,
    mean_of_found,
    median_of_found,
    nme,
    normaliser,
    point_errors,
    rmse,
    spread_ratio,
)


def face():
    """68 points: eye corners 10 apart, pupils 6 apart, bounding box 20 x 5, the rest at 0."""
    points = np.zeros((68, 2))
    points[36], points[45] = (0, 0), (10, 0)
    points[list(range(37, 42))] = (2.4, 0)  # with point 36 at 0 the eye's mean is 2.0
    points[42:48] = (8, 0)
    points[45] = (10, 0)
    points[[42, 43, 44, 46, 47]] = (7.6, 0)  # with point 45 at 10 the eye's mean is 8.0
    points[0], points[8] = (20, 0), (0, 5)
    return points


@pytest.mark.parametrize(
    "kind, length",
    [
        ("inter-ocular", 10.0),
        ("inter-pupil", 6.0),
        ("box", 10.0),
        ("diagonal", np.sqrt(425)),
    ],
)
def test_normalisers_by_hand(kind, length):
    assert normaliser(face()[None], np.ones((1, 68)), IBUG68, kind)[0] == pytest.approx(length)


def test_nme_by_hand():
    truth = np.stack([face(), face()])
    predicted = truth.copy()
    predicted[0, 8] += (3, 4)  # 5 off in one of 68 points: 5 / 68 / 10
    predicted[1] += (0.6, 0.8)  # 1 off everywhere: 1 / 10
    lengths = normaliser(truth, np.ones((2, 68)), IBUG68, "inter-ocular")
    errors = point_errors(predicted, truth, np.ones((2, 68)), lengths)
    np.testing.assert_allclose(nme(errors), [5 / 68 / 10, 0.1])
    assert errors[0, 8] == pytest.approx(0.5)


def test_missing_points_count_neither_as_right_nor_as_wrong():
    truth, mask = face()[None], np.ones((1, 68))
    predicted = truth.copy()
    predicted[0, 8] += (3, 4)
    mask[0, 9:20] = 0
    predicted[0, 9:20] = 1e6
    lengths = normaliser(truth, mask, IBUG68, "inter-ocular")
    assert nme(point_errors(predicted, truth, mask, lengths))[0] == pytest.approx(5 / 57 / 10)
    mask[0, 36] = 0  # without an eye corner this normaliser is not defined
    lengths = normaliser(truth, mask, IBUG68, "inter-ocular")
    assert np.isnan(nme(point_errors(predicted, truth, mask, lengths))).all()
    assert np.isfinite(normaliser(truth, mask, IBUG68, "box")).all()


def test_failure_rate_auc_and_curve_by_hand():
    nmes = [0.02, 0.04, 0.06, 0.10]
    assert failure_rate(nmes, 0.08) == 0.25
    # Steps at .02, .04, .06 of height 1/4 each, up to .08: (.06 + .04 + .02) / 4 / .08
    assert auc(nmes, 0.08) == pytest.approx(0.375)
    grid = np.linspace(0, 0.08, 200_001)
    numeric = np.mean(np.searchsorted(nmes, grid, side="right") / 4)
    assert auc(nmes, 0.08) == pytest.approx(numeric, abs=1e-4)
    errors, shares = ced([0.3, 0.1])
    assert errors.tolist() == [0.1, 0.3] and shares.tolist() == [0.5, 1.0]
    assert ced_at([0.3, 0.1], [0.0, 0.1, 0.2, 0.3]).tolist() == [0.0, 0.5, 0.5, 1.0]


def test_spread_of_a_mean_face_is_zero_and_of_the_truth_one():
    truth = np.random.default_rng(0).random((50, 68, 2))
    every = np.ones((50, 68))
    assert spread_ratio(truth, truth, every) == pytest.approx(1)
    mean_face = np.broadcast_to(truth.mean(0), truth.shape)
    assert spread_ratio(mean_face, truth, every) == pytest.approx(0)


def test_missing_points_do_not_count_in_the_spread():
    """If missing points counted as zeros, the truth would vary more than any prediction."""
    truth = np.random.default_rng(0).normal(0.5, 0.02, (50, 68, 2))
    mask = np.ones((50, 68), bool)
    mask[::2, 10:] = False
    mask[:, 67] = False
    unknown = np.where(mask[..., None], truth, 0)
    assert spread_ratio(truth, unknown, mask) == pytest.approx(1)


def test_rmse_by_hand():
    truth, mask = np.zeros((2, 2, 2)), np.array([[1, 1], [1, 0]])
    predicted = np.array([[[3, 0], [0, 1]], [[1, 1], [99, 99]]])
    assert rmse(predicted, truth, mask) == pytest.approx(np.sqrt((9 + 1 + 1 + 1) / 6))
    assert np.isnan(rmse(predicted, truth, np.zeros((2, 2))))


def test_unknown_normaliser_is_named():
    with pytest.raises(ValueError, match="no normaliser 'iod'"):
        normaliser(face()[None], np.ones((1, 68)), IBUG68, "iod")


def test_faces_that_were_not_found_are_failures_and_in_no_mean():
    nmes = np.array([0.02, 0.06, np.inf, np.inf])
    assert mean_of_found(nmes) == pytest.approx(0.04) == median_of_found(nmes)
    assert failure_rate(nmes, 0.08) == 0.5
    assert auc(nmes, 0.08) == pytest.approx((0.06 + 0.02) / 0.08 / 4)
    assert ced_at(nmes, [0.03, 9.0]).tolist() == [0.25, 0.5]
    assert np.isnan(mean_of_found(np.full(2, np.inf)))
    assert balanced_mean([0.1, 0.3, np.inf, 0.8], [0, 0, 0, 1]) == pytest.approx(0.5)


def test_the_curve_ends_behind_the_errors_and_behind_the_threshold():
    small, large = np.linspace(0.01, 0.05, 101), np.linspace(0.2, 0.6, 101)
    assert ced_end([small], 0.08) == pytest.approx(0.1)
    assert ced_end([small, large], 0.08) == pytest.approx(0.2 + 0.99 * 0.4)
    assert ced_end([np.append(large, np.inf)], 0.08) == pytest.approx(0.2 + 0.99 * 0.4)
    assert ced_end([np.full(3, np.inf)], 0.08) == pytest.approx(0.1)
