import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.face.facebox import (
    BoxRule,
    box_affine,
    crop,
    face_box,
    picture_box,
    to_absolute,
    to_relative,
    widened,
)

coordinates = st.floats(-2000, 5000)
boxes = st.builds(
    lambda x, y, side: np.array([x, y, side, side]), coordinates, coordinates, st.floats(16, 4000)
)
shapes = st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=68).map(np.array)


@given(shapes, boxes)
def test_round_trip_is_exact_to_a_thousandth_of_a_pixel(landmarks, box):
    relative = to_relative(landmarks, box)
    assert np.abs(to_absolute(relative, box) - landmarks).max() < 1e-3
    stored = to_relative(landmarks, box).astype(np.float32)  # as stored in records
    near = np.abs(stored).max(initial=0) < 2
    if near:
        assert np.abs(to_absolute(stored, box) - landmarks).max() < 1e-3


@given(shapes, boxes)
def test_affine_agrees_with_to_absolute(landmarks, box):
    relative = to_relative(landmarks, box)
    homogeneous = np.column_stack([relative, np.ones(len(relative))])
    np.testing.assert_allclose(homogeneous @ box_affine(box).T, landmarks, atol=1e-6)


def test_box_by_hand():
    landmarks = np.array([[10.0, 20.0], [110.0, 60.0]])  # 100 wide, 40 high, centre (60, 40)
    np.testing.assert_allclose(face_box(landmarks, BoxRule(scale=1.2)), [0, -20, 120, 120])
    shifted = face_box(landmarks, BoxRule(scale=1.0, shift_x=0.1, shift_y=-0.2))
    np.testing.assert_allclose(shifted, [20, -30, 100, 100])
    np.testing.assert_allclose(widened([10, 20, 100, 100], 1.5), [-15, -5, 150, 150])


def ramp(width=900, height=600):
    """In a picture with red = x / 4 and green = y / 4, the values of a crop are coordinates."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([x / 4, y / 4, 0 * x])


@pytest.mark.parametrize("box", [
    (100.3, 50.7, 300, 300), (10, 20, 128, 128), (200.2, 100.1, 450.5, 450.5), (20, 20, 77.7, 77.7),
    (30.3, 40.7, 800, 100.5), (-0.5, -0.5, 900, 600),
])  # fmt: skip
def test_crop_samples_where_the_convention_says(box):
    cut = crop(ramp(), box, 128) * 4
    u = (np.arange(128) + 0.5) / 128
    expected = to_absolute(np.column_stack([u, u]), box)
    inner = slice(1, 127)  # a picture's own border pixels have no neighbours outside it
    assert np.abs(cut[64, inner, 0] - expected[inner, 0]).max() < 1e-3
    assert np.abs(cut[inner, 64, 1] - expected[inner, 1]).max() < 1e-3


def test_the_box_of_a_whole_picture_is_its_pixels():
    picture = np.random.default_rng(0).integers(0, 255, (48, 96, 3), np.uint8)
    assert picture_box(picture).tolist() == [-0.5, -0.5, 96, 48]
    stretched = crop(picture, picture_box(picture), 96)
    # Row 2i + 1 of the crop is sampled a quarter of a pixel below row i of the picture.
    expected = 0.75 * picture[:-1] + 0.25 * picture[1:]
    assert np.abs(stretched[1:-1:2] - expected).max() <= 1


def test_mirrored_picture_gives_the_mirrored_crop():
    picture = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    picture = cv2.GaussianBlur(picture, (0, 0), 3)
    x, y, side = 50.25, 30.5, 200.0
    mirrored_x = 400 - 1 - (x + side)  # the first pixel's centre is 0, the last one's 399
    there = crop(picture, (x, y, side, side), 128).astype(int)
    mirrored = crop(picture[:, ::-1].copy(), (mirrored_x, y, side, side), 128)[:, ::-1].astype(int)
    assert np.abs(there - mirrored).max() <= 1


@pytest.mark.parametrize("side", [60.0, 130.0, 256.0, 300.0, 411.3])
def test_context_holds_the_plain_crop_in_its_middle(side):
    picture = np.random.default_rng(1).integers(0, 255, (500, 640, 3), np.uint8)
    box = np.array([120.4, 33.3, side, side])
    plain = crop(picture, box, 128).astype(int)
    stored = crop(picture, widened(box, 1.5), 192)[32:160, 32:160].astype(int)
    assert np.abs(plain - stored).max() <= 1


def test_outside_the_picture_is_padded_not_clipped():
    picture = np.full((100, 100, 3), 200, np.uint8)
    assert crop(picture, (-50, -50, 200, 200), 64).min() == 200
    black = crop(picture, (-50, -50, 200, 200), 64, "black")
    assert black[0, 0].max() == 0 and black[32, 32].min() == 200
    assert crop(picture, (5000, 5000, 300, 300), 64).shape == (64, 64, 3)
    assert crop(picture[:2, :2], (-500, -500, 1000, 1000), 64).shape == (64, 64, 3)


def test_large_faces_are_averaged_not_skipped():
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255  # the mean is what a face of 1,024 px must show at 128
    assert np.abs(crop(stripes, (-0.5, -0.5, 1024, 1024), 128).astype(int) - 128).max() <= 1
