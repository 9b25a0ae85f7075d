"""Kaggle's table: pictures as text, points that are missing, and what training makes of them."""

import csv

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from runs import assert_equal_to_the_bit, config
from runs import rows as rows_of
from tables import FEW, KAGGLE_FACE, kaggle_row, make_kaggle, write_table

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import kaggle
from senet_kp.data_prep.prepare import prepare
from senet_kp.export.freeze import FreezeConfig, freeze
from senet_kp.face.draw import GREEN
from senet_kp.face.facebox import BoxRule
from senet_kp.face.pictures import BadPicture, grey_picture, read_picture
from senet_kp.inference.backends import OpenCVBackend
from senet_kp.input.augment import AugmentConfig
from senet_kp.input.crops import load_crops
from senet_kp.input.pipeline import InputConfig, training_batch
from senet_kp.nets.tf1 import tf
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.sides import SIDES
from senet_kp.tfrecords.verify import verify
from senet_kp.train.loop import train

WHOLE = BoxRule(source="label", scale=1, size_px=96)
STILL = AugmentConfig(flip=0, rotation_deg=0, stretch=0, box_jitter=0, patches=0)


def prepared(data, out, **options):
    options = {"box": WHOLE, "context": 1.0, "detector_pictures": 0, "processes": 1, **options}
    return prepare(PrepareConfig(data=(data,), out=out, format=("kaggle",), **options))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_kaggle(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def faces(data, tmp_path_factory):
    """The table's record folder."""
    out = tmp_path_factory.mktemp("kaggle") / "records"
    prepared(data, out, val_share=0.25)
    return out


def read(source):
    return kaggle.FORMAT.read_label(source, source.row, kaggle.FORMAT.scheme)


def test_the_command_line_needs_no_settings(data, tmp_path):
    """The whole picture is the box, at its own size, grey; flags still change the defaults."""
    for name, flags, size_px in (("a", (), 96), ("b", ("--box.size-px", 64), 64)):
        out = tmp_path / name
        run = ("--data", data, "--out", out, "--detector-pictures", 0, *flags)
        result = run_module("-m", "senet_kp.data_prep.prepare", *run)
        assert result.returncode == 0, result.stderr
        assert f"face box: 1 times the box of the label, {size_px}x{size_px} px, context 1\n" in (
            result.stdout
        )
        manifest = read_manifest(out)
        assert manifest["stored_px"] == size_px
        crops = load_crops(out, manifest, "train")
        assert (crops.affine == [[96, 0, -0.5], [0, 96, -0.5]]).all()
        assert (crops.images == crops.images[..., :1]).mean() > 0.99


# --- the format ---


def test_points_of_a_row_are_known_or_missing(data):
    whole, few = (read(source) for source in kaggle.FORMAT.scan(data)[:2])
    moved = np.random.default_rng(0).normal(0, 2, 2)
    np.testing.assert_allclose(whole.landmarks, KAGGLE_FACE + moved, atol=1e-6)
    assert whole.mask.all() and np.flatnonzero(few.mask).tolist() == FEW
    assert (few.landmarks[~few.mask] == 0).all() and np.isnan(few.pose_deg).all()
    assert whole.box.tolist() == [-0.5, -0.5, 96, 96]


def test_the_picture_is_its_cell_of_the_table(data):
    source = kaggle.FORMAT.scan(data)[7]
    text = source.picture.read_bytes()[source.cell.offset :][: source.cell.length]
    assert text.decode() == kaggle_row(7)[-1]
    picture = grey_picture(text, source.cell.width_px, "row 7")
    assert (
        picture.shape == (96, 96, 3)
        and " ".join(map(str, picture[..., 1].ravel())) == (kaggle_row(7)[-1])
    )


@pytest.mark.parametrize("end, quote", [("\r\n", ""), ("\n", '"')])
def test_line_ends_and_quotes_do_not_matter(tmp_path, end, quote):
    row = kaggle_row(0)
    lines = [",".join((*kaggle.FEATURES, "Image")), ",".join([*row[:-1], quote + row[-1] + quote])]
    (tmp_path / kaggle.TABLE).write_bytes(("\ufeff" + end.join(lines) + end).encode())
    (source,) = kaggle.FORMAT.scan(tmp_path)
    cell = source.cell
    assert source.picture.read_bytes()[cell.offset :][: cell.length].decode() == row[-1]
    assert read(source).mask.all()


def test_equal_pictures_are_one_group(tmp_path):
    again = [*kaggle_row(1)[:-1], kaggle_row(0)[-1]]
    write_table(tmp_path / kaggle.TABLE, [kaggle_row(0), kaggle_row(1), again])
    first, other, twin = kaggle.FORMAT.scan(tmp_path)
    assert first.group == twin.group != other.group
    assert len({first.name, other.name, twin.name}) == 3
    survey = kaggle.FORMAT.survey(tmp_path, [first, other, twin])
    assert "3 pictures, 2 of them different" in survey[0]


def test_a_whole_picture_is_stored_as_it_is(data):
    source = kaggle.FORMAT.scan(data)[0]
    rule = CropRule(WHOLE, 1.0, 100, kaggle.FORMAT.scheme)
    cropped = crop_record(source, rule)
    np.testing.assert_allclose(cropped.relative * 96 - 0.5, read(source).landmarks, atol=1e-4)


def changed(column, value):
    row = kaggle_row(0)
    row[column] = value
    return row


@pytest.mark.parametrize(
    "row, reason",
    [
        (changed(3, "left"), "not-numbers"),
        (changed(3, "inf"), "not-finite"),
        (changed(3, "nan"), "not-finite"),
        (changed(3, "90000"), "far-point"),
        (kaggle_row(0)[1:], "point-count"),
        (["", *kaggle_row(0)], "point-count"),
        (kaggle_row(0, known=()), "no-points"),
        (changed(30, "1 2 3"), "pixel-count"),
        (changed(30, kaggle_row(0)[-1] + " 7"), "pixel-count"),
        (changed(30, ""), "pixel-count"),
        (changed(30, "300 " * 9216), "unreadable"),
        (changed(30, "x " * 9216), "unreadable"),
    ],
)
def test_unusable_rows_have_a_reason_and_are_named(tmp_path, row, reason):
    write_table(tmp_path / kaggle.TABLE, [kaggle_row(5), row])
    rule = CropRule(WHOLE, 1.0, 95, kaggle.FORMAT.scheme)
    rejected = crop_record(kaggle.FORMAT.scan(tmp_path)[1], rule)
    assert rejected.reason == reason and "training.csv: training.csv#0002: " in rejected.message


@pytest.mark.parametrize("values", [("-1", "-1"), ("", ""), ("", "5"), ("0", "0")])
def test_values_that_stand_for_a_missing_point(tmp_path, values):
    row = kaggle_row(0)
    row[4:6] = row[8:10] = values
    write_table(tmp_path / kaggle.TABLE, [row])
    label = read(kaggle.FORMAT.scan(tmp_path)[0])
    assert np.flatnonzero(~label.mask).tolist() == [2, 4]
    assert (label.landmarks[[2, 4]] == 0).all()


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"a,b,c\n1,2,3\n", "3 columns, not 31"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ((",".join(kaggle.FEATURES) + ",Image\n").encode(), "contains no picture"),
        (
            (",".join(kaggle.FEATURES[::-1]) + ",Image\n").encode(),
            "'mouth_center_bottom_lip_y' instead of 'left_eye_center_x'",
        ),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / kaggle.TABLE).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        kaggle.FORMAT.scan(tmp_path)
    assert str(tmp_path / kaggle.TABLE) in str(caught.value)


