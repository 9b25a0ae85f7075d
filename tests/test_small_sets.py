"""Records of a few faces: they are trained on, frozen and exported like others."""

import json

import numpy as np
import pytest
from conftest import make_tree

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.prepare import prepare
from senet_kp.export import freeze as freeze_module
from senet_kp.export.convert import ConvertConfig, convert, remarks, table
from senet_kp.export.freeze import FreezeConfig
from senet_kp.export.gate_faces import (
    GATE_FACES,
    MIN_FACES,
    calibration_faces,
    gate_faces,
    rendered_crops,
)
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import IBUG68
from senet_kp.input.crops import load_any_crops
from senet_kp.scoring.scores import scores_or_note
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.config import TrainConfig
from senet_kp.train.loop import train


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Records of twelve faces."""
    root = tmp_path_factory.mktemp("few")
    data = make_tree(root / "data", 12, 1)
    prepare(PrepareConfig(data=(data,), out=root / "records", detector_pictures=0, processes=1))
    return root / "records"


@pytest.fixture(scope="module")
def graph(few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")
    settings = {"steps": 20, "batch_size": 4, "bn_decay": 0.8, "validate_every_steps": 20}
    assert train(TrainConfig(records=few, run=folder / "run", **settings)) == 0
    freeze_module.freeze(FreezeConfig(folder / "run", few, folder / "senet.pb"))
    return folder / "senet.pb"


def test_the_gate_is_completed_with_rendered_faces(few, records):
    faces = gate_faces(few, read_manifest(few))
    assert (len(faces), faces.rendered, MIN_FACES) == (64, 52, 64)
    assert faces.images.shape == (64, 128, 128, 3) and faces.images.dtype == np.uint8
    assert faces.names[11].startswith("AFW/") and faces.names[12] == "rendered face 1"
    enough = gate_faces(records, read_manifest(records))
    assert (len(enough), enough.rendered, GATE_FACES) == (96, 0, 128)


def test_rendered_faces_depend_on_the_rule_alone_and_differ():
    rule = BoxRule(size_px=32)
    first, again = rendered_crops(rule, 18), rendered_crops(rule, 18)
    np.testing.assert_array_equal(first, again)
    assert len({crop.tobytes() for crop in first}) == 18
    np.testing.assert_array_equal(first[1], first[0][:, ::-1])
    wide = rendered_crops(BoxRule(size_px=32, scale=2.0), 1)[0]
    assert np.abs(wide.astype(int) - first[0]).mean() > 5


def test_calibration_is_completed_too(few, records):
    train_faces = read_manifest(few)["sides"]["train"]["records"]
    faces = calibration_faces(few, read_manifest(few), 200)
    assert faces.counts() == {"faces": 64, "rendered_faces": 64 - train_faces}
    assert calibration_faces(few, read_manifest(few), 4).counts()["rendered_faces"] == 0
    assert len(calibration_faces(records, read_manifest(records), 16)) == 16


def test_twelve_faces_are_frozen_and_exported(graph, few):
    card = json.loads(graph.with_suffix(".json").read_text())
    assert card["gate"]["faces"] == 64 and card["gate"]["rendered_faces"] == 52
    entries = convert(ConvertConfig(model=graph, records=few))
    assert len(entries) == 6 and all(
        e["gate"] == {"faces": 64, "rendered_faces": 52} for e in entries
    )
    said = "\n".join(remarks(entries))
    assert "export gate: 12 faces of the records and 52 rendered ones" in said
    assert "senet-int8.tflite, calibration: " in said


def test_an_empty_test_side_is_no_error(graph, few, tmp_path, monkeypatch, capsys):
    """As in the folds of a cross-validation, which have no test side."""
    manifest = read_manifest(few)
    manifest["sides"].pop("test")
    crops = load_any_crops(few, manifest, sides=("test",))
    found = scores_or_note(None, crops, IBUG68)
    assert (found["faces"], found["nme"]) == (0, None) and "no faces" in found["note"]
    assert len(load_any_crops(few, manifest)) < 12
    monkeypatch.setattr(freeze_module, "load_any_crops", lambda *_, **__: crops)
    out = tmp_path / "senet.pb"
    flags = ["--run", graph.parent / "run", "--records", few, "--out", out]
    monkeypatch.setattr("sys.argv", ["freeze", *map(str, flags)])
    freeze_module.main()
    assert "there is nothing to score" in capsys.readouterr().out
    monkeypatch.setattr("senet_kp.export.convert.load_any_crops", lambda *_, **__: crops)
    (own, onnx) = convert(ConvertConfig(model=out, records=few, formats=("onnx",)))
    assert own["score"]["nme"] is None and "nme_change" not in onnx
    assert "%" not in table([own, onnx]) and "nothing to score" in remarks([own, onnx])[0]
