import numpy as np
import pytest
from conftest import face_points
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.draw import BLUE, GREEN, RED, draw_axes
from senet_kp.pose import MEAN_LANDMARKS_CM, angles_deg, estimate_pose_deg, head_rotation
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


@given(st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(-60, 60)))
def test_angles_and_rotation_are_of_one_mind(angles):
    """The rotation is the product of the three turns that the angles name."""
    pitch, yaw, roll = np.radians(angles)
    about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    rotation = np.array(about_x) @ about_y @ about_z
    np.testing.assert_allclose(angles_deg(rotation), angles, atol=1e-6)


def test_a_head_that_looks_ahead_is_not_turned():
    points = MEAN_LANDMARKS_CM[:, :2] * (1, -1)
    np.testing.assert_allclose(head_rotation(points, ALL, IBUG68), np.eye(3), atol=0.04)


def test_axes_point_right_up_and_forward():
    points = np.array([[40, 40], [60, 60]])  # half the extent is 10 px
    turned = np.array([[1, 0, 0.8], [0, 1, 0], [0, 0, 0.6]])  # forward is to the picture's right
    picture = draw_axes(np.zeros((100, 100, 3), np.uint8), points, np.eye(3))
    assert picture[50, 58].tolist() == list(RED) and picture[42, 50].tolist() == list(GREEN)
    picture = draw_axes(np.zeros((100, 100, 3), np.uint8), points, turned)
    assert picture[50, 56].tolist() == list(BLUE)  # drawn last, over the red one
