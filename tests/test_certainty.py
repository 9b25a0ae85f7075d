"""How certain landmarks are, and how that is measured."""

import cv2
import numpy as np
import pytest

from benchmarks.certainty import area, calibration, fitted, row_of
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import face_box
from senet_kp.inference.agreement import certainty_of, disagreement, second_box
from senet_kp.inference.predictor import Face, LandmarkPredictor


@pytest.fixture(scope="module")
def predictor():
    return LandmarkPredictor(detector="dlib")


def test_the_second_box_by_hand():
    # The centre (200, 150) moves by (8, -8); the side of 100 grows to 110.
    np.testing.assert_allclose(second_box([150, 100, 100, 100]), [153, 87, 110, 110])


def test_disagreement_by_hand():
    first = np.zeros((3, 2))
    again = np.array([[3.0, 4.0], [0, 0], [0, 10.0]])
    assert disagreement(first, again, [0, 0, 50, 50]) == pytest.approx(5 / 50)


def test_certainty_falls_from_one_to_zero():
    values = [certainty_of(value) for value in (0.0, 0.005, 0.02, 0.04, 0.1, 1.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.999 and values[1] > 0.95 and values[-2] < 0.1 and values[-1] < 0.001


def test_faces_are_certain_and_other_places_are_not(predictor):
    certain, elsewhere = [], []
    for identity in range(6):
        view = render_identity(5, identity, 1)[0]
        picture = np.ascontiguousarray(view.image[..., ::-1])
        (face,) = predictor.predict(picture, [face_box(view.points_2d, predictor.rule)])
        certain.append(predictor.certainty(picture, face))
        noise = np.random.default_rng(identity).integers(0, 255, (12, 12, 3), np.uint8)
        noise = cv2.resize(noise, (450, 450), interpolation=cv2.INTER_CUBIC)
        (none,) = predictor.predict(noise, [[90, 90, 260, 260]])
        elsewhere.append(predictor.certainty(noise, none))
    assert min(certain) > 0.5 > 0.2 > max(elsewhere)


def test_a_face_whose_second_box_is_beside_the_picture_is_not_certain(predictor):
    picture = np.zeros((100, 100, 3), np.uint8)
    face = Face(np.array([99.0, 0, 60, 60]), None, np.zeros((68, 2)))
    assert predictor.certainty(picture, face) == 0.0


# --- the measurement ---


def test_area_by_hand():
    assert area([1, 2, 3], [4, 5]) == 1
    assert area([1, 4], [2, 3]) == 0.5
    assert area([], [1]) is None


def test_the_regression_finds_its_own_values_and_is_calibrated():
    rng = np.random.default_rng(0)
    logs = rng.normal(-3.5, 1.0, 20000)
    right = rng.uniform(size=20000) < 1 / (1 + np.exp(12 + 3.5 * logs))
    fit = fitted(logs, right.astype(float))
    assert fit == pytest.approx((-12, -3.5), abs=0.3)
    rows = calibration(fit, logs, right)
    assert len(rows) == 5 and sum(row["faces"] for row in rows) == 20000
    assert all(abs(row["certainty"] - row["right"]) < 0.05 for row in rows)


def test_a_row_counts_what_is_wrong():
    apart, errors = np.array([0.01, 0.02, 0.09, 0.03]), np.array([0.02, 0.03, 0.2, 0.09])
    row = row_of("a", apart, errors, np.array([0.1, 0.02]))
    assert (row["faces"], row["places"], row["wrong"], row["auc_wrong"]) == (4, 2, 2, 1.0)
    assert row["auc_places"] == (2 + 1 + 1 + 1) / 8
