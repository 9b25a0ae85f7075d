"""Faces that are turned in the picture's plane, and several detections of one face."""

import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, run_module
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import bench_detection
from benchmarks.looks import turned_picture
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import BoxRule, crop, face_box
from senet_kp.face.turned import (
    from_turned,
    roll_of,
    turned,
    turned_crop,
    turned_face_box,
    upright_roll,
)
from senet_kp.inference.detections import Detection, in_quarter_turns, merged
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.inference.looks import landmarks_near
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.tfrecords.errors import UserError

PRETRAINED = ROOT / "export" / "pretrained" / "senet68.pb"
SHAPE = np.array([(0, 0), (4, 0), (2, 3), (1, 5), (3, 5)], float)


@pytest.fixture(scope="module")
def face():
    """A rendered face [450, 450, 3] and its 68 landmarks in pixels."""
    view = render_identity(3, 0, 1)[0]
    return np.ascontiguousarray(view.image[..., ::-1]), view.points_2d


def test_a_quarter_turn_by_hand():
    # Clockwise as the picture is seen: what points to the right then points downwards.
    np.testing.assert_allclose(turned([(1, 0), (0, 1)], 90), [(0, 1), (-1, 0)], atol=1e-12)
    np.testing.assert_allclose(turned([3, 2], 90, (2, 2)), [2, 3], atol=1e-12)


@given(st.floats(-179, 179), st.floats(0.1, 50), st.floats(-99, 99))
def test_the_roll_of_a_turned_shape_is_its_turn(roll_deg, size, shift):
    assert roll_of(turned(SHAPE * size, roll_deg) + shift, SHAPE) == pytest.approx(roll_deg)


def test_rolls_that_the_network_knows_stay():
    assert [upright_roll(roll) for roll in (-19, 19, 21, -150)] == [0, 0, 21, -150]


@given(st.floats(21, 339), st.floats(-50, 50))
def test_a_turned_box_turns_with_the_face(roll_deg, shift):
    rule = BoxRule(shift_y=0.1)
    box = turned_face_box(turned(SHAPE, roll_deg) + shift, rule, roll_deg)
    upright = face_box(SHAPE, rule)
    centre = turned(upright[:2] + upright[2:] / 2, roll_deg) + shift
    np.testing.assert_allclose(box[:2] + box[2:] / 2, centre, atol=1e-9)
    np.testing.assert_allclose(box[2:], upright[2:])


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_the_crop_of_a_turned_box_shows_the_face_upright(face, quarter):
    picture, points = face
    rule, box = BoxRule(), face_box(points, BoxRule())
    size = picture.shape[0]
    copy = np.ascontiguousarray(np.rot90(picture, -quarter))  # clockwise
    centre = turned(box[:2] + box[2:] / 2, 90 * quarter, ((size - 1) / 2,) * 2)
    shown = turned_crop(copy, [*(centre - box[2:] / 2), *box[2:]], rule, 90 * quarter)
    upright = crop(picture, box, rule.size_px)
    assert np.abs(shown.astype(int) - upright).mean() < 3  # of 255; resampled twice


def test_landmarks_of_a_turned_box_are_pixels_of_the_picture():
    # The middle of the left edge of a box of 10 px around (20, 30) is above its centre.
    found = from_turned([(0, 0.5), (0.5, 0.5)], [15, 25, 10, 10], 90)
    np.testing.assert_allclose(found, [(20, 25), (20, 30)], atol=1e-12)


def test_one_face_found_twice_is_one_face():
    boxes = [[0, 0, 10, 10], [1, 0, 10, 10], [9, 0, 10, 10]]
    found = [Detection(np.array(box), score) for box, score in zip(boxes, (1, 2, 3), strict=True)]
    assert [one.score for one in merged(found)] == [3, 2]


@pytest.mark.parametrize("quarter, roll_deg", [(1, 90), (2, -180), (3, -90)])
def test_detections_in_turned_copies_are_in_the_pictures_pixels(quarter, roll_deg):
    picture = np.zeros((30, 50, 3), np.uint8)
    picture[7, 40] = 255

    def detect(copy):
        y, x = np.argwhere(copy[..., 0])[0]
        return [Detection(np.array([x - 2, y - 3, 4, 6]), 1.0)]

    (found,) = in_quarter_turns(detect, picture, (quarter,))
    np.testing.assert_allclose(found.box[:2] + found.box[2:] / 2, (40, 7), atol=1e-9)
    assert found.roll_deg == roll_deg


