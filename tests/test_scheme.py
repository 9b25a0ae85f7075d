import dataclasses

import numpy as np
import pytest

from senet_kp.pose import MEAN_LANDMARKS_CM
from senet_kp.scheme import IBUG68, SCHEMES, flip_table_error

MEAN_SHAPE = MEAN_LANDMARKS_CM[:, :2] * (1, -1) / 15


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_flip_table_is_an_involution_and_mirrors_eyes_and_regions(scheme):
    flip = np.array(scheme.flip)
    assert (flip[flip] == np.arange(scheme.count)).all()
    assert flip[scheme.outer_eye_corners[0]] == scheme.outer_eye_corners[1]
    assert {int(flip[i]) for i in scheme.eyes[0]} == set(scheme.eyes[1])
    for name, points in scheme.regions.items():
        assert {int(flip[i]) for i in points} == set(points), name
    assert sorted(i for points in scheme.regions.values() for i in points) == list(
        range(scheme.count)
    )


def test_values_of_the_68_points():
    assert IBUG68.count == 68
    assert IBUG68.outer_eye_corners == (36, 45)
    pairs = {0: 16, 8: 8, 17: 26, 27: 27, 31: 35, 33: 33, 36: 45, 39: 42, 41: 46, 48: 54, 51: 51,
             57: 57, 60: 64, 62: 62, 66: 66, 67: 65}  # fmt: skip
    assert {i: IBUG68.flip[i] for i in pairs} == pairs
    assert sum(i == j for i, j in enumerate(IBUG68.flip)) == 10  # the middle line


def test_mirroring_twice_is_identity_and_swaps_sides():
    landmarks = np.random.default_rng(0).random((3, 68, 2))
    np.testing.assert_allclose(IBUG68.mirror(IBUG68.mirror(landmarks)), landmarks, atol=1e-15)
    assert IBUG68.mirror(landmarks)[1, 36, 0] == 1 - landmarks[1, 45, 0]
    assert IBUG68.mirror(landmarks)[1, 36, 1] == landmarks[1, 45, 1]


def test_self_check_accepts_the_table_and_refuses_others():
    assert flip_table_error(IBUG68, MEAN_SHAPE) is None
    identity = dataclasses.replace(IBUG68, flip=tuple(range(68)))
    assert "does not mirror" in flip_table_error(identity, MEAN_SHAPE)
    five_points_only = [*range(68)]
    five_points_only[0], five_points_only[1] = 1, 0
    wrong = dataclasses.replace(IBUG68, flip=tuple(five_points_only))
    assert "does not mirror" in flip_table_error(wrong, MEAN_SHAPE)
    shifted = dataclasses.replace(IBUG68, flip=(*range(1, 68), 0))
    assert "not its own inverse" in flip_table_error(shifted)
