"""Measures of faces: eye aspect ratios, mouth opening, blinks."""

import json

import numpy as np
import pytest
from conftest import face_points
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.demo.measures import Measures
from senet_kp.face.known_schemes import IBUG68, SCHEMES
from senet_kp.face.measures import eye_aspect_ratios, mouth_opening
from senet_kp.inference.predictor import Face
from senet_kp.tracking.blinks import BlinkCounter

FPS = 25


def eyes_open(left: float, right: float) -> np.ndarray:
    """68 landmarks whose eyes are 10 wide and open by these heights; the mouth 20 wide, 4 open."""
    points = np.zeros((68, 2))
    for start, height in ((36, left), (42, right)):
        x, half = start, height / 2
        points[start : start + 6] = [
            (x, 0),
            (x + 3, -half),
            (x + 7, -half),
            (x + 10, 0),
            (x + 7, half),
            (x + 3, half),
        ]
    points[60], points[64] = (0, 50), (20, 50)
    for upper, lower, height in ((61, 67, 3), (62, 66, 6), (63, 65, 3)):
        points[upper], points[lower] = (10, 50 - height / 2), (10, 50 + height / 2)
    return points


def test_the_measures_by_hand():
    assert eye_aspect_ratios(eyes_open(3, 1)) == pytest.approx([0.3, 0.1])
    assert mouth_opening(eyes_open(3, 3)) == pytest.approx(4 / 20)


@given(st.floats(0, 360), st.floats(0.2, 9))
def test_size_and_roll_change_nothing(roll_deg, scale):
    points = eyes_open(3, 2)
    turned = points @ (1, 1j) * scale * np.exp(1j * np.radians(roll_deg)) + 7
    turned = np.column_stack([turned.real, turned.imag])
    assert eye_aspect_ratios(turned) == pytest.approx([0.3, 0.2])
    assert mouth_opening(turned) == pytest.approx(0.2)


def test_a_face_in_one_point_has_closed_eyes():
    assert eye_aspect_ratios(np.zeros((68, 2))) == [0, 0] and mouth_opening(np.zeros((68, 2))) == 0


def test_schemes_without_these_landmarks_have_no_measures():
    scheme = SCHEMES["kaggle15"]
    points = np.random.default_rng(0).normal(size=(scheme.count, 2))
    assert eye_aspect_ratios(points, scheme) is None and mouth_opening(points, scheme) is None
    assert Measures(scheme).of([Face(None, 1.0, points, 0.0, 0)], 0.0) == [
        {"eye_aspect_ratios": None, "mouth_opening": None}
    ]


def blinks_of(openings) -> list[tuple[bool, int]]:
    counter = BlinkCounter()
    return [
        tuple(counter.update([opening, opening], number / FPS))
        for number, opening in enumerate(openings)
    ]


def test_blinks_are_counted_when_the_eyes_open_again():
    usual, blink = [0.3] * 25, [0.24, 0.2, 0.15, 0.2, 0.24, 0.3]
    found = blinks_of(usual + blink + usual + blink + usual)
    # Closed below 75 % of 0.3, open again above 85 %.
    assert [closed for closed, _ in found[25:31]] == [False, True, True, True, True, False]
    assert [blinks for _, blinks in found[29:32]] == [0, 1, 1]
    assert found[-1] == (False, 2)


def test_closed_eyes_and_a_narrow_gaze_are_no_blinks():
    assert blinks_of([0.3] * 50 + [0.05] * 30 + [0.3] * 9)[-1] == (False, 0)  # 1.2 seconds
    assert {blinks for _, blinks in blinks_of([0.3] * 50 + [0.24] * 100)} == {0}
    noise = np.random.default_rng(0).normal(0.3, 0.015, 500)
    assert blinks_of(noise)[-1] == (False, 0)


def test_faces_of_a_video_count_for_themselves():
    measures, results = Measures(IBUG68), []
    for number in range(60):
        blinking = eyes_open(0.4, 0.4) if number in (30, 31) else eyes_open(3, 3)
        faces = [Face(None, 1.0, blinking, 0.0, 4), Face(None, 1.0, eyes_open(3, 3), 0.0, 9)]
        results.append(measures.of(faces, number / FPS))
    assert [one["blinks"] for one in results[-1]] == [1, 0]
    assert [one["eyes_closed"] for one in results[30]] == [True, False]
    json.dumps(results)


def test_pictures_have_no_blinks():
    (found,) = Measures(IBUG68).of([Face(None, 1.0, face_points((0, 0), 100))])
    assert found.keys() == {"eye_aspect_ratios", "mouth_opening"}
