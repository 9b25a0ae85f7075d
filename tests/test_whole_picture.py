"""Whole pictures as face boxes: `--box.source picture` from preparation to the demo."""

import csv
import json

import cv2
import numpy as np
import pytest
from conftest import assert_one_line_error, face_points, make_picture, run_module
from runs import config

from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import pts
from senet_kp.export.freeze import FreezeConfig, freeze
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.metrics import nme
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.input.crops import load_any_crops
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.loop import train

SIZE = (120, 240)  # height and width: the pictures are stretched to a square
FACES = 80


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A table of pictures twice as wide as high, each with one face somewhere in it."""
    folder = tmp_path_factory.mktemp("wide")
    rng = np.random.default_rng(0)
    with open(folder / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["picture", *(f"{axis}{n}" for n in range(68) for axis in "xy")])
        for number in range(FACES):
            points = face_points((rng.uniform(70, 170), 60), 90, seed=number)
            name = f"wide{number:03}.png"
            picture = make_picture(points, SIZE, seed=number)
            cv2.imwrite(str(folder / name), picture[:, :, ::-1])
            table.writerow([name, *points.ravel()])
    return folder


@pytest.fixture(scope="module")
def records(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("records") / "records"
    flags = ("--data", data, "--out", out, "--box.source", "picture", "--box.size-px", 64)
    result = run_module("-m", "senet_kp.data_prep.prepare", *flags)
    assert result.returncode == 0, result.stderr
    assert "face box: the whole picture, 64x64 px, context 1" in result.stdout
    return out


@pytest.fixture(scope="module")
def model(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    train(config(records, folder / "run"))
    freeze(FreezeConfig(folder / "run", records, folder / "wide.pb"))
    return folder / "wide.pb"


def test_labels_are_shares_of_the_picture(records, data):
    """x over the width and y over the height, from the outer edge of the first pixel."""
    manifest = read_manifest(records)
    assert manifest["stored_px"] == 64 and manifest["detector_box"] is None
    crops = load_any_crops(records, manifest, FACES)
    with open(data / "labels.csv", newline="") as file:
        labels = {row["picture"]: row for row in csv.DictReader(file)}
    for name, landmarks, affine in zip(crops.names, crops.landmarks, crops.affine, strict=True):
        x, y = float(labels[name]["x30"]), float(labels[name]["y30"])
        np.testing.assert_allclose(landmarks[30], [(x + 0.5) / 240, (y + 0.5) / 120], atol=1e-6)
        assert affine.tolist() == [[240, 0, -0.5], [0, 120, -0.5]]


def test_errors_are_measured_in_pixels_of_the_picture(records):
    """A tenth of the width is 24 px and a tenth of the height 12 px, over the same eye distance."""
    crops = load_any_crops(records, read_manifest(records), 3)
    corners = crops.landmarks[:, list(IBUG68.outer_eye_corners)] * (240, 120)
    ocular_px = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1)
    for shift, pixels in (((0.1, 0), 24), ((0, 0.1), 12), ((0.1, 0.1), np.hypot(24, 12))):
        errors = crops.normalised_errors(crops.landmarks + shift, IBUG68, "inter-ocular")
        np.testing.assert_allclose(nme(errors), pixels / ocular_px, rtol=1e-4)


def test_the_demo_looks_at_the_whole_picture(model, data, tmp_path):
    name = data / "wide000.png"
    result = run_module(
        "demo.py", name, "--model", model, "--json", tmp_path / "p.jsonl", "--out", tmp_path
    )
    assert result.returncode == 0, result.stderr
    (face,) = json.loads((tmp_path / "p.jsonl").read_text())["faces"]
    assert face["box"] == [-0.5, -0.5, 240, 120] and face["score"] is None
    predicted = LandmarkPredictor(model, "tensorflow").predict(name)[0].landmarks
    np.testing.assert_allclose(face["landmarks"], predicted, atol=0.05)
    assert (tmp_path / "wide000-landmarks.png").is_file()


def test_evaluation_states_the_box(model, records):
    flags = ("--model", model, "--records", records)
    result = run_module("-m", "senet_kp.scoring.evaluate", *flags)
    assert result.returncode == 0, result.stderr
    assert json.loads(model.with_name("wide-scores.json").read_text())["box_source"] == "picture"


def test_a_detector_has_nothing_to_find(model):
    with pytest.raises(UserError, match="takes whole pictures"):
        LandmarkPredictor(model, detector="yunet.onnx")


def test_imglab_needs_boxes_of_faces(data, tmp_path):
    flags = (data, "--out", tmp_path / "a.xml", "--box.source", "picture")
    result = run_module("-m", "senet_kp.data_prep.imglab", *flags)
    assert_one_line_error(result, 2, "--box.source picture")


def test_a_picture_under_the_smallest_face_is_rejected(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), make_picture(face_points((30, 7), 10), (15, 60)))
    (tmp_path / "a.pts").write_text("{\n" + "5 5\n" * 68 + "}\n")
    (source,) = pts.FORMAT.scan(tmp_path)
    rejected = crop_record(source, CropRule(BoxRule(source="picture"), 1.0, 95, IBUG68))
    assert rejected.reason == "tiny-face" and "is 15.0 px wide" in rejected.message
