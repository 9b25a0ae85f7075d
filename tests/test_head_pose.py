"""The two shipped graphs, and the landmarks that a head pose is estimated from."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import REAL_DATA, ROOT, assert_one_line_error, face_points, run_module

from benchmarks.labelled import labelled_pictures
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.demo.head_pose import HeadPose, rotations_of
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pose import angles_deg, estimate_pose_deg
from senet_kp.inference.face_detector import FaceDetector
from senet_kp.inference.model_card import (
    HEAD_MODEL_LABELS,
    card_path,
    has_head_model_points,
    read_card,
)
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED, PRETRAINED_3D, SHIPPED

ALL = np.ones(68, bool)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A folder with a rendered face.png and boxes.json."""
    folder = tmp_path_factory.mktemp("photo")
    view = render_identity(5, 1, 1)[0]
    cv2.imwrite(str(folder / "face.png"), view.image)
    box = face_box(view.points_2d, BoxRule()).tolist()
    (folder / "boxes.json").write_text(json.dumps({"face.png": [box]}))
    return folder


def demo(folder, *arguments):
    """Run the demo on the picture of a folder, in it; it has to succeed."""
    command = [ROOT / "demo.py", "face.png", "--boxes", "boxes.json", "--json", "-", *arguments]
    result = subprocess.run(
        [sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["faces"][0], result.stderr.splitlines()


def with_labels(folder, labels: str):
    """A copy of the shipped graph, with a model card in which `labels` are the training labels."""
    model = folder / f"{labels}.pb"
    card = read_card(PRETRAINED)
    for source in card["training"]["records"]["sources"]:
        source["labels"] = labels
    shutil.copy(PRETRAINED, model)
    card_path(model).write_text(json.dumps(card))
    return model


# --- which points a model has ---


def test_the_card_says_which_points_a_model_learned():
    assert has_head_model_points(read_card(PRETRAINED_3D))
    assert not has_head_model_points(read_card(PRETRAINED))
    assert not has_head_model_points({})
    sources = [{"folder": "a"}, {"folder": "b", "labels": "pts_3d"}]
    assert has_head_model_points({"training": {"records": {"sources": sources}}})


def test_the_labels_of_head_models_are_those_of_the_readers():
    known = {labels: what for one in FORMATS.values() for labels, what in one.label_sets.items()}
    assert {labels for labels, what in known.items() if "3-D" in what} == HEAD_MODEL_LABELS


def test_both_shipped_graphs_have_one_network_and_one_box_rule():
    first, second = map(read_card, SHIPPED.values())
    assert PRETRAINED_3D.stat().st_size == second["bytes"] <= 8_000_000
    assert "non-commercial research" in second["terms"]
    for key in ("network", "box", "scheme", "input"):
        assert first[key] == second[key], key
    assert first["output"]["shape"] == second["output"]["shape"]
    assert second["detector_box"] and second["yunet_box"] and len(second["mean_shape"]) == 68
    assert str(ROOT.parent) not in json.dumps(second), "no path of the machine it was made on"


@pytest.mark.parametrize("points", SHIPPED)
def test_points_choose_a_shipped_graph_also_beside_ones_own(photo, tmp_path, points):
    shutil.copytree(photo, tmp_path, dirs_exist_ok=True)
    (tmp_path / "out").mkdir()
    shutil.copy(with_labels(tmp_path, "p1"), tmp_path / "out" / "senet.pb")
    shutil.copy(tmp_path / "p1.json", tmp_path / "out" / "senet.json")
    face, lines = demo(tmp_path, "--points", points)
    assert lines[0].startswith(f"model: {SHIPPED[points]}, trained on ")
    (expected,) = LandmarkPredictor(SHIPPED[points]).predict(photo / "face.png", [face["box"]])
    np.testing.assert_allclose(face["landmarks"], expected.landmarks, atol=0.1)


def test_points_beside_a_model_exit_with_2(photo):
    command = ("demo.py", photo / "face.png", "--points", "3d", "--model", PRETRAINED)
    assert_one_line_error(run_module(*command), 2, "--points", "shipped graphs", "--model")


# --- the pose ---


@pytest.mark.parametrize("yaw_deg", [20, 50, 80])
def test_the_contour_of_a_head_model_makes_the_pose_more_certain(yaw_deg):
    """Mean heads with noise: the yaw of all 68 points varies less than that of 51."""
    shapes = [face_points((225, 225), 200, yaw_deg, seed) for seed in range(30)]
    spreads = [
        np.std([angles_deg(one)[1] for one in rotations_of(map(Points, shapes), with_contour)])
        for with_contour in (False, True)
    ]
    assert spreads[1] < 0.7 * spreads[0]


class Points:
    """A face of which only the landmarks count."""

    def __init__(self, landmarks):
        self.landmarks = landmarks


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_errors_on_labels_of_a_head_model_are_those_that_the_documentation_states():
    """Mean absolute errors of pitch, yaw and roll of the faces with angles within 99 degrees."""
    pictures = labelled_pictures(REAL_DATA / "AFLW2000", [PRETRAINED])
    labels = [label for _, label in pictures]
    true = np.array([label.pose_deg for label in labels])
    known = (np.abs(true) <= 99).all(axis=1)
    expected = {False: (6.4, 3.2, 4.1), True: (4.5, 1.1, 2.0)}
    for with_contour, stated in expected.items():
        found = np.array([angles_deg(one) for one in rotations_of(labels, with_contour)])
        errors = np.abs(found - true)[known].mean(axis=0)
        np.testing.assert_allclose(errors, stated, atol=0.06)
    assert (len(labels), known.sum()) == (500, 491)


def test_the_default_pose_is_that_of_the_other_graph_in_the_same_box(photo):
    face, lines = demo(photo, "--pose", "--out", "posed")
    assert lines[0].startswith(f"model: {PRETRAINED}, trained on ")
    assert f"head pose: from all landmarks of {PRETRAINED_3D.name}" in lines
    plain, lines = demo(photo, "--out", "plain")
    assert not any(line.startswith("head pose") for line in lines)
    pose = face.pop("pose")
    assert face == plain
    found = LandmarkPredictor(PRETRAINED_3D).predict(photo / "face.png", [face["box"]])
    np.testing.assert_allclose(pose, angles_deg(rotations_of(found, True)[0]), atol=0.1)
    drawn = [cv2.imread(str(photo / name / "face-landmarks.png")) for name in ("posed", "plain")]
    assert (drawn[0] != drawn[1]).any()


def test_faces_are_not_detected_again_for_their_pose(photo, monkeypatch):
    searched = []
    monkeypatch.setattr(FaceDetector, "detect", lambda self, picture: searched.append(self) or [])
    predictor = LandmarkPredictor()
    pose = HeadPose(predictor, str(PRETRAINED))
    picture = cv2.imread(str(photo / "face.png"), cv2.IMREAD_COLOR_RGB)
    assert predictor.predict(picture) == [] and len(searched) == 1
    box = json.loads((photo / "boxes.json").read_text())["face.png"]
    assert pose.rotations(picture, predictor.predict(picture, box))[0].shape == (3, 3)
    assert pose.rotations(picture, []) == [] and len(searched) == 1


@pytest.mark.parametrize("labels, with_contour", [("pts_2d", False), ("pts_3d", True)])
def test_a_model_of_ones_own_gives_the_pose_by_its_labels(photo, tmp_path, labels, with_contour):
    face, lines = demo(photo, "--pose", "--model", with_labels(tmp_path, labels))
    which = "all" if with_contour else "the inner"
    assert f"head pose: from {which} landmarks of the same model" in lines
    landmarks = np.array(face["landmarks"])
    expected = angles_deg(rotations_of([Points(landmarks)], with_contour)[0])
    np.testing.assert_allclose(face["pose"], expected, atol=0.1)
    other = estimate_pose_deg(landmarks, ALL, IBUG68)
    assert (np.abs(other - face["pose"]).max() < 0.1) != with_contour
