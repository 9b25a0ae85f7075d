"""Training: the files that it writes, what it learns, and the errors that it reports."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from runs import command, config, rows, variables

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.prepare import prepare
from senet_kp.face.draw import GREEN, RED
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import read_picture
from senet_kp.input.augment import AugmentConfig
from senet_kp.input.crops import load_crops
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import CheckError, OutputError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train import setup, validation
from senet_kp.train.checkpoints import checkpoint_prefix
from senet_kp.train.log import TrainingLog
from senet_kp.train.loop import train


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
    assert {
        "train/loss",
        "train/learning_rate",
        "train/gradient_norm",
        "train/weight_norm",
        "train/landmark_loss",
        "train/mae",
        "train/epoch",
        "val/landmark_loss",
        "val/mae",
        "val/nme",
        "val/faces",
    } <= tags


def test_run_folder_shows_its_curves_and_its_predictions(run, records):
    """Faces of 128 px are drawn at twice their size, four per row, with gaps of 4 px."""
    faces = min(read_manifest(records)["sides"]["val"]["records"], 8)
    rows_of_faces = -(-faces // 4)
    expected = (rows_of_faces * 260 + 4, 4 * 260 + 4, 3)
    sheet = read_picture(run / "predictions.png")
    assert sheet.shape == expected
    red, green = (
        (np.abs(sheet - np.int16(colour)).max(axis=2) < 30).sum() for colour in (RED, GREEN)
    )
    assert red > 100 and green > 100  # points of both colours
    assert read_picture(run / "curves.png").shape == (1000, 700, 3)


def test_learning_rate_is_exponential_in_the_step(uninterrupted):
    for row in rows(uninterrupted):
        # The learning rate of step k is that of the schedule after k - 1 steps.
        expected = 1e-3 * 0.98 ** ((int(row["step"]) - 1) / 1000)
        assert float(row["learning_rate"]) == pytest.approx(expected, rel=1e-5)


def test_batch_norm_statistics_moved_with_every_step(uninterrupted):
    moved = {n: v for n, v in variables(uninterrupted).items() if n.endswith("moving_mean")}
    assert len(moved) == 20
    assert all(np.abs(value).max() > 1e-4 for value in moved.values())


def test_training_on_val_too_keeps_no_best_checkpoint_and_uses_the_latest(
    records, tmp_path, capsys
):
    run = tmp_path / "run"
    assert train(config(records, run, steps=2, train_on_val=True)) == 0
    sides = json.loads((records / "manifest.json").read_text())["sides"]
    every = sides["train"]["records"] + sides["val"]["records"]
    assert f"{every:,} pictures to train, 0 to validate" in capsys.readouterr().out
    (row,) = rows(run)
    assert [row[name] for name in ("val_loss", "val_mae", "val_nme")] == ["", "", ""]
    assert float(row["train_mae"]) > 0 and not (run / "progress.png").exists()
    assert not (run / "best").exists() and checkpoint_prefix(run, "best").endswith("latest/ckpt-2")


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
    assert_one_line_error(result, 3, copy, "altered", "senet-kp verify")


def test_non_finite_loss_stops_and_names_the_samples(records, tmp_path, monkeypatch):
    real = setup.training_batch

    def poisoned(*arguments):
        batch, initialise = real(*arguments)
        bad = tf.where(tf.range(4) < 1, tf.fill([4], np.nan), tf.zeros([4]))
        return dataclasses.replace(
            batch, landmarks=batch.landmarks + bad[:, None, None]
        ), initialise

    monkeypatch.setattr(setup, "training_batch", poisoned)
    with pytest.raises(CheckError) as caught:
        train(config(records, tmp_path / "run"))
    text = str(caught.value)
    assert text.startswith("step 1: the loss is nan, caused by the samples AFW/AFW_")
    assert text.count(".jpg") == 1


def test_a_collapse_to_the_mean_face_is_reported(records, tmp_path, monkeypatch, capsys):
    def mean_face(session, graph, images):
        return np.full((len(images), 68, 2), 0.5), None

    monkeypatch.setattr(validation, "predict", mean_face)
    train(config(records, tmp_path / "run", steps=1))
    assert "predicts the mean face for every picture" in capsys.readouterr().out


def test_wrong_flip_table_stops_before_step_1(records, tmp_path, monkeypatch):
    wrong = dataclasses.replace(IBUG68, flip=tuple(range(68)))
    monkeypatch.setattr(setup, "scheme_of", lambda manifest: wrong)
    with pytest.raises(CheckError, match="does not mirror the mean shape"):
        train(config(records, tmp_path / "run"))


def test_graph_does_not_grow_and_is_finalised(records, tmp_path, monkeypatch):
    sizes = []
    real = TrainingLog.step

    def counting(*arguments):
        sizes.append(len(tf.get_default_graph().get_operations()))
        assert tf.get_default_graph().finalized
        real(*arguments)

    monkeypatch.setattr(TrainingLog, "step", counting)
    train(config(records, tmp_path / "run", steps=6, log_every_steps=1))
    assert len(sizes) == 6 and len(set(sizes)) == 1


def test_memory_is_flat_over_500_steps(records, tmp_path, capsys):
    """A leak of 400 batches of two pictures would be 157 MB."""
    settings = config(
        records,
        tmp_path / "run",
        steps=500,
        batch_size=2,
        threads=2,
        log_every_steps=100,
        validate_every_steps=500,
    )
    assert train(settings) == 0
    peaks = [int(mb) for mb in re.findall(r"memory (\d+) MB", capsys.readouterr().out)]
    assert len(peaks) == 5
    assert peaks[4] - peaks[0] < 40


def test_it_can_overfit_a_handful_of_pictures(tree, tmp_path):
    """With all pictures in one batch and without augmentation, dropout and weight decay, the error
    falls far below that of predicting the mean face."""
    out = tmp_path / "records"
    options = {"detector_pictures": 0, "test_share": 0.6, "box": BoxRule(size_px=64)}
    manifest = prepare(PrepareConfig(data=(tree,), out=out, **options))
    crops = load_crops(out, manifest, "train")
    shares = (
        "flip",
        "rotation_deg",
        "stretch",
        "box_jitter",
        "brightness",
        "contrast",
        "gamma",
        "colour",
        "grey",
        "blur",
        "noise",
        "jpeg",
        "patches",
    )
    still = AugmentConfig(**dict.fromkeys(shares, 0.0))
    options = {
        "batch_size": len(crops),
        "weight_decay": 0.0,
        "dropout_keep": 1.0,
        "augment": still,
        "threads": 2,
    }
    train(config(out, tmp_path / "run", steps=200, validate_every_steps=10, **options))
    mean_face = crops.landmarks.var(axis=0).mean()
    assert float(rows(tmp_path / "run")[-1]["loss"]) < mean_face / 20


@pytest.mark.parametrize(
    "flags",
    [
        ["--steps", "0"],
        ["--net", "resnet"],
        ["--learning-rat", "1"],
        ["--dropout-keep", "0"],
    ],
)
def test_invalid_flags_exit_with_2(records, tmp_path, flags):
    result = run_module(*command(records, tmp_path / "run"), *flags)
    assert result.returncode == 2 and "Traceback" not in result.stderr


def test_missing_records_exit_with_3(tmp_path):
    result = run_module(*command(tmp_path / "none", tmp_path / "run"))
    assert_one_line_error(result, 3, "make tfrecords")


def test_a_checkpoint_that_cannot_be_written_is_reported_and_older_ones_are_kept(
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