def test_only_its_own_table_is_recognised(data, tmp_path):
    assert kaggle.FORMAT.recognises(data) and not kaggle.FORMAT.recognises(tmp_path)


def test_a_broken_number_is_no_picture():
    with pytest.raises(BadPicture, match="row 3: grey values outside"):
        grey_picture(b"-1 0 0 0", 2, "row 3")


# --- the records ---


def test_every_row_counts_and_the_manifest_counts_the_complete_ones(data, faces):
    manifest = read_manifest(faces)
    known = {side: [r.mask for r in read_records(faces, manifest, side)] for side in SIDES}
    assert sum(map(len, known.values())) == 66 and manifest["rejects"] == 0
    for side in SIDES:
        complete = sum(bool(mask.all()) for mask in known[side])
        assert manifest["sides"][side]["complete"] == complete > 0
    assert sum(side["complete"] for side in manifest["sides"].values()) == 22
    problems, counted = verify(faces)
    assert not problems and counted["train"]["records"] == len(known["train"])


def test_the_mean_shape_is_of_the_faces_that_know_a_point(data, faces):
    manifest = read_manifest(faces)
    brow = [r.landmarks[6] for r in read_records(faces, manifest, "train") if r.mask[6]]
    np.testing.assert_allclose(manifest["mean_shape"][6], np.mean(brow, axis=0), atol=1e-5)


