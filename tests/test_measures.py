"""What a training shows: the columns of metrics.csv, its curves, the length in epochs, progress."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from matplotlib.figure import Figure
from runs import command, config, rows

from senet_kp.face.draw import GREEN, RED
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import read_picture
from senet_kp.input.crops import Crops, load_crops
from senet_kp.input.pipeline import Batch
from senet_kp.nets.tf1 import tf
from senet_kp.scoring.crossval import CrossvalConfig, _fold_training, fold_records
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train import progress as progress_module
from senet_kp.train.checkpoints import (
    checkpoint_prefix,
    read_settings,
    restored_session,
    run_images,
)
from senet_kp.train.config import check, recipe, with_steps
from senet_kp.train.graph import build_training_graph, loss_and_mae
from senet_kp.train.losses import mean_absolute_error
from senet_kp.train.measures import FORMATS, StepMeans, as_text, measures_of
from senet_kp.train.progress import Progress, _of_different_groups, _spread_evenly
from senet_kp.train.run_folder import RunFolder, differences
from senet_kp.train.run_pictures import PANELS, _add_epochs, write_curves
from senet_kp.train.training_curve import training_curve
from senet_kp.train.validation import Validation

# --- loss and error ---

# Two faces of five landmarks. On the first one only two landmarks are labelled, and every
# coordinate is off by 0.1; on the second one all are labelled, and off by 0.3.
TRUTH = np.full((2, 5, 2), 0.5, np.float32)
PREDICTED = np.float32([[[0.6, 0.4]] * 5, [[0.2, 0.8]] * 5])
MASK = np.float32([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
MAE = (4 * 0.1 + 10 * 0.3) / 14  # over coordinates
L1 = (0.1 + 0.3) / 2  # over faces


def test_the_mean_absolute_error_is_over_labelled_coordinates():
    with tf.Graph().as_default(), tf.Session() as session:
        flat = PREDICTED.reshape(2, 10)
        values = session.run(
            [
                mean_absolute_error(tf.constant(flat), TRUTH, MASK),
                mean_absolute_error(tf.constant(flat), TRUTH, 0 * MASK),
            ]
        )
    assert values == pytest.approx([MAE, 0])


@pytest.mark.parametrize(
    ("weights", "loss"), [(None, L1), ([1.0, 0.0, 0.0, 0.0, 0.0], L1), ([0, 0, 1.0, 0, 0], 0.15)]
)
def test_validation_has_the_landmark_loss_of_training_and_no_l2(weights, loss):
    """The third landmark is labelled on the second face only, whose loss of 0.3 counts as half."""
    manifest = {"mean_shape": TRUTH[0], "box": {"size_px": 64}}
    options = {"loss": "l1", "weight_decay": 10.0, "mirror_offsets": False}
    settings = dataclasses.replace(config(None, None), **options)
    images = np.zeros((2, 64, 64, 3), np.uint8)
    with tf.Graph().as_default(), tf.Session() as session:
        batch = Batch(*map(tf.constant, (images, TRUTH, MASK)), None, None, None, wait_s=0)
        graph = build_training_graph(batch, settings, manifest, weights)
        session.run(tf.global_variables_initializer())
        assert loss_and_mae(session, graph.val, PREDICTED, TRUTH, MASK) == (
            pytest.approx(loss),
            pytest.approx(MAE),
        )
        minimised, landmarks, each = session.run(
            [graph.loss, graph.landmark_loss, graph.sample_loss]
        )
    assert landmarks == pytest.approx(each.mean()) and minimised > landmarks + 1


@pytest.mark.parametrize(("loss", "factor"), [("l1", 64), ("mse", 64**2)])
def test_absolute_labels_are_in_pixels_of_the_input(loss, factor):
    """The loss of a picture 64 px wide is 64 times that in box widths, or 64 x 64 times if squared.

    Standardised labels have neither unit, so that nothing changes for plain_cnn.
    """
    manifest = {"mean_shape": TRUTH[0], "shape_spread": 0.1 + 0 * TRUTH[0], "box": {"size_px": 64}}
    images, losses = np.full((2, 64, 64, 3), 90, np.uint8), {}
    for net in ("senet_classic", "plain_cnn"):
        for labels in ("relative", "absolute"):
            settings = dataclasses.replace(
                config(None, None, net=net), loss=loss, labels=labels, mirror_offsets=False
            )
            with tf.Graph().as_default(), tf.Session() as session:
                batch = Batch(*map(tf.constant, (images, TRUTH, MASK)), None, None, None, wait_s=0)
                graph = build_training_graph(batch, settings, manifest)
                session.run(tf.global_variables_initializer())
                losses[net, labels] = loss_and_mae(session, graph.val, PREDICTED, TRUTH, MASK)
    for net, times in (("senet_classic", factor), ("plain_cnn", 1)):
        relative, absolute = losses[net, "relative"], losses[net, "absolute"]
        assert absolute[0] == pytest.approx(times * relative[0])
        assert absolute[1] == relative[1] == pytest.approx(MAE)  # the MAE is always in box widths


def test_absolute_labels_need_a_loss_without_a_width_of_its_own():
    with pytest.raises(UserError, match="--labels absolute: the shape of --loss wing"):
        check(config(None, None, loss="wing", labels="absolute"), IBUG68)


def test_a_run_of_before_absolute_labels_is_resumed():
    old = {"schedule": "cosine", "loss": "l1"}
    assert differences(old, old | {"labels": "relative"}) == ""
    assert "labels" in differences(old, old | {"labels": "absolute"})


def test_means_are_over_the_steps_since_the_row_before():
    means = StepMeans()
    for value in (1.0, 2.0, 6.0):
        means.add({"loss": value, "train_loss": 2 * value, "train_mae": np.float32(0.5)})
    assert means.take() == {"loss": 3, "train_loss": 6, "train_mae": 0.5}
    means.add({"loss": 8.0, "train_loss": 1.0, "train_mae": 0.25})
    assert means.take() == {"loss": 8, "train_loss": 1, "train_mae": 0.25}


def test_a_row_is_empty_where_a_validation_measured_nothing():
    result = Validation(faces=2, loss=0.125, mae=0.25)
    row = as_text({"step": 7} | measures_of(result, posed=True))
    assert row == {
        "step": "7",
        "val_loss": "0.125",
        "val_mae": "0.25",
        "val_nme": "",
        "val_pose_deg": "",
    }
    assert "val_pose_deg" not in measures_of(result, posed=False)


def test_a_run_has_the_values_of_its_checkpoint(uninterrupted, records):
    """senet_classic minimises the squared error. A row is written every four steps of four."""
    manifest = read_manifest(records)
    val = load_crops(records, manifest, "val")
    prefix = checkpoint_prefix(uninterrupted, "latest")
    with restored_session(read_settings(uninterrupted), manifest, prefix) as session:
        difference = run_images(session, val.images, prefix) - val.landmarks
    assert val.mask.all()
    *_, row = rows(uninterrupted)
    assert float(row["val_mae"]) == pytest.approx(np.abs(difference).mean(), rel=1e-3)
    assert float(row["val_loss"]) == pytest.approx((difference**2).mean(), rel=1e-3)
    pictures = manifest["sides"]["train"]["records"]
    assert float(row["epoch"]) == pytest.approx(12 * 4 / pictures, abs=1e-4)
    assert list(row) == [name for name in FORMATS if name != "val_pose_deg"]
    for row in rows(uninterrupted):
        assert 0 < float(row["train_loss"]) < float(row["loss"])  # which has L2 as well
        assert 0 < float(row["train_mae"]) < 1


# --- metrics.csv of earlier versions, and the curves ---

OLD = "step,images,minutes,learning_rate,loss,val_nme\n10,80,0.50,0.001,0.2,0.10\n"


def test_a_new_row_leaves_the_columns_of_an_older_table_in_place(tmp_path):
    (tmp_path / "metrics.csv").write_text(OLD + "20,160,0.90,0.001,0.1,\n")
    folder = RunFolder(tmp_path)
    assert folder.minutes == 0.9
    folder.discard_after(10)
    folder.add_metrics({"step": "20", "epoch": "2", "loss": "0.15", "val_mae": "0.05"})
    assert rows(tmp_path) == [
        {
            "step": "10",
            "epoch": "",
            "loss": "0.2",
            "val_mae": "",
            "images": "80",
            "minutes": "0.50",
            "learning_rate": "0.001",
            "val_nme": "0.10",
        },
        {
            "step": "20",
            "epoch": "2",
            "loss": "0.15",
            "val_mae": "0.05",
            "images": "",
            "minutes": "",
            "learning_rate": "",
            "val_nme": "",
        },
    ]
    curve = training_curve(tmp_path)
    assert (curve["step"], curve["epoch"], curve["val_mae"]) == ([10, 20], [None, 2], [None, 0.05])
    assert curve["train_loss"] == [None, None]


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss\n10,abc\n")
    with pytest.raises(InputError, match=r"metrics.csv: not a table of training metrics.*'abc'"):
        training_curve(tmp_path)


def test_curves_have_a_panel_of_each_kind_and_an_axis_in_epochs(tmp_path):
    assert {column for *_, lines in PANELS for column in lines} <= FORMATS.keys()
    (tmp_path / "metrics.csv").write_text(OLD)
    write_curves(tmp_path)  # without most of the columns
    old = read_picture(tmp_path / "curves.png")
    (tmp_path / "metrics.csv").write_text(
        "step,epoch,learning_rate,loss,train_loss,val_loss,train_mae,val_mae,val_nme\n"
        "10,2,0.001,0.3,0.2,0.1,0.05,0.04,0.10\n20,4,0.001,0.2,0.1,0.05,0.03,0.02,0.08\n"
    )
    write_curves(tmp_path)
    new = read_picture(tmp_path / "curves.png")
    assert old.shape == new.shape == (1000, 700, 3)
    orange = (255, 127, 14)  # Matplotlib's, of the validation side
    counts = [(np.abs(p - np.int16(orange)).max(axis=2) < 20).sum() for p in (old, new)]
    assert 0 < counts[0] < counts[1]


def test_the_axis_at_the_top_is_in_epochs():
    """20 steps are 4 epochs, so 100 steps are 20."""
    figure = Figure()
    axes = figure.subplots()
    axes.set_xlim(0, 100)
    _add_epochs(axes, {"step": [10, 20], "epoch": [2, 4]})
    figure.draw_without_rendering()
    (top,) = axes.child_axes
    assert top.get_xlim() == pytest.approx((0, 20)) and top.get_xlabel() == "epoch"
    without = Figure().subplots()
    _add_epochs(without, {"step": [10, 20], "epoch": [None, None]})
    assert not without.child_axes


# --- the length in epochs ---


@pytest.mark.parametrize(
    ("epochs", "pictures", "batch_size", "steps"),
    [(3, 10, 4, 8), (2, 10, 4, 5), (0.5, 10, 4, 2), (0.001, 10, 4, 1), (1.1, 1000, 11, 100)],
)
def test_epochs_are_rounded_up_to_whole_steps(epochs, pictures, batch_size, steps):
    start = dataclasses.replace(recipe("senet"), epochs=epochs, batch_size=batch_size)
    resolved = with_steps(start, pictures)
    assert (resolved.steps, resolved.epochs) == (steps, 0)
    assert with_steps(resolved, 7 * pictures) == resolved


@pytest.mark.parametrize("epochs", [-1.0, float("nan"), float("inf")])
def test_epochs_out_of_range_are_refused(epochs):
    with pytest.raises(UserError, match="--epochs must be above 0"):
        with_steps(dataclasses.replace(recipe("senet"), epochs=epochs), 10)


def test_steps_and_epochs_together_are_refused(records, tmp_path):
    result = run_module(*command(records, tmp_path / "run", "--epochs", "2"))
    assert_one_line_error(result, 2, "--steps 12 and --epochs 2", "leave one of them out")
    assert not (tmp_path / "run").exists()


def test_a_run_in_epochs_is_resumed_with_the_same_steps(records, tmp_path, capsys):
    """Half an epoch of the training pictures, in steps of four."""
    from senet_kp.train.loop import train

    pictures = read_manifest(records)["sides"]["train"]["records"]
    steps = -(-pictures // 8)
    options = {"steps": recipe("senet_classic").steps, "max_minutes": 1e-4}
    assert train(config(records, tmp_path / "run", epochs=0.5, **options)) == 0
    assert f"from step 0 to {steps} ({4 * steps / pictures:.4g} epochs)" in capsys.readouterr().out
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (settings["steps"], settings["epochs"]) == (steps, 0)
    assert train(config(records, tmp_path / "run", steps=steps, max_minutes=1e-4)) == 0
    assert [row["step"] for row in rows(tmp_path / "run")] == ["1", "2"]


def test_every_fold_has_steps_of_its_own(records, tmp_path):
    settings = {**vars(recipe("senet_classic")), "records": records, "out": tmp_path}
    folds = CrossvalConfig(**settings | {"epochs": 3.0, "batch_size": 1, "folds": 3})
    for fold in range(2):
        path = tmp_path / f"{fold}"
        pictures = fold_records(folds, fold, path)["sides"]["train"]["records"]
        training = _fold_training(folds, path, tmp_path / "run")
        assert (training.steps, training.epochs) == (3 * pictures, 0)


def test_pictures_every_epochs_must_not_be_negative():
    with pytest.raises(UserError, match="--pictures-every-epochs must be at least 0"):
        check(dataclasses.replace(recipe("senet"), pictures_every_epochs=-1.0), IBUG68)


# --- the predictions over time ---


def faces(groups="abcabc", size_px=32):
    """Grey faces whose landmarks are all in the centre; the first face knows none of them."""
    count = len(groups)
    mask = np.ones((count, 68), bool)
    mask[0] = False
    return Crops(
        images=np.full((count, size_px, size_px, 3), 128, np.uint8),
        landmarks=np.full((count, 68, 2), 0.5, np.float32),
        mask=mask,
        pose_deg=np.full((count, 3), np.nan, np.float32),
        affine=np.zeros((count, 2, 3)),
        names=[f"face{index}" for index in range(count)],
        groups=list(groups),
        subsets=["x"] * count,
        tags=[()] * count,
    )


def progress(run, crops=None, epochs_per_step=0.1):
    return Progress(run, crops or faces(), IBUG68, epochs_per_step)


def steps_of(run):
    return [each["step"] for each in json.loads((run / "progress.json").read_text())["snapshots"]]


def is_red(picture):
    return (np.abs(picture - np.int16(RED)).max(axis=2) < 30).any()


def test_faces_are_of_as_many_groups_as_possible():
    assert _of_different_groups(list("aabbc"), 3) == [0, 2, 4]
    assert _of_different_groups(list("aaab"), 3) == [0, 1, 3]
    assert _of_different_groups([], 3) == []


def test_columns_are_evenly_spaced_with_the_first_and_the_last():
    def spread(steps, count):
        return [each["step"] for each in _spread_evenly([{"step": s} for s in steps], count)]

    assert spread(range(0, 101, 10), 3) == [0, 50, 100]
    assert spread([1, 2, 3, 90, 100], 3) == [1, 90, 100]  # nearest to 1, 50.5 and 100
    assert spread([1, 2, 3], 3) == [1, 2, 3]


def test_the_strip_has_a_row_for_each_face_and_a_column_for_each_time(tmp_path):
    """Faces of 32 px are drawn four times as large, with gaps of 4 px, below captions of 40 px."""
    strip = progress(tmp_path)
    predicted = np.full((6, 68, 2), 0.25, np.float32)
    strip.add(10, predicted)
    strip.add(20, 3 * predicted)
    picture = read_picture(tmp_path / "progress.png")
    assert picture.shape == (40 + 5 * 132 + 4, 3 * 132 + 4, 3)
    cells = picture[44:, 4:].reshape(5, 132, 3, 132, 3).transpose(0, 2, 1, 3, 4)[:, :, :128, :128]
    for face in range(5):
        labels, first, second = cells[face]
        green = np.abs(labels[62:66, 62:66] - np.int16(GREEN)).max() < 30
        assert green == (face > 0)
        assert is_red(first[30:34, 30:34]) and not is_red(first[90:])
        assert is_red(second[94:98, 94:98]) and not is_red(second[:90])
    assert (picture[:40] < 100).any(axis=(0, 2)).reshape(-1, 4).any()  # captions


def test_a_resumed_strip_equals_an_uninterrupted_one(tmp_path):
    random = np.random.default_rng(0)
    points = {step: random.uniform(size=(6, 68, 2)).astype(np.float32) for step in range(1, 8)}
    (tmp_path / "whole").mkdir()
    (tmp_path / "part").mkdir()
    whole = progress(tmp_path / "whole")
    for step in points:
        whole.add(step, points[step])
    killed = progress(tmp_path / "part")
    for step in range(1, 6):
        killed.add(step, 0 * points[step] if step > 3 else points[step])
    resumed = progress(tmp_path / "part")  # from a checkpoint after step 3
    for step in range(4, 8):
        resumed.add(step, points[step])
    for name in ("progress.json", "progress.png"):
        first, second = ((tmp_path / run / name).read_bytes() for run in ("whole", "part"))
        assert first == second
    other = progress(tmp_path / "part", faces("ab"))
    other.add(9, points[1][:2])
    assert steps_of(tmp_path / "part") == [9]  # the former steps were of other faces


def test_a_column_is_due_once_in_every_n_epochs(tmp_path):
    """With 0.1 epochs a step, two epochs are 20 steps. Validations are every 15 steps."""
    strip, kept = progress(tmp_path), []
    for step in range(15, 121, 15):
        if strip.due(step, 2.0):
            strip.add(step, np.zeros((6, 68, 2)))
            kept.append(step)
        assert strip.due(step, 0.0)
    assert kept == steps_of(tmp_path) == [30, 45, 60, 90, 105, 120]


def test_a_long_training_keeps_a_limited_number_of_predictions(tmp_path, monkeypatch):
    monkeypatch.setattr(Progress, "picture", lambda self: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(progress_module, "KEPT", 8)
    strip = progress(tmp_path, faces("a"))
    for step in range(1, 10):
        strip.add(step, np.zeros((1, 68, 2)))
    assert steps_of(tmp_path) == [1, 4, 6, 9]  # nearest to 1, 3.67, 6.33 and 9
    strip.add(10, np.zeros((1, 68, 2)))
    assert steps_of(tmp_path) == [1, 4, 6, 9, 10]


def test_a_training_draws_its_strip(uninterrupted, records):
    val = min(read_manifest(records)["sides"]["val"]["records"], 5)
    assert steps_of(uninterrupted) == [4, 8, 12]
    assert read_picture(uninterrupted / "progress.png").shape == (44 + val * 132, 4 * 132 + 4, 3)
