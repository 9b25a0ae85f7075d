"""AFLW2000-3D: its two annotations, yaw bins, and records that are only for evaluation."""

import numpy as np
import pytest
import scipy.io
from conftest import ROOT, assert_one_line_error, face_points, run_module
from runs import config as training
from tables import make_aflw2000

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import aflw2000
from senet_kp.data_prep.prepare import prepare
from senet_kp.face.facebox import BoxRule
from senet_kp.face.metrics import balanced_mean
from senet_kp.report.__main__ import ReportConfig, write_report
from senet_kp.report.markup import percent
from senet_kp.report.page import page
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.scoring.scores import label_source, plain_values
from senet_kp.scoring.yaw_bins import yaw_bins_mean, yaw_in_no_bin, yaw_masks
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.verify import verify
from senet_kp.train.loop import train


def config(data, out, **options):
    options = {"format": ("aflw2000-3d",), "split": "official", "processes": 1, **options}
    return PrepareConfig(data=(data,), out=out, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_aflw2000(tmp_path_factory.mktemp("aflw") / "AFLW2000")


@pytest.fixture(scope="module")
def faces(data, tmp_path_factory):
    """The records of the folder, all on the test side."""
    out = tmp_path_factory.mktemp("aflw") / "records"
    prepare(config(data, out))
    return out


def read(source):
    given = source.label.read_bytes() if source.row is None else source.row
    return aflw2000.FORMAT.read_label(source, given, aflw2000.FORMAT.scheme)


# --- the format ---


def test_points_and_pose_are_those_of_the_mat(data):
    source = aflw2000.FORMAT.scan(data)[3]
    label = read(source)
    np.testing.assert_allclose(label.landmarks, face_points((225, 230), 200, 45, seed=3))
    np.testing.assert_allclose(label.pose_deg, [np.degrees(0.1), 45, np.degrees(-0.2)])
    assert (source.name, source.subset, source.official) == (
        "image00005.jpg",
        "AFLW2000-3D",
        "test",
    )


def test_corrected_points_go_by_the_order_of_names(data, tmp_path):
    for points in ("reannotated", f"reannotated={data / aflw2000.REANNOTATED}"):
        source = aflw2000.FORMAT.scan(data, points=points)[3]
        label = read(source)
        expected = face_points((225, 230), 200, 45, seed=3) + (0.5, 0)
        np.testing.assert_allclose(label.landmarks, expected, atol=1e-4)
        assert label.pose_deg[1] == pytest.approx(45)
    flat = np.load(data / aflw2000.REANNOTATED)[:, :2]
    np.save(tmp_path / "flat.npy", flat)
    again = aflw2000.FORMAT.scan(data, points=f"reannotated={tmp_path / 'flat.npy'}")[3]
    np.testing.assert_array_equal(read(again).landmarks, label.landmarks)


def test_the_archive_may_lie_one_folder_deeper(data, tmp_path):
    sources = aflw2000.FORMAT.scan(data.parent)
    assert sources[0].name == "AFLW2000/image00002.jpg" and sources[0].picture.is_file()
    assert aflw2000.FORMAT.recognises(data.parent) and aflw2000.FORMAT.recognises(data)
    assert not aflw2000.FORMAT.recognises(tmp_path)
    with pytest.raises(InputError, match="no labelled picture found"):
        aflw2000.FORMAT.scan(tmp_path)


@pytest.mark.parametrize(
    "values, words",
    [
        (None, "No such file"),
        (np.zeros((8, 4, 68)), r"\(8, 4, 68\), not"),
        (np.zeros((8, 2, 21)), "not .n, 2 or 3, 68."),
        (np.zeros((7, 2, 68)), "7 faces for 8 pictures"),
        (np.array([{}]), "not a readable array"),
    ],
)
def test_corrected_points_that_do_not_fit_are_refused(data, tmp_path, values, words):
    if values is not None:
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(InputError, match=words) as caught:
        aflw2000.FORMAT.scan(data, points=f"reannotated={tmp_path / 'a.npy'}")
    assert "a.npy" in str(caught.value)


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"pt2d": np.ones((2, 21))}, "no-points"),
        ({"pt3d_68": np.ones((3, 21))}, "point-count"),
        ({"pt3d_68": np.full((3, 68), np.nan)}, "not-finite"),
        (None, "missing"),
        (b"", "empty"),
        (b"no mat file", "bad-mat"),
    ],
)
def test_unusable_labels_have_a_reason(tmp_path, values, reason):
    root = make_aflw2000(tmp_path / "data", (0,))
    mat = root / "image00002.mat"
    mat.unlink()
    if isinstance(values, bytes):
        mat.write_bytes(values)
    elif values:
        scipy.io.savemat(mat, values)
    rule = CropRule(BoxRule(), 1.5, 95, aflw2000.FORMAT.scheme)
    rejected = crop_record(aflw2000.FORMAT.scan(root)[0], rule)
    assert rejected.reason == reason and "image00002.mat" in rejected.message


def test_a_file_without_a_pose_costs_only_the_yaw(tmp_path):
    root = make_aflw2000(tmp_path / "data", (0,))
    scipy.io.savemat(root / "image00002.mat", {"pt3d_68": np.ones((3, 68))})
    assert np.isnan(read(aflw2000.FORMAT.scan(root)[0]).pose_deg).all()


# --- records to evaluate on ---


