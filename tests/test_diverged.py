"""A network whose answers are not finite: nothing is saved, drawn or written."""

import shutil

import cv2
import numpy as np
import pytest
from conftest import assert_one_line_error, face_points, make_picture, run_module
from runs import config, diverged_model, variables

from senet_kp.export.freeze import FreezeConfig, freeze
from senet_kp.inference.backends import open_backend
from senet_kp.input.crops import load_crops
from senet_kp.nets.tf1 import tf
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.tfrecords.errors import CheckError, ModelError, UserError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train import loop, validation
from senet_kp.train.loop import train


def test_answers_that_are_not_finite_stop_the_training_at_its_validation(records, tmp_path):
    run, options = tmp_path / "run", {"net": "senet", "warmup_steps": 1, "steps": 4}
    with pytest.raises(CheckError, match=r"step 4: the network's answers .* not finite") as caught:
        train(config(records, run, learning_rate=1e6, **options))
    assert caught.value.exit_code == 5
    assert "no checkpoint" in str(caught.value) and "--learning-rate" in str(caught.value)
    assert not list(run.glob("*/ckpt*")) and not list(run.glob("*.png"))
    assert train(config(records, run, learning_rate=1e-4, **options)) == 0  # in the same folder


def nan_weights(session):
    variable = tf.model_variables()[0]
    variable.load(np.full(variable.shape.as_list(), np.nan), session)


def test_weights_that_are_not_finite_are_never_saved(records, tmp_path, monkeypatch):
    """Without validation faces, only the weights tell. The checkpoint of step 4 stays."""
    run, options = tmp_path / "run", {"train_on_val": True, "average_decay": 0.0}
    assert train(config(records, run, steps=4, **options)) == 0
    before, validate = variables(run), loop.validate

    def diverging(session, *arguments):
        nan_weights(session)
        return validate(session, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", diverging)
        with pytest.raises(CheckError, match=f"step 8: the network's weights.*--init-from {run}"):
            train(config(records, run, **options))
    after = variables(run)
    assert after["global_step"] == 4 and all(np.isfinite(value).all() for value in after.values())
    assert before.keys() == after.keys()
    lower = config(records, tmp_path / "on", learning_rate=1e-5, init_from=str(run), steps=4)
    assert train(lower) == 0


def test_an_infinite_best_nme_of_the_plateau_schedule_is_no_divergence(records, tmp_path):
    options = {"schedule": "plateau", "validate_every_steps": 8}
    assert train(config(records, tmp_path / "run", steps=4, **options)) == 0
    assert np.isinf(variables(tmp_path / "run")["plateau/best_val_nme"])


def without_eye_corners(monkeypatch):
    def load(folder, manifest, side, *limit):
        crops = load_crops(folder, manifest, side, *limit)
        crops.mask[:, [36, 45]] = False
        return crops

    monkeypatch.setattr(loop, "load_crops", load)


def test_only_labels_without_eye_corners_are_called_so(records, tmp_path, monkeypatch, capsys):
    without_eye_corners(monkeypatch)
    assert train(config(records, tmp_path / "run", steps=4)) == 0
    assert "faces has both outer eye corners labelled" in capsys.readouterr().out


def test_a_plateau_schedule_without_any_nme_is_refused(records, tmp_path, monkeypatch):
    """It would never lower the learning rate."""
    without_eye_corners(monkeypatch)
    with pytest.raises(UserError, match="plateau needs the val NME"):
        train(config(records, tmp_path / "run", schedule="plateau"))


def test_predictions_are_not_measured_where_one_is_not_finite(records, monkeypatch):
    val = load_crops(records, read_manifest(records), "val")
    points = val.landmarks.copy()
    points[-1, 0, 0] = np.inf
    monkeypatch.setattr(validation, "predict", lambda *_: (points, None))
    result = validation.validate(None, None, val, None)
    assert not result.finite and result.predicted is None and result.nme is None


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """A frozen graph whose answers are NaN."""
    return diverged_model(tmp_path_factory.mktemp("diverged") / "senet68.pb")


@pytest.mark.parametrize("engine", ["opencv", "tensorflow"])
def test_every_engine_refuses_landmarks_that_are_not_finite(diverged, engine):
    with pytest.raises(ModelError, match=r"senet68\.pb: its landmarks are not finite"):
        open_backend(diverged, engine)(np.zeros((128, 128, 3), np.uint8))


def test_the_demo_draws_and_writes_nothing_of_it(diverged, tmp_path):
    picture = make_picture(face_points((225, 230), 200))
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    (tmp_path / "boxes.json").write_text('{"photo.png": [[120, 130, 210, 210]]}')
    out, flags = tmp_path / "out", ["--boxes", tmp_path / "boxes.json"]
    command = ["-m", "senet_kp.demo.command", tmp_path / "photo.png", "--model", diverged, *flags]
    result = run_module(*command, "--out", out, "--json", out / "landmarks.jsonl")
    assert_one_line_error(result, 4, "senet68.pb", "not finite")
    assert list(out.iterdir()) == []


def test_a_diverged_checkpoint_is_neither_frozen_nor_scored(run, records, tmp_path):
    """An earlier version may have saved one."""
    shutil.copytree(run, copy := tmp_path / "run")
    with tf.Graph().as_default(), tf.Session() as session:
        prefix = tf.train.latest_checkpoint(str(copy / "best"))
        reader = tf.train.load_checkpoint(prefix)
        values = {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}
        values = {n: np.full_like(v, 1e30) if "merge1" in n else v for n, v in values.items()}
        saver = tf.train.Saver({n: tf.Variable(v) for n, v in values.items()})
        session.run(tf.global_variables_initializer())
        saver.save(session, prefix, write_meta_graph=False, write_state=False)
    out = tmp_path / "senet.pb"
    with pytest.raises(ModelError, match="ckpt-.*: its landmarks are not finite"):
        freeze(FreezeConfig(run=copy, records=records, out=out))
    assert not out.exists()
    with pytest.raises(ModelError, match="ckpt-.*: its landmarks are not finite"):
        evaluate(EvaluateConfig(model=copy, records=records, side="val"))