# --- training ---


def batches(faces, steps, start=0, missing="mask", batch_size=4):
    """Names, landmarks and masks of a pipeline's steps."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = InputConfig(faces, batch_size=batch_size, augment=STILL, missing=missing)
        batch, initialise = training_batch(inputs, read_manifest(faces), start)
        session.run(initialise)
        fetches = (batch.name, batch.landmarks, batch.mask)
        return [session.run(fetches) for _ in range(steps)]


def records_of(faces):
    return {r.name: r for r in read_records(faces, read_manifest(faces), "train")}


def test_mask_keeps_every_face_and_its_mask(faces):
    records = records_of(faces)
    names, landmarks, masks = batches(faces, 1, batch_size=len(records))[0]
    assert {name.decode() for name in names} == set(records)
    for name, points, mask in zip(names, landmarks, masks, strict=True):
        record = records[name.decode()]
        np.testing.assert_array_equal(mask, record.mask)
        known = mask > 0
        np.testing.assert_allclose(points[known], record.landmarks[known], atol=1e-6)


def test_mean_fills_with_the_mean_shape_and_counts_it(faces):
    records, mean = records_of(faces), np.array(read_manifest(faces)["mean_shape"])
    names, landmarks, masks = batches(faces, 1, missing="mean", batch_size=len(records))[0]
    assert (masks == 1).all()
    for name, points in zip(names, landmarks, strict=True):
        record = records[name.decode()]
        expected = np.where(record.mask[:, None] > 0, record.landmarks, mean)
        np.testing.assert_allclose(points, expected, atol=1e-6)


def test_drop_leaves_the_others_out_and_resumes_in_its_own_order(faces):
    records = records_of(faces)
    complete = {name for name, record in records.items() if record.mask.all()}
    count = read_manifest(faces)["sides"]["train"]["complete"]
    assert len(complete) == count < len(records)
    whole = [name.decode() for names, *_ in batches(faces, 20, missing="drop") for name in names]
    for epoch in range(80 // count):
        assert set(whole[epoch * count : (epoch + 1) * count]) == complete
    for start in (1, 7):
        rest = batches(faces, 20 - start, start, "drop")
        assert [name.decode() for names, *_ in rest for name in names] == whole[4 * start :]


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory):
    """A training that leaves incomplete faces out."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    assert train(config(faces, folder, steps=6, missing="drop")) == 0
    return folder


def test_a_run_that_drops_resumes_to_the_last_bit(faces, run, tmp_path):
    options = {"missing": "drop", "steps": 6}
    assert train(config(faces, tmp_path / "part", **options, max_minutes=1e-4)) == 0
    assert train(config(faces, tmp_path / "part", **options)) == 0
    assert_equal_to_the_bit(tmp_path / "part", run)


def test_mask_and_mean_train_too(faces, tmp_path):
    for missing in ("mask", "mean"):
        assert train(config(faces, tmp_path / missing, steps=2, missing=missing)) == 0


def test_where_no_face_is_complete_dropping_is_refused_and_nothing_is_validated(tmp_path, capsys):
    rows = [kaggle_row(index, FEW) for index in range(20)]
    write_table(tmp_path / "data" / kaggle.TABLE, rows)
    prepared(tmp_path / "data", tmp_path / "records")
    with pytest.raises(InputError, match="no face that has all its landmarks"):
        train(config(tmp_path / "records", tmp_path / "run", missing="drop"))
    assert not (tmp_path / "run").exists()
    assert train(config(tmp_path / "records", tmp_path / "run", steps=1)) == 0
    assert "val faces has both outer eye corners" in "".join(capsys.readouterr())
    assert rows_of(tmp_path / "run")[-1]["val_nme"] == ""


