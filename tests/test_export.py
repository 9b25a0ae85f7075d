"""Freezing a checkpoint, the export gate, the model card, and evaluation."""

import json
import shutil

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module

from senet_kp.export import freeze as freeze_module
from senet_kp.export.freeze import FreezeConfig, freeze
from senet_kp.export.gate_faces import gate_faces
from senet_kp.export.parity import LIMIT_PX, check_parity
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.metrics import NORMALISERS
from senet_kp.inference.backends import BACKENDS, OpenCVBackend, TensorFlowBackend
from senet_kp.inference.model_card import read_card
from senet_kp.input.crops import Crops, load_crops
from senet_kp.nets.tf1 import tf
from senet_kp.scoring import evaluate as evaluate_module
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.scoring.scores import scores
from senet_kp.tfrecords.errors import CheckError, InputError, ModelError, UserError
from senet_kp.tfrecords.files import sha256_of_file
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.checkpoints import checkpoint_prefix


@pytest.fixture(scope="module")
def crops(records):
    return load_crops(records, read_manifest(records), "train")


def variables(run):
    reader = tf.train.load_checkpoint(checkpoint_prefix(run, "best"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def save_variables(folder, values):
    """Write a checkpoint with these variables, as a training does; return its prefix."""
    with tf.Graph().as_default(), tf.Session() as session:
        made = [tf.get_variable(name, initializer=value) for name, value in values.items()]
        session.run([v.initializer for v in made])
        tf.train.Saver(made).save(session, str(folder / "ckpt"), 24)
    return folder / "ckpt-24"


def test_frozen_graph_holds_inference_ops_and_the_two_names(model):
    graph = tf.GraphDef.FromString(model.read_bytes())
    ops = {node.op for node in graph.node}
    assert ops <= freeze_module.ALLOWED_OPS
    assert not any("BatchNorm" in op for op in ops), "batch norm is folded"
    placeholders = [node for node in graph.node if node.op == "Placeholder"]
    assert [node.name for node in placeholders] == ["image"]
    shape = [dim.size for dim in placeholders[0].attr["shape"].shape.dim]
    assert shape == [1, 128, 128, 3]
    assert [node.op for node in graph.node if node.name == "landmarks"] == ["Reshape"]


def test_trained_tensorflow_and_opencv_agree_on_every_face(model, run, records, crops):
    """Without code of the gate: runs the network in batches on its averaged weights."""
    from senet_kp.nets import build_network

    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.placeholder(tf.float32, [None, 128, 128, 3])
        points = build_network("senet", image, 68, is_training=False).landmarks
        averages = {f"{v.op.name}/ExponentialMovingAverage": v for v in tf.global_variables()}
        tf.train.Saver(averages).restore(session, checkpoint_prefix(run, "best"))
        trained = session.run(points, {image: crops.images}).reshape(-1, 68, 2)
    for backend in (TensorFlowBackend, OpenCVBackend):
        engine = backend(model.read_bytes())
        points = np.array([engine(image) for image in crops.images])
        assert np.abs(points - trained).max() * 128 < LIMIT_PX


def test_card_says_what_the_file_is(model, records):
    card, manifest = read_card(model), read_manifest(records)
    assert card["sha256"] == sha256_of_file(model) and card["bytes"] == model.stat().st_size
    assert card["input"] == {
        "node": "image",
        "shape": [1, 128, 128, 3],
        "type": "float32",
        "colour": "RGB",
        "range": [0, 255],
    }
    assert card["output"]["node"] == "landmarks" and card["output"]["shape"] == [1, 136]
    assert card["box"] == manifest["box"] and card["scheme"]["name"] == "ibug68"
    assert card["gate"]["faces"] >= 64 and card["gate"]["opencv_max_px"] <= 0.01
    assert card["training"]["records"]["sha256"] == manifest["records_sha256"]
    assert (
        card["terms"] == "300W-LP's pictures, those of 300-W, are for non-commercial research"
        " only; a model trained on them inherits that"
    )
    assert card["scores"]["label_source"] == "tree0 pts_2d"
    assert card["scores"]["faces"] == manifest["sides"]["test"]["records"]


def test_gate_names_engine_face_and_point_that_differ(model, records):
    crops = gate_faces(records, read_manifest(records))
    engine = TensorFlowBackend(model.read_bytes())
    trained = np.array([engine(image) for image in crops.images])
    result = check_parity(model.read_bytes(), trained, crops)
    assert (result["faces"], result["rendered_faces"]) == (96, 0)
    trained[7, 30, 0] += 0.02 / 128
    trained[9] += 1
    with pytest.raises(
        CheckError, match=f"tensorflow puts landmark 30 of {crops.names[7]} 0.02 px"
    ):
        check_parity(model.read_bytes(), trained, crops)
    trained[7, 30, 0] = np.nan
    with pytest.raises(CheckError, match=f"landmark 30 of {crops.names[7]} nan px"):
        check_parity(model.read_bytes(), trained, crops)


def test_nothing_is_written_when_the_gate_refuses(run, records, tmp_path, monkeypatch):
    monkeypatch.setattr("senet_kp.export.parity.LIMIT_PX", -1.0)
    with pytest.raises(CheckError, match="export gate"):
        freeze(FreezeConfig(run=run, records=records, out=tmp_path / "senet.pb"))
    assert list(tmp_path.iterdir()) == []


def test_the_scores_of_a_card_have_the_normaliser_that_was_asked_for(model, run, records, tmp_path):
    out = tmp_path / "senet.pb"
    card = freeze(FreezeConfig(run=run, records=records, out=out, normaliser="box"))
    usual = read_card(model)["scores"]
    assert (usual["normaliser"], card["scores"]["normaliser"]) == ("inter-ocular", "box")
    assert card["scores"]["nme"] == usual["nme_by_normaliser"]["box"]
    text = out.with_suffix(".json").read_text()
    out.with_suffix(".json").write_text(text.replace('"normaliser": "box"', '"normaliser": "ear"'))
    with pytest.raises(ModelError, match="scores.normaliser is 'ear', not"):
        read_card(out)


def test_batch_norm_that_never_moved_is_refused(run, records, tmp_path):
    values = variables(run)
    name = "senet/stage3_block1/conv/BatchNorm/moving_mean/ExponentialMovingAverage"
    prefix = save_variables(tmp_path, values | {name: np.zeros_like(values[name])})
    config = FreezeConfig(run, records, tmp_path / "senet.pb", checkpoint=str(prefix))
    with pytest.raises(
        CheckError, match="stage3_block1/conv/BatchNorm/moving_mean is still at its initial value 0"
    ):
        freeze(config)
    assert not (tmp_path / "senet.pb").exists()


def test_training_ops_are_refused(run, records, tmp_path, monkeypatch):
    monkeypatch.setattr(freeze_module, "ALLOWED_OPS", freeze_module.ALLOWED_OPS - {"Sigmoid"})
    with pytest.raises(CheckError, match="ops that OpenCV may not run: Sigmoid"):
        freeze(FreezeConfig(run, records, tmp_path / "senet.pb"))


def test_checkpoint_of_another_network_is_refused(run, records, tmp_path):
    prefix = save_variables(tmp_path, {"other/weights": np.zeros((3, 3), np.float32)})
    with pytest.raises(ModelError, match="of another network"):
        freeze(FreezeConfig(run, records, tmp_path / "senet.pb", checkpoint=str(prefix)))


def test_other_records_are_refused(run, records, tmp_path):
    other = shutil.copytree(records, tmp_path / "records")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"records_sha256": "0" * 64}))
    with pytest.raises(InputError, match="trained on other records"):
        freeze(FreezeConfig(run, other, tmp_path / "senet.pb"))


