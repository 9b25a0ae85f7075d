"""Training: what it writes, and that stopping, killing and resuming change nothing."""

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, run_module

from data_prep.config import PrepareConfig
from data_prep.prepare import prepare
from senet_kp import train as train_module
from senet_kp.augment import AugmentConfig
from senet_kp.checkpoints import checkpoint_prefix
from senet_kp.crops import load_crops
from senet_kp.facebox import BoxRule
from senet_kp.run_folder import RunFolder
from senet_kp.tf1 import tf
from senet_kp.train import train
from senet_kp.train_config import recipe
from tfrecords.errors import CheckError, ModelError, OutputError, UserError


def config(records, run, **options):
    small = {"records": records, "run": run, "steps": 12, "batch_size": 4, "bn_decay": 0.8,
             "threads": 1, "validate_every_steps": 4, "log_every_steps": 4}  # fmt: skip
    return dataclasses.replace(recipe(options.get("net", "senet_classic")), **{**small, **options})


def variables(run, which="latest"):
    reader = tf.train.load_checkpoint(checkpoint_prefix(run, which))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_equal_to_the_bit(first, second):
    a, b = variables(first), variables(second)
    assert a.keys() == b.keys()
    assert any(name.endswith("Adam_1") for name in a) and "global_step" in a
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def uninterrupted(records, tmp_path_factory):
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert train(config(records, run)) == 0
    return run


def test_run_folder_holds_what_it_should(run):
    settings = json.loads((run / "config.json").read_text())
    assert settings["net"] == "senet" and len(settings["records_sha256"]) == 64
    assert [row["step"] for row in rows(run)] == ["12", "24"]
    assert checkpoint_prefix(run, "latest").endswith("ckpt-24")
    best = json.loads((run / "best" / "best.json").read_text())
    assert best["val_nme"] == min(float(row["val_nme"]) for row in rows(run)) or best[
        "val_nme"
    ] == pytest.approx(min(float(row["val_nme"]) for row in rows(run)), abs=1e-6)
    tags = set()
    for events in run.glob("events.*"):
        for event in tf.train.summary_iterator(str(events)):
            tags |= {value.tag for value in event.summary.value}
    assert {"train/loss", "train/learning_rate", "train/gradient_norm", "train/weight_norm",
            "val/nme", "val/faces"} <= tags  # fmt: skip


def test_learning_rate_is_exponential_in_the_step(uninterrupted):
    for row in rows(uninterrupted):
        # The rate of step k is that of k - 1 steps done.
        expected = 1e-3 * 0.98 ** ((int(row["step"]) - 1) / 1000)
        assert float(row["learning_rate"]) == pytest.approx(expected, rel=1e-5)


def test_batch_norm_statistics_moved_with_every_step(uninterrupted):
    moved = {n: v for n, v in variables(uninterrupted).items() if n.endswith("moving_mean")}
    assert len(moved) == 20
    assert all(np.abs(value).max() > 1e-4 for value in moved.values())


def test_stopped_and_resumed_equals_uninterrupted(records, uninterrupted, tmp_path):
    run = tmp_path / "run"
    assert train(config(records, run, steps=5)) == 0
    assert train(config(records, run, steps=12)) == 0
    assert_equal_to_the_bit(run, uninterrupted)
    assert train(config(records, run, steps=12)) == 0  # nothing to do
    assert [row["step"] for row in rows(run)] == ["4", "5", "8", "12"]


def command(records, run, *flags):
    return ["-m", "senet_kp.train", "--net", "senet_classic", "--records", str(records), "--run",
            str(run), "--steps", "12",
            "--batch-size", "4", "--bn-decay", "0.8", "--threads", "1", "--validate-every-steps",
            "4", "--log-every-steps", "1", *flags]  # fmt: skip


