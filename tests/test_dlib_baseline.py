"""dlib's shape predictor: conversion of coordinates, and a tiny training."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import assert_one_line_error, face_points, make_picture, run_module

from benchmarks.dlib_baseline import BaselineConfig, TreeConfig, train_baseline, training_set
from senet_kp.data_prep.labellers import open_labeller
from senet_kp.face.facebox import BoxRule, crop, face_box, to_absolute
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.metrics import nme, normalised_errors
from senet_kp.inference.backends import DlibBackend, engine_of, open_backend
from senet_kp.inference.dlib_shape import (
    crop_rectangle,
    enlarged,
    from_parts,
    to_parts,
)
from senet_kp.inference.model_card import find_card, read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.input.crops import load_crops
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.tfrecords.errors import CheckError, InputError, ModelError
from senet_kp.tfrecords.files import sha256_of_file
from senet_kp.tfrecords.shards import read_manifest

TINY = TreeConfig(cascade_depth=6, num_trees_per_cascade_level=60, oversampling_amount=5)


@pytest.fixture(scope="module")
def train_crops(records):
    return load_crops(records, read_manifest(records), "train")


@pytest.fixture(scope="module")
def baseline(records, tmp_path_factory):
    out = tmp_path_factory.mktemp("dlib") / "dlib68.dat"
    result = train_baseline(BaselineConfig(records=records, out=out, trees=TINY, threads=2))
    return out, result


def test_round_trip_costs_at_most_half_a_pixel_of_the_enlarged_crop():
    landmarks = np.random.default_rng(0).uniform(-0.2, 1.2, (500, 2))
    back = from_parts(to_parts(landmarks, 128), 128)
    error_px = np.abs(back - landmarks) * 128
    assert error_px.max() <= 0.5 / 3 + 1e-9
    assert np.abs(np.mean(back - landmarks)) * 128 < 0.01  # there is no systematic shift


def test_the_rectangle_runs_between_the_centres_of_the_first_and_last_pixel():
    box = crop_rectangle(128)
    ends = [box.tl_corner(), box.br_corner()]
    np.testing.assert_allclose(from_parts(ends, 128), [[0.5 / 128] * 2, [127.5 / 128] * 2])


def test_a_dot_is_where_the_landmark_says():
    crop = np.zeros((128, 128, 3), np.uint8)
    crop[40, 90] = 255
    (part,) = to_parts([[90.5 / 128, 40.5 / 128]], 128)
    grey = enlarged(crop)
    assert grey.shape == (384, 384) and grey[part.y, part.x] == grey.max() == 255


def test_mirrored_copies_have_mirrored_landmarks(train_crops):
    images, shapes = training_set([train_crops.take(np.arange(3))], IBUG68, mirror=True)
    assert len(images) == len(shapes) == 6
    np.testing.assert_array_equal(images[1], images[0][:, ::-1])
    points, twin = (from_parts(shape[0].parts(), 128) for shape in shapes[:2])
    assert np.abs(IBUG68.mirror(points) - twin).max() * 128 < 0.34
    assert len(training_set([train_crops], IBUG68, mirror=False)[0]) == len(train_crops)


def test_it_beats_the_mean_face(baseline, records):
    out, result = baseline
    manifest = read_manifest(records)
    crops = load_crops(records, manifest, "test")
    predict = DlibBackend(out)
    assert predict(crops.images[0]).shape == (68, 2)

    def error(predicted):
        errors = normalised_errors(predicted, crops.landmarks, crops.mask, IBUG68, "inter-ocular")
        return nme(errors).mean()

    ours = error(np.array([predict(image) for image in crops.images]))
    mean_face = np.broadcast_to(manifest["mean_shape"], crops.landmarks.shape)
    assert ours < error(mean_face) / 2
    assert result["scores"]["test"]["nme"] == pytest.approx(ours)
    assert json.loads(out.with_suffix(".json").read_text()) == json.loads(
        json.dumps(result, default=str)
    )


def test_it_labels_pictures_by_the_face_boxes_of_its_card(baseline):
    """Boxes are face boxes, as with a frozen graph, and not rectangles of dlib's detector."""
    out, _ = baseline
    labeller = open_labeller(out)
    points = face_points((300, 260), 200)
    picture, box = make_picture(points, (520, 600)), face_box(points, BoxRule())
    placed = labeller.place(picture, box)
    expected = to_absolute(DlibBackend(out)(crop(picture, box, 128)), box)
    np.testing.assert_array_equal(placed, expected)
    assert np.linalg.norm(placed - points, axis=1).mean() < 10 and labeller.scheme == IBUG68


def test_it_is_opened_by_the_backend_of_its_kind_and_by_no_other(baseline, train_crops):
    out, _ = baseline
    assert engine_of(out) == engine_of(out, "dlib") == "dlib"
    crop = train_crops.images[0]
    np.testing.assert_array_equal(open_backend(out)(crop), DlibBackend(out)(crop))
    with pytest.raises(ModelError, match="opencv does not run a dlib shape predictor; dlib does"):
        open_backend(out, "opencv")
    with pytest.raises(ModelError, match="dlib does not run a frozen graph"):
        open_backend(PRETRAINED, "dlib")