def test_a_folder_without_a_run_is_named(records, tmp_path):
    flags = ["--run", tmp_path, "--records", records, "--out", tmp_path / "senet.pb"]
    assert_one_line_error(run_module("-m", "export.freeze", *flags), 4, tmp_path, "make train")


# --- evaluation ---


def test_frozen_graph_and_checkpoint_score_the_same(model, run, records):
    frozen, nmes = evaluate(EvaluateConfig(model=model, records=records))
    trained, _ = evaluate(EvaluateConfig(model=run, records=records))
    assert frozen["nme"] == pytest.approx(trained["nme"], rel=1e-4)
    assert frozen["nme"] == pytest.approx(read_card(model)["scores"]["nme"], rel=1e-6)
    assert frozen["nme"] == pytest.approx(nmes.mean()) and frozen["faces"] == len(nmes)


def make_crops(yaw_deg):
    """Three faces with a yaw of 5, 45 and 75 degrees, annotated with yaw_deg (NaN: unknown)."""
    from conftest import face_points

    landmarks = np.array([face_points((0.5, 0.5), 0.8, yaw) for yaw in (5, 45, 75)])
    pose = np.array([[0, yaw, 0] for yaw in yaw_deg], np.float32)
    images = np.zeros((3, 128, 128, 3), np.uint8)
    affine = np.tile(np.eye(2, 3), (3, 1, 1))
    names, subsets = ["a", "b", "c"], ["X", "X", "Y"]
    mask, tags = np.ones((3, 68), bool), [("blur",), (), ("blur", "pose")]
    return Crops(images, landmarks, mask, pose, affine, names, names, subsets, tags)