def start_and_signal(records, run, number, after_step):
    """Start the command, send it a signal once the step's line is there; its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-u", *command(records, run, "--steps", "100000")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_and_stop(records, tmp_path, number):
    run = tmp_path / "run"
    code, output = start_and_signal(records, run, number, 6)
    assert code == 130 and "stopped and saved; the same command continues it" in output
    assert "Traceback" not in output
    step = int(checkpoint_prefix(run, "latest").rpartition("-")[2])
    assert step >= 6 and rows(run)[-1]["step"] == str(step)


def test_time_limit_saves_and_ends_well(records, tmp_path):
    run = tmp_path / "run"
    assert train(config(records, run, steps=100_000, max_minutes=1e-4)) == 0
    assert checkpoint_prefix(run, "latest").endswith("ckpt-1")


def test_senet_killed_and_resumed_equals_uninterrupted_with_its_average(records, tmp_path):
    """The default recipe: cosine, weight average, L1; stopped in the middle of the warm-up."""
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
        2e-3 * (1 + np.cos(np.pi * 7 / 8)) / 2, rel=1e-4
    )


def test_a_cosine_cannot_be_made_longer_afterwards(records, tmp_path):
    assert train(config(records, tmp_path / "run", net="senet", steps=1)) == 0
    with pytest.raises(UserError, match="steps is 1, not 2"):
        train(config(records, tmp_path / "run", net="senet", steps=2))


def test_init_from_takes_the_averages_and_starts_anew(run, records, tmp_path):
    options = {"net": "senet", "steps": 1, "learning_rate": 1e-12, "init_from": str(run),
               "warmup_steps": 0}  # fmt: skip
    assert train(config(records, tmp_path / "run", **options)) == 0
    first, new = variables(run, "best"), variables(tmp_path / "run")
    assert new["global_step"] == 1
    name = "senet/maps/weights"
    np.testing.assert_allclose(new[name], first[f"{name}/ExponentialMovingAverage"], atol=1e-9)
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["before"] == json.loads((run / "config.json").read_text())
    with pytest.raises(ModelError, match="is a run of senet, not senet_classic"):
        train(config(records, tmp_path / "other", init_from=str(run)))


def test_trained_on_val_too_it_has_no_best_and_the_newest_is_taken(records, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(config(records, run, steps=2, train_on_val=True)) == 0
    sides = json.loads((records / "manifest.json").read_text())["sides"]
    every = sides["train"]["records"] + sides["val"]["records"]
    assert f"{every:,} pictures to train, 0 to validate" in capsys.readouterr().out
    assert not (run / "best").exists() and checkpoint_prefix(run, "best").endswith("latest/ckpt-2")


def test_plateau_remembers_over_a_stop(records, tmp_path):
    """Patience 1 and a val NME that cannot get better: the rate falls at every validation."""
    run = tmp_path / "run"
    options = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.5,
               "plateau_floor": 0.0, "validate_every_steps": 1, "learning_rate": 1e-9}  # fmt: skip
    for steps in (2, 4):
        assert train(config(records, run, steps=steps, **options)) == 0
    kept = variables(run)
    falls = sum(
        float(b["val_nme"]) >= min(float(row["val_nme"]) for row in rows(run)[: i + 1])
        for i, b in enumerate(rows(run)[1:])
    )
    assert kept["plateau/learning_rate"] == pytest.approx(1e-9 * 0.5**falls, rel=1e-5)


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


def test_truncated_shard_is_named_before_step_1(records, tmp_path):
    copy = shutil.copytree(records, tmp_path / "records")
    path = next(copy.glob("train-*"))
    path.write_bytes(path.read_bytes()[:-10])
    result = run_module(*command(copy, tmp_path / "run"))
    assert_one_line_error(result, 3, path.name, "make the records again")


def test_altered_shard_ends_the_training_in_one_line(records, tmp_path):
    copy = shutil.copytree(records, tmp_path / "records")
    path = next(copy.glob("train-*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = run_module(*command(copy, tmp_path / "run", "--steps", "40"))
    assert_one_line_error(result, 3, copy, "altered", "tfrecords.verify")


def test_non_finite_loss_stops_and_names_the_samples(records, tmp_path, monkeypatch):
    real = train_module.training_batch

    def poisoned(*arguments):
        batch, initialise = real(*arguments)
        bad = tf.where(tf.range(4) < 1, tf.fill([4], np.nan), tf.zeros([4]))
        return dataclasses.replace(
            batch, landmarks=batch.landmarks + bad[:, None, None]
        ), initialise

    monkeypatch.setattr(train_module, "training_batch", poisoned)
    with pytest.raises(CheckError) as caught:
        train(config(records, tmp_path / "run"))
    text = str(caught.value)
    assert text.startswith("step 1: the loss is nan, from AFW/AFW_") and text.count(".jpg") == 1


def test_mean_face_collapse_is_warned_of(records, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        train_module, "predict", lambda session, graph, images: np.full((len(images), 68, 2), 0.5)
    )
    train(config(records, tmp_path / "run", steps=1))
    assert "answers with the mean face" in capsys.readouterr().out


def test_wrong_flip_table_stops_before_step_1(records, tmp_path, monkeypatch):
    scheme = train_module.SCHEMES["ibug68"]
    wrong = dataclasses.replace(scheme, flip=tuple(range(68)))
    monkeypatch.setitem(train_module.SCHEMES, "ibug68", wrong)
    with pytest.raises(CheckError, match="does not mirror the mean shape"):
        train(config(records, tmp_path / "run"))


def test_graph_does_not_grow_and_is_finalised(records, tmp_path, monkeypatch):
    sizes = []
    real = train_module._log

    def counting(*arguments):
        sizes.append(len(tf.get_default_graph().get_operations()))
        assert tf.get_default_graph().finalized
        real(*arguments)

    monkeypatch.setattr(train_module, "_log", counting)
    train(config(records, tmp_path / "run", steps=6, log_every_steps=1))
    assert len(sizes) == 6 and len(set(sizes)) == 1


def test_it_can_learn_a_handful_of_pictures_by_heart(tree, tmp_path):
    """Without augmentation, dropout and L2, and with one batch of all pictures, the error falls
    far below that of answering with the mean face."""
    out = tmp_path / "records"
    options = {"detector_pictures": 0, "test_share": 0.6, "box": BoxRule(size_px=64)}
    manifest = prepare(PrepareConfig(data=(tree,), out=out, **options))
    crops = load_crops(out, manifest, "train")
    shares = ("flip", "rotation_deg", "box_jitter", "brightness", "contrast", "gamma", "colour",
              "grey", "blur", "noise", "jpeg", "patches")  # fmt: skip
    still = AugmentConfig(**dict.fromkeys(shares, 0.0))
    options = {"batch_size": len(crops), "weight_decay": 0.0, "dropout_keep": 1.0,
               "augment": still, "threads": 2}  # fmt: skip
    train(config(out, tmp_path / "run", steps=200, validate_every_steps=200, **options))
    mean_face = crops.landmarks.var(axis=0).mean()
    assert float(rows(tmp_path / "run")[-1]["loss"]) < mean_face / 20


@pytest.mark.parametrize("flags", [
    ["--steps", "0"], ["--net", "resnet"], ["--learning-rat", "1"], ["--dropout-keep", "0"],
])  # fmt: skip
def test_senseless_flags_exit_with_2(records, tmp_path, flags):
    result = run_module(*command(records, tmp_path / "run"), *flags)
    assert result.returncode == 2 and "Traceback" not in result.stderr


def test_records_that_are_not_there_exit_with_3(tmp_path):
    result = run_module(*command(tmp_path / "none", tmp_path / "run"))
    assert_one_line_error(result, 3, "make tfrecords")


def test_checkpoint_that_cannot_be_written_is_named_and_older_ones_stay(
    records, uninterrupted, tmp_path, monkeypatch
):
    run = shutil.copytree(uninterrupted, tmp_path / "run")

    def full(saver, session, path, *arguments, **options):
        open(f"{path}-16.data-00000-of-00001.tempstate1", "w").close()
        raise tf.errors.ResourceExhaustedError(
            None, None, "Graph execution error:\n\nNode: 'x'\nckpt; No space left on device\n"
        )

    monkeypatch.setattr(tf.train.Saver, "save", full)
    with pytest.raises(OutputError, match=r"step 16 could not be written \(ckpt; No space left"):
        train(config(records, run, steps=20))
    assert checkpoint_prefix(run, "latest").endswith("ckpt-12")
    assert not list(run.rglob("*.tempstate*"))
