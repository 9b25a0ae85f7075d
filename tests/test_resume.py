"""A stopped or killed training resumes bit-identically; settings that do not match are refused."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, run_module
from runs import assert_equal_to_the_bit, command, config, rows, variables

from senet_kp.inference.backends import TensorFlowBackend
from senet_kp.input.crops import load_crops
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import ModelError, UserError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.checkpoints import (
    checkpoint_prefix,
    read_settings,
    restored_session,
    run_images,
)
from senet_kp.train.config import recipe
from senet_kp.train.frozen_weights import unfolded_weights
from senet_kp.train.loop import train
from senet_kp.train.run_folder import RunFolder, differences


def test_stopped_and_resumed_equals_uninterrupted(records, uninterrupted, tmp_path):
    run = tmp_path / "run"
    assert train(config(records, run, steps=5)) == 0
    assert train(config(records, run, steps=12)) == 0
    assert_equal_to_the_bit(run, uninterrupted)
    assert train(config(records, run, steps=12)) == 0  # nothing to do
    assert [row["step"] for row in rows(run)] == ["4", "5", "8", "12"]


def start_and_signal(records, run, number, after_step):
    """Start training, send a signal after the line of a step; the exit code and the output."""
    process = subprocess.Popen(
        [sys.executable, "-u", *command(records, run, "--steps", "100000")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(f"step {after_step} "):
            process.send_signal(number)
            break
    rest, _ = process.communicate(timeout=120)
    return process.returncode, "".join(lines) + rest


def test_killed_and_resumed_equals_uninterrupted(records, uninterrupted, tmp_path):
    run = tmp_path / "run"
    code, _ = start_and_signal(records, run, signal.SIGKILL, 7)
    assert code == -signal.SIGKILL
    assert checkpoint_prefix(run, "latest").endswith("ckpt-4")
    result = run_module(*command(records, run))
    assert result.returncode == 0, result.stderr
    assert_equal_to_the_bit(run, uninterrupted)
    assert [row["step"] for row in rows(run)] == ["4", "8", "12"]
    for row, whole in zip(rows(run), rows(uninterrupted), strict=True):
        assert row | {"minutes": ""} == whole | {"minutes": ""}
    for name in ("progress.json", "progress.png", "predictions.png"):
        assert (run / name).read_bytes() == (uninterrupted / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_and_stop(records, tmp_path, number):
    run = tmp_path / "run"
    code, output = start_and_signal(records, run, number, 6)
    assert code == 130 and "stopped and saved; the same command continues it" in output
    assert "Traceback" not in output
    step = int(checkpoint_prefix(run, "latest").rpartition("-")[2])
    assert step >= 6 and rows(run)[-1]["step"] == str(step)


def test_the_time_limit_saves_and_exits_with_0(records, tmp_path):
    run = tmp_path / "run"
    assert train(config(records, run, steps=100_000, max_minutes=1e-4)) == 0
    assert checkpoint_prefix(run, "latest").endswith("ckpt-1")


def test_senet_killed_and_resumed_equals_uninterrupted_with_its_average(records, tmp_path):
    """The default recipe (exponential decay, weight average), stopped during the warm-up."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    options = {"net": "senet", "steps": 8, "warmup_steps": 6}
    assert train(config(records, whole, **options)) == 0
    assert train(config(records, part, **options, max_minutes=1e-4)) == 0
    assert checkpoint_prefix(part, "latest").endswith("ckpt-1")
    assert train(config(records, part, **options)) == 0
    assert_equal_to_the_bit(part, whole)
    kept = variables(whole)
    name = "senet/maps/weights"
    assert np.abs(kept[f"{name}/ExponentialMovingAverage"] - kept[name]).max() > 1e-6
    assert float(rows(whole)[-1]["learning_rate"]) == pytest.approx(
        recipe("senet").learning_rate * 0.02 ** (7 / 8), rel=1e-4
    )


def test_a_schedule_that_fits_the_steps_cannot_be_extended_on_resume():
    for schedule in ("cosine", "exponential"):
        one, two = ({"schedule": schedule, "steps": n, "decay_steps": 0} for n in (1, 2))
        assert differences(one, two) == (
            f"steps is 1, not 2, and the {one['schedule']} schedule is fitted to the number of"
            " steps"
        )
    one, two = ({"schedule": "exponential", "steps": n, "decay_steps": 10} for n in (1, 2))
    assert differences(one, two) == ""


def test_init_from_loads_the_averaged_weights_and_starts_at_step_0(run, records, tmp_path):
    options = {
        "net": "senet",
        "steps": 1,
        "learning_rate": 1e-12,
        "init_from": str(run),
        "warmup_steps": 0,
    }
    assert train(config(records, tmp_path / "run", **options)) == 0
    first, new = variables(run, "best"), variables(tmp_path / "run")
    assert new["global_step"] == 1
    name = "senet/maps/weights"
    np.testing.assert_allclose(new[name], first[f"{name}/ExponentialMovingAverage"], atol=1e-9)
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["before"] == json.loads((run / "config.json").read_text())
    with pytest.raises(ModelError, match="is a senet, not a senet_classic"):
        train(config(records, tmp_path / "other", init_from=str(run)))


