"""The orientation of picture files, and turns of pictures, points, boxes and poses."""

import io

import cv2
import numpy as np
import pytest
from conftest import face_points
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, features

from senet_kp.data_prep.formats.face_sample import FaceLabel
from senet_kp.data_prep.read_face import stored_label, turned_label
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.orientation import orientation_of
from senet_kp.face.pictures import decode_picture
from senet_kp.face.pose import estimate_pose_deg
from senet_kp.face.turning import (
    inverse,
    turned_box,
    turned_picture,
    turned_points,
    turned_size,
)

STORED = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
SIZE = (3, 2)  # width and height
# By hand. The point is the middle of pixel 3, the box covers the pixels 2 and 3.
UPRIGHT = {
    1: ([[1, 2, 3], [4, 5, 6]], (2, 0), (0.5, -0.5, 2, 1)),
    2: ([[3, 2, 1], [6, 5, 4]], (0, 0), (-0.5, -0.5, 2, 1)),
    3: ([[6, 5, 4], [3, 2, 1]], (0, 1), (-0.5, 0.5, 2, 1)),
    4: ([[4, 5, 6], [1, 2, 3]], (2, 1), (0.5, 0.5, 2, 1)),
    5: ([[1, 4], [2, 5], [3, 6]], (0, 2), (-0.5, 0.5, 1, 2)),
    6: ([[4, 1], [5, 2], [6, 3]], (1, 2), (0.5, 0.5, 1, 2)),
    7: ([[6, 3], [5, 2], [4, 1]], (1, 0), (0.5, -0.5, 1, 2)),
    8: ([[3, 6], [2, 5], [1, 4]], (0, 0), (-0.5, -0.5, 1, 2)),
}
ORIENTATIONS = tuple(UPRIGHT)
KINDS = ["JPEG", "PNG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else [])]


def file_of(picture, kind: str, orientation: int, order: str = ">") -> bytes:
    """A picture file [H, W, 3] RGB with an orientation, written by Pillow."""
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, exif=exif, quality=95)
    return file.getvalue()


def quarters() -> np.ndarray:
    """A picture 48 pixels wide and 32 high with a red, green, blue and black quarter."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :24, 0] = picture[:16, 24:, 1] = picture[16:, :24, 2] = 250
    return picture


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_points_and_boxes_turn_together(orientation):
    picture, point, box = UPRIGHT[orientation]
    turned = turned_picture(STORED[..., None], orientation)
    assert turned[..., 0].tolist() == picture and turned.flags.c_contiguous
    assert turned_size(SIZE, orientation) == turned.shape[1::-1]
    assert turned_points((2, 0), orientation, SIZE).tolist() == list(point)
    assert turned_box((0.5, -0.5, 2, 1), orientation, SIZE).tolist() == list(box)


@given(
    arrays(float, (4, 2), elements=st.floats(-1e4, 1e4)),
    st.sampled_from(ORIENTATIONS),
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_turning_back_gives_the_stored_points(points, orientation, size):
    there = turned_points(points, orientation, size)
    back = turned_points(there, inverse(orientation), turned_size(size, orientation))
    np.testing.assert_allclose(back, points, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_kind_of_file_is_read_upright(kind, orientation):
    data = file_of(quarters(), kind, orientation)
    assert orientation_of(data) == orientation
    red = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
    for mode, channel in ((cv2.IMREAD_COLOR_RGB, 0), (cv2.IMREAD_COLOR_BGR, 2)):
        picture = decode_picture(data, "a file", mode)
        height, width = picture.shape[:2]
        assert (width, height) == ((48, 32) if orientation < 5 else (32, 48))
        row, column = red[orientation]
        corner = picture[row * (height - 1), column * (width - 1)]
        assert corner[channel] > 200 and corner.sum() < 300, corner


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_both_byte_orders_are_read_and_impossible_values_ignored(kind):
    assert orientation_of(file_of(quarters(), kind, 6, "<")) == 6
    assert orientation_of(file_of(quarters(), kind, 9)) == 1
    assert orientation_of(file_of(quarters(), kind, 0)) == 1


def test_a_picture_without_exif_is_upright():
    ok, data = cv2.imencode(".jpg", quarters())
    assert ok and orientation_of(data.tobytes()) == 1
    assert orientation_of(b"") == orientation_of(b"P5 1 1 255 x") == 1


@given(
    st.sampled_from([file_of(quarters(), kind, 6) for kind in KINDS]),
    st.integers(0, 700),
    st.binary(min_size=1, max_size=8),
)
def test_damage_gives_an_orientation_and_no_traceback(data, position, junk):
    damaged = data[:position] + junk + data[position + len(junk) :]
    assert 1 <= orientation_of(damaged) <= 8
    assert 1 <= orientation_of(data[:position]) <= 8


@pytest.mark.parametrize(("orientation", "deg"), [(3, 180), (6, 90), (8, 270)])
def test_a_labelled_pose_turns_as_the_landmarks_do(orientation, deg):
    points = face_points((100, 80), 90, yaw_deg=20)
    mask = np.ones(68, bool)
    label = FaceLabel(points, mask, estimate_pose_deg(points, mask, IBUG68))
    turned = turned_label(label, orientation, (200, 160))
    expected = estimate_pose_deg(turned.landmarks, mask, IBUG68)
    change = (turned.pose_deg - expected + 180) % 360 - 180
    np.testing.assert_allclose(change, 0, atol=1.0)
    across = turned.landmarks[45] - turned.landmarks[36]  # from eye to eye, which was to the right
    assert np.degrees(np.arctan2(*across[::-1])) % 360 == pytest.approx(deg, abs=10)


def test_a_mirrored_pose_looks_to_the_other_side_and_a_pose_known_in_part_becomes_unknown():
    label = FaceLabel(np.zeros((1, 2)), np.ones(1, bool), np.array([5.0, 20.0, -10.0]))
    np.testing.assert_allclose(turned_label(label, 2, (9, 9)).pose_deg, [5, -20, 10], atol=1e-9)
    partly = FaceLabel(label.landmarks, label.mask, np.array([np.nan, 20.0, np.nan]))
    assert np.isnan(turned_label(partly, 6, (9, 9)).pose_deg).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_labels_turn_with_their_boxes_and_missing_points_stay_at_zero(orientation):
    mask = np.array([True, False])
    label = FaceLabel(np.array([[2.0, 0], [0, 0]]), mask, np.full(3, np.nan), (0.5, -0.5, 2, 1))
    turned = turned_label(label, orientation, SIZE)
    _, point, box = UPRIGHT[orientation]
    assert turned.landmarks.tolist() == [list(point), [0, 0]]
    assert turned.box.tolist() == list(box)
    back = stored_label(turned, orientation, turned_size(SIZE, orientation))
    assert back.landmarks.tolist() == label.landmarks.tolist()
    assert back.box.tolist() == [0.5, -0.5, 2, 1]
