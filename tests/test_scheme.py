import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.face.known_schemes import (
    BIOID20,
    COFW29,
    IBUG68,
    KAGGLE15,
    LAPA106,
    SCHEMES,
    WFLW98,
    read_scheme,
)
from senet_kp.face.pose import MEAN_LANDMARKS_CM
from senet_kp.face.scheme import flip_table_error, scheme_from, scheme_of
from senet_kp.tfrecords.errors import InputError, UserError

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


def test_mirroring_twice_is_identity_and_swaps_left_and_right():
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


def exchanged(i: int, j: int):
    """IBUG68 with the mirror partners of two landmarks exchanged."""
    flip = list(IBUG68.flip)
    left, right = flip[i], flip[j]
    flip[i], flip[right], flip[j], flip[left] = right, i, left, j
    return dataclasses.replace(IBUG68, flip=tuple(flip))


@pytest.mark.parametrize("pair", [(36, 39), (37, 41), (49, 59), (50, 58), (17, 21), (31, 32)])
def test_two_exchanged_landmarks_of_a_scheme_are_named(pair):
    i, j = pair
    error = flip_table_error(exchanged(i, j), MEAN_SHAPE)
    assert f"{i} and {j}" in error and "correct the flip pairs of ibug68" in error


@pytest.mark.parametrize("pair", [(36, 39), (42, 45), (49, 59)])
def test_two_exchanged_landmarks_of_a_data_set_are_named(pair):
    shape = MEAN_SHAPE.copy()
    shape[list(pair)] = shape[list(pair[::-1])]
    assert f"{pair[0]} and {pair[1]}" in flip_table_error(IBUG68, shape)


@pytest.mark.parametrize("yaw_deg", [0, 15, 30, -30])
def test_the_mean_shape_of_turned_heads_exchanges_nothing(yaw_deg):
    angle, (x, y, z) = np.radians(yaw_deg), MEAN_LANDMARKS_CM.T
    turned = np.column_stack([x * np.cos(angle) + z * np.sin(angle), -y])
    assert "change places" not in (flip_table_error(IBUG68, turned) or "")


def test_values_of_the_other_schemes():
    assert {name: scheme.count for name, scheme in SCHEMES.items()} == {
        "ibug68": 68,
        "kaggle15": 15,
        "wflw98": 98,
        "dlib5": 5,
        "celeba5": 5,
        "aflw21": 21,
        "cofw29": 29,
        "bioid20": 20,
        "lapa106": 106,
    }
    assert KAGGLE15.flip == (1, 0, 4, 5, 2, 3, 8, 9, 6, 7, 10, 12, 11, 13, 14)
    pairs = {0: 32, 16: 16, 33: 46, 37: 42, 38: 50, 41: 47, 54: 54, 55: 59, 60: 72, 64: 68, 65: 75,
             67: 73, 76: 82, 79: 79, 83: 87, 88: 92, 95: 93, 96: 97}  # fmt: skip
    assert {i: WFLW98.flip[i] for i in pairs} == pairs
    assert sum(i == j for i, j in enumerate(WFLW98.flip)) == 10
    assert COFW29.flip[:8] == (1, 0, 3, 2, 6, 7, 4, 5)
    assert [i for i, j in enumerate(COFW29.flip) if i == j] == [20, 21, 24, 25, 26, 27, 28]
    assert [i for i, j in enumerate(BIOID20.flip) if i == j] == [14, 17, 18, 19]


def test_values_of_the_106_points():
    pairs = {0: 32, 15: 17, 33: 46, 37: 42, 38: 50, 41: 47, 55: 65, 57: 63, 59: 61, 66: 79, 70: 75,
             71: 82, 73: 80, 74: 83, 84: 90, 86: 88, 91: 95, 96: 100, 104: 105}  # fmt: skip
    assert {i: LAPA106.flip[i] for i in pairs} == pairs
    middle = [16, 51, 52, 53, 54, 60, 87, 93, 98, 102]  # chin, nose, lips
    assert [i for i, j in enumerate(LAPA106.flip) if i == j] == middle
    assert LAPA106.outer_eye_corners == (66, 79)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_a_scheme_survives_a_round_trip_through_json(scheme):
    assert scheme_of({"scheme": json.loads(json.dumps(scheme.facts()))}) == scheme


@given(st.integers(2, 40), st.data())
def test_flip_pairs_give_an_involution(count, data):
    order = data.draw(st.permutations(range(count)))
    pairs = [order[i : i + 2] for i in range(0, data.draw(st.integers(0, count // 2)) * 2, 2)]
    facts = {"name": "any", "landmarks": count, "flip_pairs": pairs, "outer_eye_corners": [0, 1]}
    scheme = scheme_from(facts, "here")
    assert [scheme.flip[j] for j in scheme.flip] == list(range(count))
    assert scheme.regions == {"all": tuple(range(count))} and scheme.eyes == ((0,), (1,))


def test_a_custom_scheme_is_read_from_a_file(tmp_path):
    path = tmp_path / "three.json"
    facts = {"name": "three", "landmarks": 3, "flip_pairs": [[0, 1]], "outer_eye_corners": [0, 1]}
    path.write_text(json.dumps(facts))
    assert read_scheme(str(path)).flip == (1, 0, 2)
    assert read_scheme("wflw98") is WFLW98
    with pytest.raises(UserError, match="no landmark scheme of this name, only ibug68"):
        read_scheme("ibug")
    with pytest.raises(InputError, match="gone.json"):
        read_scheme(str(tmp_path / "gone.json"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"landmarks": "many"},
        {"flip_pairs": [[0, 1], [1, 2]]},
        {"flip_pairs": [[0, 3]]},
        {"outer_eye_corners": [0]},
        {"outer_eye_corners": [0, 7]},
        {"lines": [[0, -1]]},
        {"regions": {"eyes": [5]}},
    ],
)
def test_invalid_schemes_are_refused_in_one_line(wrong):
    facts = {"name": "three", "landmarks": 3, "flip_pairs": [[0, 1]], "outer_eye_corners": [0, 1]}
    with pytest.raises(UserError, match="^my.json: not a landmark scheme"):
        scheme_from(facts | wrong, "my.json")


def test_a_scheme_file_with_a_billion_landmarks_is_refused(tmp_path):
    facts = {"name": "a", "landmarks": 10**9, "flip_pairs": [], "outer_eye_corners": [0, 1]}
    (tmp_path / "a.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="a.json: not a landmark scheme .*from 2 to 10000"):
        read_scheme(str(tmp_path / "a.json"))
