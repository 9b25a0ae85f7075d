import numpy as np
import pytest
from conftest import face_points
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.pose import MEAN_LANDMARKS_CM, estimate_pose_deg
from senet_kp.schemes import IBUG68

ALL = np.ones(68, bool)


@given(st.floats(-80, 80), st.integers(0, 1000))
def test_yaw_of_a_turned_mean_head(yaw_deg, seed):
    points = face_points((225, 225), 200, yaw_deg, seed)  # with noise of half a percent
    assert abs(estimate_pose_deg(points, ALL, IBUG68)[1]) == pytest.approx(abs(yaw_deg), abs=8)


def test_a_mirrored_face_turns_the_other_way():
    points = face_points((0.5, 0.5), 0.8, 40)
    there = estimate_pose_deg(points, ALL, IBUG68)
    back = estimate_pose_deg(IBUG68.mirror(points), ALL, IBUG68)
    np.testing.assert_allclose(back, there * (1, -1, -1), atol=2)


def test_mean_head_is_symmetric_and_looks_ahead():
    mirrored = MEAN_LANDMARKS_CM[list(IBUG68.flip)] * (-1, 1, 1)
    np.testing.assert_allclose(mirrored, MEAN_LANDMARKS_CM, atol=1e-9)
    pose = estimate_pose_deg(MEAN_LANDMARKS_CM[:, :2] * (1, -1), ALL, IBUG68)
    np.testing.assert_allclose(pose, 0, atol=2)


def test_too_few_points_give_no_pose():
    mask = np.zeros(68, bool)
    mask[:22] = True  # the contour does not count
    assert np.isnan(estimate_pose_deg(MEAN_LANDMARKS_CM[:, :2], mask, IBUG68)).all()


def test_the_table_is_the_renderers_mean_head():
    from data_prep.sample_faces.landmarks import mean_landmarks_3d

    points = mean_landmarks_3d()
    points[:, 2] -= points[:, 2].mean()
    np.testing.assert_allclose(MEAN_LANDMARKS_CM, points, atol=0.0501)