@pytest.mark.parametrize("yaw_deg, estimated", [((5, -45, 75), 0), ((np.nan,) * 3, 3)])
def test_yaw_bins_from_labels_or_estimated(yaw_deg, estimated):
    crops = make_crops(yaw_deg)
    result = scores(crops.landmarks, crops, IBUG68, "box")
    assert [result["yaw_bins"][name]["faces"] for name in ("0-30", "30-60", "60-90")] == [1, 1, 1]
    assert result["yaw_estimated_from_points"] == estimated and result["nme"] == 0
    assert result["subsets"] == {"X": {"faces": 2, "nme": 0.0}, "Y": {"faces": 1, "nme": 0.0}}
    assert result["tags"] == {"blur": {"faces": 2, "nme": 0.0}, "pose": {"faces": 1, "nme": 0.0}}
    assert result["yaw_bins_mean"] == 0 and result["rmse_px"] == 0


def test_regions_by_hand():
    crops = make_crops((0, 0, 0))
    predicted = crops.landmarks.copy()
    extent = np.ptp(crops.landmarks, axis=1)
    predicted[:, 48:] += 0.1 * np.sqrt(extent.prod(1))[:, None, None] * (0.6, 0.8)
    result = scores(predicted, crops, IBUG68, "box", threshold=0.02)
    assert result["regions"]["mouth"] == pytest.approx(0.1)
    assert result["regions"]["eyes"] == 0
    assert result["nme"] == pytest.approx(0.1 * 20 / 68)
    assert {name: part["faces"] for name, part in result["tags"].items()} == {"blur": 2, "pose": 1}
    assert result["tags"]["pose"]["nme"] == pytest.approx(0.1 * 20 / 68)
    assert result["failure_rate"] == 1.0 and result["auc"] == 0.0


def test_evaluate_command_writes_json_table_and_curve(model, records, tmp_path):
    target, curve = tmp_path / "scores.json", tmp_path / "ced.png"
    flags = ["--model", model, "--records", records, "--normaliser", "box", "--json", target]
    result = run_module("-m", "senet_kp.scoring.evaluate", *flags, "--ced", curve)
    assert result.returncode == 0, result.stderr
    written = json.loads(target.read_text())
    assert written["normaliser"] == "box" and written["side"] == "test"
    assert {"model_sha256", "records_sha256", "box_source", "label_source", "auc"} <= set(written)
    assert f"{written['nme']:.2%}" in result.stdout
    by_normaliser = written["nme_by_normaliser"]
    assert tuple(by_normaliser) == NORMALISERS and by_normaliser["box"] == written["nme"]
    assert by_normaliser["diagonal"] < by_normaliser["box"], "the diagonal is longer"
    line = next(line for line in result.stdout.splitlines() if "NME, diagonal" in line)
    assert line.split()[-1] == f"{by_normaliser['diagonal']:.2%}"
    assert curve.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "flag, choices",
    [
        ("--side", ("train", "val", "test")),
        ("--normaliser", NORMALISERS),
        ("--backend", ("auto", *BACKENDS)),
    ],
)
def test_a_wrong_choice_exits_with_2_and_lists_the_choices(flag, choices, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate", flag, "wrong"])
    with pytest.raises(SystemExit) as stopped:
        evaluate_module.main()
    printed = "".join(capsys.readouterr())
    assert stopped.value.code == 2
    assert flag in printed and all(choice in printed for choice in choices)


def test_a_threshold_must_be_positive():
    with pytest.raises(UserError, match="--threshold must be greater than 0"):
        evaluate(EvaluateConfig(threshold=0))


def test_model_of_another_box_is_refused(model, records, tmp_path):
    for path in (model, model.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    card_path = tmp_path / "senet.json"
    card = json.loads(card_path.read_text())
    card["box"]["scale"] = 1.5
    card_path.write_text(json.dumps(card))
    result = run_module(
        "-m", "senet_kp.scoring.evaluate", "--model", tmp_path / "senet.pb", "--records", records
    )
    assert_one_line_error(result, 4, "another face box")