def test_a_pass_that_finds_the_face_turned_does_not_count():
    """The first look shows a face turned by 60 degrees; two more are in a turned box."""
    rolls, rule = [60.0, 0.0, 0.0], BoxRule(scale=1.0, size_px=8)
    mean = np.array([(0, 0), (1, 0), (0, 1), (1, 1)], float)

    def run(crop):
        return turned(mean, rolls.pop(0), (0.5, 0.5))

    seen = landmarks_near(np.zeros((99, 99, 3), np.uint8), [30, 30, 40, 40], run, rule, 2, 0, mean)
    assert not rolls and seen.roll_deg == pytest.approx(60)


@pytest.mark.parametrize("roll_deg", [0, 90, 180, -90])
def test_landmarks_of_a_turned_picture(face, roll_deg):
    pytest.importorskip("dlib")
    picture, points = face
    copy = np.ascontiguousarray(np.rot90(picture, -(roll_deg // 90)))
    truth = turned(points, roll_deg, ((picture.shape[0] - 1) / 2,) * 2)
    (found,) = LandmarkPredictor(PRETRAINED, detector="dlib").predict(copy)
    error = np.linalg.norm(found.landmarks - truth, axis=1).mean()
    assert error < 0.06 * np.ptp(points, axis=0).max()
    assert abs((found.roll_deg - roll_deg + 180) % 360 - 180) < 20


def collage(picture, sides):
    """The face at several sizes beside each other."""
    copies = [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for side in sides]
    height = max(sides)
    return np.hstack(
        [cv2.copyMakeBorder(c, 0, height - len(c), 0, 0, cv2.BORDER_REPLICATE) for c in copies]
    )


def test_every_face_of_the_given_size_is_found(face):
    """dlib's box has about half the width of the rendered picture: 450, 200, 100 and 50 px."""
    pytest.importorskip("dlib")
    shown = collage(face[0], (900, 400, 200, 100))
    boxes = [sorted(one.box[2] for one in DlibDetector(px).detect(shown)) for px in (160, 80, 40)]
    assert [len(found) for found in boxes] == [2, 3, 4]
    assert boxes[2][0] < 70 < boxes[2][1]


def test_turned_faces_beside_upright_ones_need_the_option(face):
    pytest.importorskip("dlib")
    shown = np.ascontiguousarray(np.hstack([face[0], np.rot90(face[0], 2)]))
    for any_roll, count in ((False, 1), (True, 2)):
        predictor = LandmarkPredictor(PRETRAINED, detector="dlib", any_roll=any_roll)
        assert len(predictor.predict(shown)) == count


def test_faces_that_are_too_small_to_search_are_refused(tmp_path):
    with pytest.raises(UserError, match="--min-face-px 19: has to be at least 20"):
        LandmarkPredictor(PRETRAINED, min_face_px=19)
    command = ("demo.py", tmp_path / "photo.jpg", "--model", PRETRAINED, "--min-face-px", "0")
    assert_one_line_error(run_module(*command), 2, "--min-face-px 0", "at least 20")


def test_the_benchmark_turns_pictures_with_their_landmarks():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:13, 50:53] = 255
    copy, landmarks = turned_picture(picture, [(51, 11)], 90)
    assert copy.shape == (60, 40, 3)
    np.testing.assert_allclose(landmarks, [(28, 51)], atol=1e-9)
    assert copy[51, 28].tolist() == [255] * 3
    copy, ((x, y),) = turned_picture(picture, [(51, 11)], 30)
    assert copy[round(y), round(x)].tolist() == [255] * 3


def test_the_benchmarks_collage_has_every_size_that_has_room():
    face = np.full((80, 80, 3), 255, np.uint8)
    picture, placed = bench_detection.collage(face, 640)
    assert picture.shape == (480, 640, 3)
    assert len(placed) == 1  # the largest takes the whole picture's width
    picture, placed = bench_detection.collage(face, 1920)
    assert [side for *_, side in placed] == sorted(bench_detection.FACE_SIDES_PX, reverse=True)
    shown = sum((2 * side) ** 2 for *_, side in placed)
    assert (picture == 255).all(axis=2).sum() == shown  # none lies over another