def test_both_ways_to_an_evaluation_set_give_the_same_records(data, faces, tmp_path):
    manifest = prepare(config(data, tmp_path / "share", split="hash", test_share=1.0))
    official = read_manifest(faces)
    assert manifest["records_sha256"] == official["records_sha256"]
    counts = {side: values["records"] for side, values in official["sides"].items()}
    assert counts == {"train": 0, "val": 0, "test": 8} and not verify(faces)[0]
    assert official["detector_box"] is None, "measured on the train side alone"
    shapes = [record.landmarks for record in read_records(faces, official, "test")]
    np.testing.assert_allclose(official["mean_shape"], np.mean(shapes, axis=0), atol=1e-5)
    assert (faces / "contact_sheet.png").stat().st_size > 10_000


def test_the_manifest_says_which_points_they_are(data, faces, tmp_path):
    corrected = prepare(config(data, tmp_path / "out", points="reannotated"))
    assert label_source(read_manifest(faces)) == "AFLW2000 pt3d_68"
    assert label_source(corrected) == "AFLW2000 reannotated"
    named = config(data, tmp_path / "2", points=f"reannotated={data / aflw2000.REANNOTATED}")
    assert prepare(named)["records_sha256"] == corrected["records_sha256"]
    with pytest.raises(UserError, match="--points of aflw2000-3d must be pt3d_68 or reannotated"):
        prepare(config(data, tmp_path / "3", points="pts_2d"))


def test_no_training_on_them(faces, tmp_path):
    with pytest.raises(InputError, match="no face on the train side to train on; a set to eval"):
        train(training(faces, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    result = run_module("-m", "senet_kp.preview", "--records", faces, "--out", tmp_path / "a.png")
    assert_one_line_error(result, 3, str(faces), "no face on the train side")


# --- yaw bins ---


def test_bins_by_hand():
    yaw = np.array([0, 30, 30.1, 60, 60.5, 90, 90.5, np.nan])
    found = {name: np.flatnonzero(mask).tolist() for name, mask in yaw_masks(yaw).items()}
    assert found == {"0-30": [0, 1], "30-60": [2, 3], "60-90": [4, 5]}
    assert yaw_in_no_bin(yaw) == {"above_90": 1, "unknown": 1}
    nmes = np.array([0.02, 0.04, 0.05, 0.07, 0.09, 0.09, 9, 9])
    mean = yaw_bins_mean(nmes, yaw, np.arange(8), plain_values)
    assert mean == pytest.approx((0.03 + 0.06 + 0.09) / 3)
    assert yaw_bins_mean(nmes[:4], yaw[:4], np.arange(4), plain_values) is None
    assert balanced_mean([1, 2, 3], [0, 0, 2]) == 2.25


def test_scores_say_bins_and_labels(faces, tmp_path):
    options = {
        "model": ROOT / "export/pretrained/senet68.pb",
        "records": faces,
        "normaliser": "box",
    }
    result = run_module(
        "-m",
        "senet_kp.scoring.evaluate",
        *(f for k, v in options.items() for f in (f"--{k}", v)),
        "--json",
        tmp_path / "scores.json",
        "--ced",
        tmp_path / "ced.png",
        "--faces",
        tmp_path / "faces.png",
    )
    assert result.returncode == 0, result.stderr
    assert "labels AFLW2000 pt3d_68" in result.stdout
    assert "1 in no bin" in result.stdout and "mean of yaw bins" in result.stdout
    scores, _ = evaluate(EvaluateConfig(**options))
    bins = scores["yaw_bins"]
    assert {name: part["faces"] for name, part in bins.items()} == {
        "0-30": 3,
        "30-60": 2,
        "60-90": 2,
    }
    assert scores["yaw_bins_mean"] == pytest.approx(np.mean([p["nme"] for p in bins.values()]))
    assert scores["yaw_in_no_bin"] == {"above_90": 1, "unknown": 0}
    assert scores["yaw_estimated_from_points"] == 0


def test_the_report_shows_the_balanced_mean_and_attributes(faces, data, tmp_path):
    models = (ROOT / "export/pretrained/senet68.pb",)
    config = ReportConfig(
        models=models, records=faces, data=(data,), normaliser="box", out=tmp_path / "r.html"
    )
    numbers = write_report(config)
    model = numbers["models"][0]
    scores, _ = evaluate(EvaluateConfig(model=models[0], records=faces, normaliser="box"))
    mean = model["yaw_bins_mean"]
    assert mean["value"] == pytest.approx(scores["yaw_bins_mean"])
    assert mean["low"] < mean["value"] < mean["high"]
    html = config.out.read_text()
    assert percent(mean["value"]) in html and "Faces in no bin: 1 above 90." in html
    assert "Scores by attribute" not in html
    model["tags"] = {"blur": model["scores"]["all"]}
    html = page(numbers, dict.fromkeys(range(8), ""))
    assert "Scores by attribute" in html and "blur" in html


def test_a_damaged_header_of_the_corrected_points_is_named(tmp_path):
    root = make_aflw2000(tmp_path / "data")
    path = root / aflw2000.REANNOTATED
    whole = path.read_bytes()
    for start in range(0, 128, 4):
        path.write_bytes(whole[:start] + b"\0\0((" + whole[start + 4 :])
        with pytest.raises(InputError, match=path.name):
            aflw2000.FORMAT.scan(root, points="reannotated")
