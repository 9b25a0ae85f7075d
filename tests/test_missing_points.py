"""Values that stand for a missing landmark, and landmarks that cannot be right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep.formats.face_sample import Rejected, checked_label, complete_points
from senet_kp.face.known_schemes import CELEBA5, IBUG68

# 68 points on two circles, like a jaw and the parts inside it, centre (200, 150)
_TURN = np.linspace(0, 2 * np.pi, 34, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_TURN), np.sin(_TURN)])
FACE = np.concatenate([80 * _CIRCLE, 40 * _CIRCLE]) + (200, 150)
KNOWN = np.ones(68, bool)


def label(points, first_pixel=0):
    return checked_label("a.pts", points, KNOWN, IBUG68, first_pixel=first_pixel)


def changed(**points):
    face = FACE.copy()
    for number, place in points.items():
        face[int(number[1:])] = place
    return face


@pytest.mark.parametrize(
    "points, missing",
    [
        (changed(), []),
        (changed(p3=(-1, -1)), [3]),
        (changed(p3=(-1, -1), p60=(-1, -1)), [3, 60]),
        (changed(p3=(0, 0), p4=(0, 0)), [3, 4]),
        (changed(p3=(0, 0), p4=(-1, -1)), [3, 4]),
        (changed(p3=(0, 0)), [3]),
        (FACE - (200 - 60, 150 - 60), []),  # (-20, -20) and more: a face cut by the edge
        (changed(p3=(-1, 90)), []),
    ],
)
def test_missing_values(points, missing):
    assert np.flatnonzero(~label(points).mask).tolist() == missing
    assert (label(points).landmarks[missing] == 0).all()


def test_in_a_pts_file_the_values_are_those_of_the_file():
    assert not label(changed(p3=(-2, -2)), first_pixel=1).mask[3]
    assert not label(changed(p3=(-1, -1), p4=(-1, -1)), first_pixel=1).mask[3:5].any()


def test_one_point_in_the_corner_beside_the_face_is_a_place():
    points = FACE - (200, 150) + (60, 60)
    points[0] = 0, 0
    assert label(points).mask.all()


@pytest.mark.parametrize("place", [(1e6, 1e6), (-9999, 150), (200, 3000), (1e300, 0)])
def test_a_far_point_is_refused_by_name(place):
    points = changed(p66=place)
    for read in (label, lambda p: complete_points(p, "a.pts", 68)):
        with pytest.raises(Rejected, match=r"a\.pts: point 66 .* farther from the others") as error:
            read(points)
        assert error.value.reason == "far-point"


def test_nothing_but_missing_values_leaves_no_point():
    assert not label(np.full((68, 2), -1.0)).mask.any()
    assert not label(np.zeros((68, 2))).mask.any()


@given(st.floats(1, 1000), st.floats(-500, 500), st.floats(-500, 500))
def test_an_ordinary_face_of_any_size_and_place_keeps_its_points(scale, x, y):
    points = np.array([[-1, -1], [1, -1], [0, 0.1], [-0.7, 1], [0.7, 1.0]]) * scale + (x, y)
    if (points == 0).all(axis=1).any() or (points == -1).all(axis=1).any():
        return
    assert checked_label("a", points, np.ones(5, bool), CELEBA5).mask.all()