def test_training_from_a_frozen_graph_starts_with_its_predictions(model, records, tmp_path):
    """Batch-norm folding is undone, and the network predicts the same as the frozen graph."""
    manifest = read_manifest(records)
    images = load_crops(records, manifest, "train").images
    values = unfolded_weights(model, images)
    layer = "senet/stem1/BatchNorm"
    assert values[f"{layer}/gamma"] ** 2 == pytest.approx(
        values[f"{layer}/moving_variance"] + 1e-5, rel=1e-5
    )
    options = {
        "net": "senet",
        "steps": 1,
        "learning_rate": 1e-12,
        "init_from": str(model),
        "warmup_steps": 0,
        "average_decay": 0.0,
        "bn_decay": 0.999999,
    }
    assert train(config(records, tmp_path / "run", **options)) == 0
    settings = read_settings(tmp_path / "run")
    assert settings["before"]["net"] == "senet" and len(settings["before"]["graph_sha256"]) == 64
    prefix = checkpoint_prefix(tmp_path / "run")
    with restored_session(settings, manifest, prefix) as session:
        points = run_images(session, images[:8], prefix)
    frozen = TensorFlowBackend(model.read_bytes())
    expected = np.array([frozen(image) for image in images[:8]])
    np.testing.assert_allclose(points, expected, atol=2e-5)


def test_a_graph_that_does_not_fit_is_refused(model, records, tmp_path):
    with pytest.raises(ModelError, match="is a senet, not a senet_classic"):
        train(config(records, tmp_path / "run", init_from=str(model)))
    with pytest.raises(ModelError, match="gone.pb: no such model file"):
        train(config(records, tmp_path / "other", net="senet", init_from=str(tmp_path / "gone.pb")))
    images = np.zeros((2, 64, 64, 3), np.uint8)
    with pytest.raises(ModelError, match=f"{model.name}: was frozen for .* records have 64 px"):
        unfolded_weights(model, images)


def test_the_plateau_schedule_keeps_its_state_on_resume(records, tmp_path):
    """With patience 1, every validation without a better val NME halves the learning rate."""
    run = tmp_path / "run"
    options = {
        "schedule": "plateau",
        "plateau_patience": 1,
        "plateau_factor": 0.5,
        "plateau_floor": 0.0,
        "validate_every_steps": 1,
        "learning_rate": 1e-9,
    }
    for steps in (2, 4):
        assert train(config(records, run, steps=steps, **options)) == 0
    kept = variables(run)
    falls = sum(
        float(b["val_nme"]) >= min(float(row["val_nme"]) for row in rows(run)[: i + 1])
        for i, b in enumerate(rows(run)[1:])
    )
    assert kept["plateau/learning_rate"] == pytest.approx(1e-9 * 0.5**falls, rel=1e-5)


def test_the_plateau_schedule_cannot_be_resumed_with_other_validations(records, tmp_path):
    """It counts validations: with twice as many, it would wait half as long."""
    run, options = tmp_path / "run", {"schedule": "plateau", "steps": 4}
    assert train(config(records, run, **options)) == 0
    with pytest.raises(UserError, match="validate_every_steps is 4, not 2, and the plateau"):
        train(config(records, run, validate_every_steps=2, **options | {"steps": 8}))
    one, two = ({"schedule": "constant", "validate_every_steps": n} for n in (1, 2))
    assert differences(one, two) == ""


def test_a_finished_run_names_how_to_train_on(records, tmp_path):
    run = tmp_path / "run"
    assert train(config(records, run, steps=4, decay_steps=0)) == 0
    with pytest.raises(UserError, match="exponential schedule is fitted .*--init-from"):
        train(config(records, run, steps=8, decay_steps=0))
    further = config(records, tmp_path / "on", steps=4, decay_steps=0, init_from=str(run))
    assert train(further) == 0


def test_a_run_whose_settings_are_lost_is_not_resumed(records, uninterrupted, tmp_path):
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    for damage in (lambda path: path.write_text('{"net"'), lambda path: path.unlink()):
        damage(run / "config.json")
        with pytest.raises(UserError, match=r"config\.json: (missing or )?damaged"):
            train(config(records, run, steps=20))


def test_other_settings_in_the_same_folder_are_refused(records, uninterrupted, tmp_path):
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    with pytest.raises(UserError, match=r"learning_rate is 0.001, not 0.5; seed is 0, not 7"):
        train(config(records, run, learning_rate=0.5, seed=7))


def test_other_records_in_the_same_folder_are_refused(records, uninterrupted, tmp_path):
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    other = shutil.copytree(records, tmp_path / "records")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"records_sha256": "0" * 64}))
    with pytest.raises(UserError, match="records_sha256"):
        train(config(other, run))


def test_checkpoint_of_another_network_is_refused(records, uninterrupted, tmp_path):
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("other", [3])
        session.run(tf.global_variables_initializer())
        RunFolder(run).folder.mkdir(exist_ok=True)
        shutil.rmtree(run / "latest")
        (run / "latest").mkdir()
        tf.train.Saver().save(session, str(run / "latest" / "ckpt"), 12)
    with pytest.raises(ModelError, match="of another network"):
        train(config(records, run, steps=20))


def test_damaged_checkpoint_is_named(records, uninterrupted, tmp_path):
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    data = next((run / "latest").glob("ckpt-12.data*"))
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ModelError, match="ckpt-12"):
        train(config(records, run, steps=20))