def test_its_card_is_read_like_a_networks(baseline, records):
    out, result = baseline
    card = read_card(out)
    assert card["scores"] == json.loads(json.dumps(result["scores"]))
    assert card["sha256"] == result["sha256"] == sha256_of_file(out)
    trained_on = {"records_sha256": read_manifest(records)["records_sha256"], "train_on_val": False}
    assert card["training"] == {"settings": trained_on}
    assert result["scores"]["test"]["trained_on_these_records"]
    assert result["scores"]["test"]["model_sha256"] == card["sha256"]


def test_an_altered_predictor_is_refused_and_a_card_without_a_hash_is_read(baseline, tmp_path):
    path, card = tmp_path / "copy.dat", json.loads(baseline[0].with_suffix(".json").read_text())
    path.write_bytes(baseline[0].read_bytes() + b" ")
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="copy.dat: altered"):
        read_card(path)
    del card["sha256"]
    path.with_suffix(".json").write_text(json.dumps(card))
    assert read_card(path)["sha256"] == sha256_of_file(path)


def test_it_predicts_like_a_network(baseline):
    out, _ = baseline
    points = face_points((300, 260), 200)
    (face,) = LandmarkPredictor(out).predict(make_picture(points), [face_box(points, BoxRule())])
    assert np.linalg.norm(face.landmarks - points, axis=1).mean() < 10


def test_only_a_predictor_of_another_project_may_lack_its_card(baseline, tmp_path):
    path = tmp_path / "other.dat"
    path.write_bytes(baseline[0].read_bytes())
    assert find_card(path) is None
    for text in ("[]", "7", "{", '{"version": 1}'):
        path.with_suffix(".json").write_text(text)
        assert find_card(path) is None
    with pytest.raises(ModelError, match="other.json: not a model card"):
        LandmarkPredictor(path)
    with pytest.raises(ModelError, match="gone.dat: no such model file"):
        find_card(tmp_path / "gone.dat")
    assert find_card(PRETRAINED) == read_card(PRETRAINED)


def test_the_seed_decides(baseline, records, tmp_path):
    for name, options in {"same.dat": {}, "other.dat": {"seed": 1}}.items():
        config = BaselineConfig(
            records=records, out=tmp_path / name, trees=TINY, threads=2, **options
        )
        train_baseline(config)
    expected = baseline[0].read_bytes()
    assert (tmp_path / "same.dat").read_bytes() == expected != (tmp_path / "other.dat").read_bytes()


def test_train_on_val_uses_the_val_side_and_does_not_score_it(records, tmp_path):
    sides, out = read_manifest(records)["sides"], tmp_path / "both.dat"
    tiny = replace(TINY, cascade_depth=1, num_trees_per_cascade_level=5)
    result = train_baseline(
        BaselineConfig(records=records, out=out, trees=tiny, threads=2, train_on_val=True)
    )
    assert result["faces"] == sides["train"]["records"] + sides["val"]["records"]
    assert list(result["scores"]) == ["test"]
    with pytest.raises(CheckError, match="both.dat"):
        evaluate(EvaluateConfig(model=out, records=records, side="val"))


def test_faces_with_missing_points_are_left_out(records, tmp_path, monkeypatch, capsys):
    def loaded(*arguments):
        crops = load_crops(*arguments)
        mask = crops.mask.copy()
        mask[::2, 5] = False
        return replace(crops, mask=mask)

    monkeypatch.setattr("benchmarks.dlib_baseline.load_crops", loaded)
    tiny = replace(TINY, cascade_depth=1, num_trees_per_cascade_level=5)
    options = {"records": records, "trees": tiny, "threads": 2}
    result = train_baseline(BaselineConfig(out=tmp_path / "a.dat", faces=9, **options))
    assert (result["faces"], result["faces_left_out"]) == (4, 5)
    assert "4 faces; 5 with missing points" in capsys.readouterr().out
    with pytest.raises(InputError, match="has all its points"):
        train_baseline(BaselineConfig(out=tmp_path / "b.dat", faces=1, **options))


@pytest.mark.parametrize("content", [None, b"", b"no predictor"])
def test_unreadable_predictors_are_named(tmp_path, content):
    path = tmp_path / "broken.dat"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="broken.dat"):
        DlibBackend(path)


def test_the_command_line(records, tmp_path):
    out = tmp_path / "dlib68.dat"
    command = ("-m", "benchmarks.dlib_baseline", "--records", records, "--out", out)
    result = run_module(
        *command,
        "--trees.cascade-depth",
        "1",
        "--faces",
        "8",
        "--threads",
        "1",
        "--trees.num-trees-per-cascade-level",
        "5",
        "--no-mirror",
    )
    assert result.returncode == 0, result.stderr
    assert "test side, 12 faces" in result.stdout and "AFW " in result.stdout and out.exists()
    missing = run_module(*command[:2], "--records", tmp_path / "none", "--out", out)
    assert_one_line_error(missing, 3, "manifest.json")
    assert_one_line_error(run_module(*command[:-1], tmp_path / "dlib68"), 2, ".dat")
    assert_one_line_error(run_module(*command, "--trees.nu", "2"), 2, "--trees", "nu")