# --- scores and submission ---


@pytest.fixture(scope="module")
def model(faces, run, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "kaggle.pb"
    freeze(FreezeConfig(run=run, records=faces, out=path))
    return path


def test_rmse_is_of_all_known_coordinates_in_pixels(faces, model):
    result, _ = evaluate(EvaluateConfig(model=model, records=faces))
    crops, engine = (
        load_crops(faces, read_manifest(faces), "test"),
        OpenCVBackend(model.read_bytes()),
    )
    predicted = np.array([engine(image) for image in crops.images])
    squares = (96 * (predicted - crops.landmarks)[crops.mask]) ** 2
    assert result["rmse_px"] == pytest.approx(np.sqrt(squares.mean()), rel=1e-6)
    assert result["box_source"] == "label"
    assert result["faces"] == crops.mask[:, 3].sum() and result["faces_not_scored"] > 0
    assert result["faces"] + result["faces_not_scored"] == len(crops)
    assert result["yaw_in_no_bin"] == {"above_90": 0, "unknown": result["faces"]}
    assert result["yaw_bins_mean"] is None and result["yaw_estimated_from_points"] == 0


def lookup(path, asked):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("RowId", "ImageId", "FeatureName", "Location"), *asked])


def test_the_submission_holds_what_was_asked_for(model, tmp_path):
    write_table(
        tmp_path / "test.csv", [[i, kaggle_row(i)[-1]] for i in (1, 2, 3)], ("ImageId", "Image")
    )
    lookup(
        tmp_path / "look.csv",
        [
            (1, 1, "left_eye_center_x", ""),
            (2, 3, "nose_tip_y", ""),
            (9, 3, "mouth_left_corner_x", ""),
        ],
    )
    command = [
        "-m",
        "data_prep.kaggle_submission",
        "--model",
        model,
        "--test",
        tmp_path / "test.csv",
        "--out",
        tmp_path / "out.csv",
        "--lookup",
    ]
    result = run_module(*command, tmp_path / "look.csv")
    assert result.returncode == 0, result.stderr
    engine = OpenCVBackend(model.read_bytes())
    first, third = (
        (engine(grey_picture(kaggle_row(i)[-1].encode(), 96, i)) * 96 - 0.5).clip(0, 96)
        for i in (1, 3)
    )
    with open(tmp_path / "out.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["RowId", "Location"] and [row[0] for row in rows] == ["1", "2", "9"]
    expected = [first[0, 0], third[10, 1], third[11, 0]]
    np.testing.assert_allclose([float(row[1]) for row in rows], expected, atol=2e-3)
    sheet = read_picture(tmp_path / "out.png")  # pictures 1 and 3, twice their size
    assert sheet.shape == (192 + 8, 4 * 196 + 4, 3)
    assert [bool((sheet[:, x : x + 192] == GREEN).all(2).any()) for x in (4, 200, 396)] == [
        True,
        True,
        False,
    ]
    lookup(tmp_path / "look.csv", [(1, 7, "left_eye_center_x", "")])
    assert_one_line_error(run_module(*command, tmp_path / "look.csv"), 3, "no ImageId 7")
    lookup(tmp_path / "look.csv", [(1, 1, "chin_x", "")])
    assert_one_line_error(run_module(*command, tmp_path / "look.csv"), 3, "row 1", "'chin_x'")


def test_another_models_graph_is_refused(tmp_path):
    lookup(tmp_path / "look.csv", [(1, 1, "nose_tip_x", "")])
    result = run_module(
        "-m",
        "data_prep.kaggle_submission",
        "--lookup",
        tmp_path / "look.csv",
        "--model",
        "export/pretrained/senet68.pb",
    )
    assert_one_line_error(result, 4, "senet68.pb", "does not predict kaggle15")
