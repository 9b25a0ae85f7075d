"""The report's numbers against values computed by hand: intervals, boxes, dlib, the gallery."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import face_points

from benchmarks.dlib_baseline import BaselineConfig, TreeConfig, train_baseline
from senet_kp.face.facebox import BoxRule, affine_box, box_affine
from senet_kp.face.known_schemes import CELEBA5, IBUG68
from senet_kp.face.metrics import normaliser
from senet_kp.inference.detections import Detection
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.input.crops import Crops, load_crops, load_stored
from senet_kp.report import sections
from senet_kp.report.bootstrap import estimates
from senet_kp.report.box_sensitivity import SCALES, SHIFTS, box_curves, points_in_box
from senet_kp.report.detector_boxes import compare_boxes, file_of, find_pictures, points_in_detected
from senet_kp.report.gallery import choose
from senet_kp.report.numbers import _paired
from senet_kp.scoring import evaluate as evaluate_module
from senet_kp.scoring import scores as scores_module
from senet_kp.scoring.models import Model, open_model, short_names
from senet_kp.scoring.scores import METRICS, FaceErrors, Metric, breakdown, face_errors, scores
from senet_kp.tfrecords.errors import InputError, ModelError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.training_curve import SHOWN_ROWS, training_curve

MEAN = {"mean": np.mean}


def width(estimate):
    return estimate["mean"]["high"] - estimate["mean"]["low"]


def make_crops(count: int, groups=None, subsets=None) -> Crops:
    """Faces with black pictures and a face box of 100 px at (10, 20)."""
    landmarks = np.array([face_points((0.5, 0.5), 0.8, seed=i) for i in range(count)])
    names = [f"face{i}.jpg" for i in range(count)]
    return Crops(
        images=np.zeros((count, 128, 128, 3), np.uint8),
        landmarks=landmarks,
        mask=np.ones((count, 68), bool),
        pose_deg=np.zeros((count, 3)),
        affine=np.tile(box_affine([10, 20, 100, 100]), (count, 1, 1)),
        names=names,
        groups=groups or names,
        subsets=subsets or ["A"] * count,
        tags=[()] * count,
    )


# --- intervals ---


def test_the_bootstrap_of_a_constant_is_a_point():
    found = estimates(MEAN, np.full(30, 0.07), [f"g{i}" for i in range(30)])["mean"]
    assert found == pytest.approx({"value": 0.07, "low": 0.07, "high": 0.07})


def test_two_groups_can_only_give_three_means():
    found = estimates(MEAN, [0, 0, 1, 1], ["a", "a", "b", "b"])["mean"]
    assert found == {"value": 0.5, "low": 0.0, "high": 1.0}  # a quarter of the draws each


def test_one_group_has_no_interval():
    assert estimates(MEAN, [1, 3], ["a", "a"])["mean"] == {"value": 2.0, "low": None, "high": None}


def test_what_is_not_finite_is_none():
    largest = {"largest": np.max}
    found = estimates(largest, [0.1, np.inf, 0.2], ["a", "b", "c"])["largest"]
    assert found == {"value": None, "low": None, "high": None}
    smallest = {"smallest": np.min}
    found = estimates(smallest, [0.1, np.inf, np.inf, np.inf], ["a", "b", "c", "d"])["smallest"]
    assert found["value"] == 0.1 and found["high"] is None, "a third of the draws have no 0.1"


def test_intervals_of_independent_faces_are_those_of_theory():
    values = np.random.default_rng(1).normal(0.08, 0.02, 400)
    found = estimates(MEAN, values, np.arange(400))
    assert width(found) == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_frames_of_one_person_widen_the_interval():
    """Ten equal frames of 40 persons contain as much information as 40 faces, not as 400."""
    values = np.repeat(np.random.default_rng(2).normal(0.08, 0.02, 40), 10)
    grouped = estimates(MEAN, values, np.repeat(np.arange(40), 10))
    single = estimates(MEAN, values, np.arange(400))
    assert width(grouped) / width(single) == pytest.approx(np.sqrt(10), rel=0.15)


def test_paired_comparison_by_hand():
    first = {"name": "first", "nmes": np.array([0.05, 0.06, 0.09, 0.10])}
    other = {"name": "other", "nmes": np.array([0.06, 0.08, 0.08, 0.14])}
    found = _paired(first, other, make_crops(4), seed=0)
    assert (found["first"], found["other"], found["faces"]) == ("first", "other", 4)
    assert found["difference"]["value"] == pytest.approx((-0.01 - 0.02 + 0.01 - 0.04) / 4)
    assert found["better"]["value"] == 0.75
    assert found["difference"]["low"] < found["difference"]["value"] < found["difference"]["high"]


def test_attributes_by_hand():
    crops = replace(make_crops(4), tags=[("blur",), (), ("blur", "pose"), ()])
    errors = FaceErrors(crops, IBUG68, np.zeros((4, 68)), np.array([0.02, 0.03, 0.06, 0.09]))
    found = breakdown(errors, 0.08, estimates)["tags"]
    assert {name: part["faces"] for name, part in found.items()} == {"blur": 2, "pose": 1}
    assert found["blur"]["nme"]["value"] == pytest.approx(0.04)
    assert found["pose"]["failure_rate"]["value"] == 0


def test_a_new_metric_appears_in_both_commands(monkeypatch):
    largest = Metric("nme_max", "largest NME", lambda nmes, threshold: np.max(nmes), 2)
    for module in (scores_module, evaluate_module, sections):
        monkeypatch.setattr(module, "METRICS", (*METRICS, largest))
    crops = make_crops(4)
    predicted = crops.landmarks + np.array([0, 0.01, 0.02, 0.03])[:, None, None]
    result = scores(predicted, crops, IBUG68, "box")
    expected = result["nme_max"]
    assert expected > result["nme"]
    stated = {"side": "test", "box_source": "landmarks", "label_source": "p1", "engine": "opencv"}
    lines = [line.split() for line in evaluate_module.score_table(result | stated).splitlines()]
    assert ["largest", "NME", f"{expected:.2%}"] in lines
    part = breakdown(face_errors(predicted, crops, IBUG68, "box"), 0.08, estimates)["all"]
    assert part["nme_max"]["value"] == expected
    conditions = stated | {"faces": 4, "groups": 4, "normaliser": "box", "threshold": 0.08}
    conditions |= {"records_sha256": "0" * 64, "interval": {"level": 0.95}}
    overlap = {"faces": 0, "not_compared_with": []}
    model = {"name": "a.pb", "scores": {"all": part}, "overlap": overlap}
    page = sections.summary({"conditions": conditions, "models": [model]})
    assert "largest NME, %" in page and f">{100 * expected:.2f}<" in page


# --- displaced boxes ---


def fake_model(run) -> Model:
    return Model(Path("fake.pb"), run, {}, None, None, {}, {})


def test_a_model_that_ignores_its_input_is_off_by_the_shift():
    """Its landmarks, relative to the box, are always the true ones of the undisplaced box."""
    crops = make_crops(1)
    stored = np.zeros((1, 192, 192, 3), np.uint8)
    curves = box_curves(
        fake_model(lambda crop: crops.landmarks[0]), stored, crops, IBUG68, "inter-ocular"
    )
    length = normaliser(crops.landmarks, crops.mask, IBUG68, "inter-ocular")[0]
    np.testing.assert_allclose(curves["nme_shift_x"], np.abs(SHIFTS) / length, atol=1e-12)
    np.testing.assert_allclose(curves["nme_shift_y"], np.abs(SHIFTS) / length, atol=1e-12)
    from_centre = np.linalg.norm(crops.landmarks[0] - 0.5, axis=1).mean() / length
    np.testing.assert_allclose(curves["nme_scale"], np.abs(np.array(SCALES) - 1) * from_centre)
    assert curves["faces"] == 1 and curves["context"] == 1.5


def test_a_model_that_finds_a_spot_finds_it_in_every_box():
    stored = np.zeros((1, 192, 192, 3), np.uint8)
    cv2.circle(stored[0], (100, 90), 4, (255, 255, 255), -1)

    def brightest(crop):
        ys, xs = np.nonzero(crop[..., 0] > 127)
        return (np.array([[xs.mean(), ys.mean()]]) + 0.5) / len(crop)

    expected = (np.array([100, 90]) - 32 + 0.5) / 128  # 32 px of context left and above
    for box in (
        [0, 0, 1, 1],
        [0.15, -0.1, 1, 1],
        [-0.125, -0.125, 1.25, 1.25],
        [0.1, 0.1, 0.8, 0.8],
    ):
        found = points_in_box(brightest, stored, np.array(box), 128)
        np.testing.assert_allclose(found[0, 0], expected, atol=0.3 / 128)


def test_the_stored_pictures_show_the_crops_in_their_middle(records):
    manifest = read_manifest(records)
    crops = load_crops(records, manifest, "test")
    stored = load_stored(records, manifest, "test", [5, 2])
    assert stored.shape == (2, 192, 192, 3)
    seen = []
    points_in_box(lambda crop: seen.append(crop) or np.zeros((1, 2)), stored, (0, 0, 1, 1), 128)
    np.testing.assert_array_equal(seen, crops.take([5, 2]).images)
    assert crops.take([5, 2]).names == [crops.names[5], crops.names[2]]


# --- dlib's boxes ---


def test_boxes_and_affine_matrices_are_each_others_inverse():
    np.testing.assert_array_equal(affine_box(box_affine([3.5, -7, 120, 120])), [3.5, -7, 120, 120])


def test_boxes_compared_by_hand():
    crops = make_crops(4, subsets=["A", "A", "B", "B"])
    length = normaliser(crops.landmarks, crops.mask, IBUG68, "inter-ocular")
    points = [
        truth + (0.1 * ocular, 0) for truth, ocular in zip(crops.landmarks, length, strict=True)
    ]
    points[3] = None
    found = compare_boxes(points, np.array([0.05, 0.1, 0.1, 0.9]), crops, IBUG68, "inter-ocular", 0)
    assert {name: (part["faces"], part["found"]) for name, part in found.items()} == {
        "all": (4, 3),
        "A": (2, 2),
        "B": (2, 1),
    }
    assert found["A"]["nme_detected"]["value"] == pytest.approx(0.1)
    assert found["A"]["nme_truth"]["value"] == pytest.approx(0.075)
    assert found["A"]["relative_difference"]["value"] == pytest.approx(1 / 3)
    assert found["B"]["relative_difference"]["value"] == pytest.approx(0)
    none = compare_boxes([None] * 4, np.ones(4), crops, IBUG68, "inter-ocular", 0)
    assert none["all"]["found"] == 0 and none["all"]["nme_detected"] is None


def test_a_detected_face_is_processed_as_in_the_demo(model, records, tree, monkeypatch):
    manifest = read_manifest(records)
    crops = load_crops(records, manifest, "test", 1)
    x, y, side, _ = affine_box(crops.affine[0])
    boxes = [np.array([0.0, 0.0, 30.0, 30.0]), np.array([x, y, side * 0.9, side * 0.9])]
    monkeypatch.setattr(DlibDetector, "detect", lambda *_: [Detection(box, 1.0) for box in boxes])
    path, rule = tree / crops.names[0], BoxRule(**manifest["box"])
    with open_model(model, records, manifest) as opened:
        found = points_in_detected(opened, [path], [boxes], crops, rule)
        missed = points_in_detected(opened, [path], [boxes[:1]], crops, rule)
    demo = LandmarkPredictor(model).predict(path)[1]
    np.testing.assert_allclose(found[0] * side + (x, y), demo.landmarks, atol=1e-4)
    assert missed == [None]


# --- the rest ---


def test_a_dlib_predictor_is_opened_with_what_stands_beside_it(records, tmp_path):
    path, manifest = tmp_path / "tiny.dat", read_manifest(records)
    trees = TreeConfig(cascade_depth=1, num_trees_per_cascade_level=2)
    train_baseline(BaselineConfig(records=records, out=path, faces=4, trees=trees, threads=1))
    with open_model(path, records, manifest) as model:
        assert model.predict(np.zeros((2, 128, 128, 3), np.uint8)).shape == (2, 68, 2)
        assert model.conditions["engine"] == "dlib" and model.card["faces"] == 4
        assert model.conditions["trained_on_these_records"]
    path.with_suffix(".json").unlink()
    with open_model(path, records, manifest) as model:
        assert model.card is None and not model.conditions["trained_on_these_records"]
    other = manifest | {"scheme": CELEBA5.facts()}
    with pytest.raises(ModelError, match="the 5 landmarks"), open_model(path, records, other):
        pass


def test_faces_of_the_gallery_are_of_different_groups():
    crops = make_crops(6, groups=["a", "a", "b", "c", "d", "e"])
    chosen = choose(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), crops)
    assert [face["index"] for face in chosen["best"]] == [0, 2, 3, 4]
    assert [face["index"] for face in chosen["worst"]] == [5, 4, 3, 2]


def test_names_tell_models_apart():
    assert short_names((Path("out/a.pb"), Path("out/b.pb"))) == ["a.pb", "b.pb"]
    assert short_names((Path("x/senet.pb"), Path("y/senet.pb"))) == ["x/senet.pb", "y/senet.pb"]


def test_pictures_of_faces_are_found_below_folders_and_label_files(tmp_path):
    for name in ("one/a.jpg", "two/b.jpg", "two/faces.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    roots = (tmp_path / "one", tmp_path / "two" / "faces.xml")
    found = find_pictures(["b.jpg#2", "a.jpg", "b.jpg"], roots)
    assert [path.parent.name + "/" + path.name for path in found] == [
        "two/b.jpg",
        "one/a.jpg",
        "two/b.jpg",
    ]
    with pytest.raises(InputError, match="the picture c.jpg is not there"):
        find_pictures(["c.jpg"], roots)


def test_a_long_training_is_thinned_out_and_keeps_its_end(tmp_path):
    rows = [
        f"{step},{step * 8},0.001,{1 / step},{'' if step < 8 else 0.1}" for step in range(1, 904)
    ]
    (tmp_path / "metrics.csv").write_text(
        "\n".join(["step,images,learning_rate,loss,val_nme", *rows])
    )
    curve = training_curve(tmp_path)
    assert len(curve["step"]) == 301 <= SHOWN_ROWS and curve["step"][-1] == 903
    assert curve["val_nme"][:2] == [None, None] and curve["val_nme"][-1] == 0.1
    assert curve["loss"][-1] == pytest.approx(1 / 903)


def test_several_faces_of_a_photo_are_searched_in_one_file(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert find_pictures(["a.jpg", "a.jpg#2"], (tmp_path,)) == [tmp_path / "a.jpg"] * 2
    names = ("b#1.png", "c.jpg#12", "training.csv#0007")
    assert [file_of(name) for name in names] == ["b#1.png", "c.jpg", None]
