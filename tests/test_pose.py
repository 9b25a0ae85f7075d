import numpy as np
import pytest
from conftest import face_points
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.face.draw import BLUE, GREEN, RED, draw_axes
from senet_kp.face.known_schemes import IBUG68, SCHEMES
from senet_kp.face.pose import (
    MEAN_LANDMARKS_CM,
    angle_between_deg,
    angles_deg,
    estimate_pose_deg,
    head_rotation,
    rotation_of,
    true_rotation,
    turned,
)

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
    mask[:22] = True  # contour points are ignored
    assert np.isnan(estimate_pose_deg(MEAN_LANDMARKS_CM[:, :2], mask, IBUG68)).all()


def test_the_table_is_the_mean_head_of_the_renderer():
    from senet_kp.data_prep.sample_faces.landmarks import mean_landmarks_3d

    points = mean_landmarks_3d()
    points[:, 2] -= points[:, 2].mean()
    np.testing.assert_allclose(MEAN_LANDMARKS_CM, points, atol=0.0501)


@given(st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(-60, 60)))
def test_angles_and_rotation_agree(angles):
    """The rotation is the product of the rotations by pitch, yaw and roll."""
    pitch, yaw, roll = np.radians(angles)
    about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    rotation = np.array(about_x) @ about_y @ about_z
    np.testing.assert_allclose(angles_deg(rotation), angles, atol=1e-6)
    np.testing.assert_allclose(rotation_of(angles), rotation, atol=1e-12)


def clockwise(degrees, stretch=1.0):
    """Return the matrix from directions (y down) in a rotated picture to those before."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, sin], [-sin, cos]]) @ np.diag([stretch, 1 / stretch])


MIRROR = np.diag([-1, 1])


@pytest.mark.parametrize(
    "before, change, after",
    [
        ((0, 30, 0), MIRROR, (0, -30, 0)),
        ((0, 30, 0), 2.5 * MIRROR, (0, -30, 0)),
        ((0, 0, 0), clockwise(20), (0, 0, 20)),
        ((0, 0, 5), clockwise(-20, stretch=1.3), (0, 0, -15)),
        ((10, 30, 0), clockwise(20) @ MIRROR, None),
        ((-10, 40, 15), MIRROR @ clockwise(-15), None),
    ],
)
def test_a_head_rotates_with_its_picture_as_its_points_do(before, change, after):
    """The augmented pose agrees with the pose of the augmented points."""
    rotation = turned(rotation_of(before), change)
    if after:
        np.testing.assert_allclose(angles_deg(rotation), after, atol=1e-9)
    points = (MEAN_LANDMARKS_CM @ rotation_of(before).T)[:, :2] * (1, -1)
    points = points @ np.linalg.inv(change / np.linalg.norm(change, axis=0)).T
    if np.linalg.det(change) < 0:
        points = points[list(IBUG68.flip)]
    # 3 degrees, because the points lack the perspective that the estimate assumes.
    assert angle_between_deg(rotation, head_rotation(points, ALL, IBUG68)) < 4


def test_the_labelled_pose_comes_first_and_the_pose_may_be_unknown():
    points = MEAN_LANDMARKS_CM[:, :2] * (1, -1)
    known, unknown = (10.0, 20.0, 30.0), np.full(3, np.nan)
    np.testing.assert_array_equal(true_rotation(known, points, ALL, IBUG68), rotation_of(known))
    ahead = true_rotation(unknown, points, ALL, IBUG68)
    assert angle_between_deg(ahead, np.eye(3)) < 3
    five = np.ones((5, 2))
    assert np.isnan(true_rotation(unknown, five, ALL[:5], SCHEMES["dlib5"])).all()


def test_the_angle_between_rotations_by_hand():
    third = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # a rotation by 120 degrees about the diagonal
    half = np.diag([1, -1, -1])
    angles = angle_between_deg([third, half, np.eye(3), np.full((3, 3), np.nan)], np.eye(3))
    np.testing.assert_allclose(angles, [120, 180, 0, np.nan], atol=1e-6)


def test_a_head_that_looks_ahead_is_not_turned():
    points = MEAN_LANDMARKS_CM[:, :2] * (1, -1)
    np.testing.assert_allclose(head_rotation(points, ALL, IBUG68), np.eye(3), atol=0.04)


def test_axes_point_right_up_and_forward():
    points = np.array([[40, 40], [60, 60]])  # half the extent is 10 px
    turned = np.array([[1, 0, 0.8], [0, 1, 0], [0, 0, 0.6]])  # forward points right
    picture = draw_axes(np.zeros((100, 100, 3), np.uint8), points, np.eye(3))
    assert picture[50, 58].tolist() == list(RED) and picture[42, 50].tolist() == list(GREEN)
    picture = draw_axes(np.zeros((100, 100, 3), np.uint8), points, turned)
    assert picture[50, 56].tolist() == list(BLUE)  # drawn last, over the red one
