"""The graphs that come with the project: their cards, sizes and terms, and that they are good."""

import json
import shutil
from functools import cache

import cv2
import numpy as np
import pytest
from conftest import REAL_DATA, ROOT, run_module

from senet_kp.data_prep.crop_record import labelled_face
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import p1
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.data_prep.split import sides_of
from senet_kp.export.parity import LIMIT_PX
from senet_kp.face.facebox import crop, face_box, to_relative
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.metrics import nme, normalised_errors
from senet_kp.face.pictures import read_picture
from senet_kp.inference.backends import OpenCVBackend, TensorFlowBackend
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED, SHIPPED
from senet_kp.tfrecords.errors import ModelError


@pytest.fixture(scope="module")
def views():
    """Eight rendered photos, near frontal: [(RGB picture, points [68, 2])]."""
    return [(picture, points) for picture, points, _ in rendered()]


@cache
def rendered():
    """Eight rendered photos, near frontal: [(RGB picture, points_2d, points_3d)]."""
    photos = [render_identity(11, identity, 1)[0] for identity in range(8)]
    return [(np.ascontiguousarray(v.image[..., ::-1]), v.points_2d, v.points_3d) for v in photos]


def face_nme(landmarks, truth, normaliser="inter-ocular") -> float:
    mask = np.ones((1, 68), bool)
    errors = normalised_errors(landmarks[None], truth[None], mask, IBUG68, normaliser)
    return float(nme(errors)[0])


def test_card_belongs_to_the_file_and_states_the_terms():
    card = read_card(PRETRAINED)
    assert PRETRAINED.stat().st_size == card["bytes"] <= 8_000_000
    assert "non-commercial research" in card["terms"]
    assert card["network"] == "senet" and card["scheme"]["name"] == "ibug68"
    assert card["gate"]["faces"] >= 64 and card["gate"]["opencv_max_px"] <= LIMIT_PX
    assert card["detector_box"]["found"] > 100 and card["yunet_box"]["found"] > 190
    assert str(ROOT.parent) not in json.dumps(card), "no path of the machine it was made on"


def test_help_and_readme_state_the_terms():
    assert "non-commercial" in run_module("demo.py", "--help").stdout
    assert "non-commercial" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("points", SHIPPED)
def test_tensorflow_and_opencv_agree(views, points):
    data, rule = SHIPPED[points].read_bytes(), box_rule(read_card(SHIPPED[points]))
    ours, theirs = OpenCVBackend(data), TensorFlowBackend(data)
    for picture, points in views:
        cut = crop(picture, face_box(points, rule), rule.size_px)
        assert np.abs(ours(cut) - theirs(cut)).max() * rule.size_px < LIMIT_PX


@pytest.mark.parametrize("points", SHIPPED)
def test_it_finds_the_points_of_faces_it_never_saw_with_dlibs_boxes(points):
    """Rendered faces, of another world than photos: each within 9 %, 6 % on average."""
    pytest.importorskip("dlib")
    predictor = LandmarkPredictor(SHIPPED[points])
    truths = [points_3d if points == "3d" else points_2d for _, points_2d, points_3d in rendered()]
    pictures = [picture for picture, *_ in rendered()]
    found = zip(map(predictor.predict, pictures), truths, strict=True)
    errors = [face_nme(faces[0].landmarks, truth) for faces, truth in found if faces]
    assert len(errors) >= 7
    assert np.mean(errors) < 0.06 and max(errors) < 0.09


def test_the_demo_takes_it_by_default(views, tmp_path):
    picture, truth = views[0]
    cv2.imwrite(str(tmp_path / "face.jpg"), picture[..., ::-1])
    box = face_box(truth, box_rule(read_card(PRETRAINED))).tolist()
    (tmp_path / "boxes.json").write_text(json.dumps({"face.jpg": [box]}))
    result = run_module(
        "demo.py",
        tmp_path / "face.jpg",
        "--model",
        PRETRAINED,
        "--boxes",
        tmp_path / "boxes.json",
        "--json",
        "-",
        "--out",
        tmp_path / "out",
    )
    assert result.returncode == 0, result.stderr
    face = json.loads(result.stdout)["faces"][0]
    assert face_nme(np.array(face["landmarks"]), truth) < 0.09


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_its_card_tells_the_truth_about_the_test_side_of_p1():
    """The card's NME, computed again without records: labels, split, crops, metric."""
    card = read_card(PRETRAINED)
    settings, rule = card["training"]["records"]["settings"], box_rule(card)
    run, errors = OpenCVBackend(PRETRAINED.read_bytes()), []
    sources = p1.FORMAT.scan(REAL_DATA / "P1_Facial_Keypoints")
    shares = settings["seed"], settings["test_share"], settings["val_share"]
    sides = sides_of({source.group for source in sources}, *shares)
    for source in sources:
        if sides[source.group] == "test":
            box, label = labelled_face(source, CropRule(rule, 1.0, 95, IBUG68))
            truth = label.landmarks
            cut = crop(read_picture(source.picture), box, rule.size_px, rule.padding)
            errors.append(face_nme(run(cut), to_relative(truth, box), card["scores"]["normaliser"]))
    stated = card["scores"]["subsets"]["P1"]
    assert len(errors) == stated["faces"]
    # The records' pictures went through one more JPEG.
    assert np.mean(errors) == pytest.approx(stated["nme"], rel=0.02)


def copied(folder, change) -> str:
    """The path of a copy of the graph whose card is changed."""
    for path in PRETRAINED.parent.glob("senet68.*"):
        shutil.copy(path, folder)
    card = json.loads((folder / "senet68.json").read_text())
    (folder / "senet68.json").write_text(json.dumps(card | change))
    return str(folder / "senet68.pb")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"box": [1]}, "box is no object"),
        ({"box": {"size_px": 128}}, "box has no source, scale"),
        ({"scheme": {"landmarks": 68}}, "scheme has no name, flip_pairs"),
        ({"detector_box": [1]}, "detector_box is no object"),
        ({"mean_shape": [[0, "x"]]}, "mean_shape[0][1] is 'x', not a number"),
        ({"mean_shape": [[0, 0]]}, "mean_shape does not have 68 points"),
        ({"training": 3}, "training is no object"),
        ({"training": {"settings": {"before": 1}}}, "training.settings.before is no object"),
        ({"fingerprints": {"sha256": 1}}, "fingerprints has no bytes, records"),
        ({"input": {"shape": [1, 64, 64, 3]}}, "input.shape is not that of pictures of 128 px"),
        ({"output": {"shape": [1, 10]}}, "output.shape is not that of 68 landmarks"),
    ],
)
def test_a_damaged_card_is_named_with_the_place(tmp_path, change, said):
    with pytest.raises(ModelError, match="senet68.json: not a model card: it is dam") as caught:
        LandmarkPredictor(copied(tmp_path, change))
    assert said in str(caught.value)


def test_a_card_of_another_number_of_landmarks_is_not_used(tmp_path):
    """Its parts agree with each other, but not with the graph."""
    scheme = {"name": "a", "landmarks": 5, "flip_pairs": [], "outer_eye_corners": [0, 1]}
    change = {"scheme": scheme, "output": {"shape": [1, 10]}, "mean_shape": [[0, 0]] * 5}
    predictor = LandmarkPredictor(copied(tmp_path, change))
    with pytest.raises(ModelError, match="senet68.pb: predicts 68 landmarks, but .* describes 5"):
        predictor.predict(np.zeros((90, 90, 3), np.uint8), [[0, 0, 90, 90]])
