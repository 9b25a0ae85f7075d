"""The benchmark of turned heads: errors by yaw, lost faces, and the sheet."""

import json
import shutil
import sys

import numpy as np
import pytest
from conftest import assert_one_line_error, face_points, prepared, run_module
from tables import make_aflw2000

from benchmarks import turned
from benchmarks.labelled import labelled_pictures
from senet_kp.data_prep.formats.face_sample import FaceLabel
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import read_picture
from senet_kp.face.pose import estimate_pose_deg
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.scoring.fingerprint_file import faces_of_folder, write_fingerprints


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Faces of dots, which no detector finds."""
    return make_aflw2000(tmp_path_factory.mktemp("turned") / "AFLW2000", (5, -45, 70, 95))


def test_errors_and_lost_faces_go_by_yaw_and_by_the_contour():
    """A jaw that is off by a tenth of the box, on faces of 100 px; one of the three is lost."""
    truth = np.random.default_rng(0).uniform(0, 100, (68, 2))
    truth[20:22] = (0, 0), (100, 100)
    label = FaceLabel(truth, np.ones(68, bool), np.zeros(3))
    predicted = np.stack([truth, truth, np.full((68, 2), np.nan)])
    predicted[0, list(IBUG68.contour), 0] += 10
    faces = [(None, label)] * 3
    all_points, inner = turned._rows(predicted, faces, np.array([10, 40, 80]), IBUG68)
    assert (all_points["points"], inner["points"]) == (68, 51)
    assert all_points["lost"] == inner["lost"] == {"0-30": 0, "30-60": 0, "60-90": 1}
    assert all_points["nme"]["0-30"] == pytest.approx(0.1 * 17 / 68)
    assert inner["nme"] == {"0-30": 0, "30-60": 0, "60-90": None, "mean": None}
    predicted[2] = truth + (0, 10)
    all_points, inner = turned._rows(predicted, faces, np.array([10, 40, 80]), IBUG68)
    assert all_points["nme"]["mean"] == pytest.approx((0.025 + 0 + 0.1) / 3)
    assert inner["nme"]["mean"] == pytest.approx(0.1 / 3)


def test_pose_errors_are_those_of_the_points_that_count():
    """A head turned by 40 degrees whose label says 45, and one whose label is out of range."""
    points = face_points((225, 225), 200, 40)
    sign = np.sign(estimate_pose_deg(points, np.ones(68), IBUG68)[1])
    labels = [
        FaceLabel(points, np.ones(68, bool), np.array([0, sign * yaw, 0])) for yaw in (45, 100)
    ]
    moved = points.copy()
    moved[list(IBUG68.contour)] += (30, 0)
    pitch, yaw, roll = turned._pose_errors_deg([moved, moved], labels, IBUG68, False)
    assert yaw == pytest.approx(5, abs=3) and pitch < 5 and roll < 5
    assert turned._pose_errors_deg([moved], labels[:1], IBUG68, True)[1] > yaw + 3
    assert turned._pose_errors_deg([moved], labels[1:], IBUG68, False) is None


def test_models_are_measured_and_drawn(data, tmp_path, capsys, monkeypatch):
    sheet = tmp_path / "turned.png"
    argv = f"turned {data} --detector dlib --models {PRETRAINED} {PRETRAINED} --sheet {sheet}"
    monkeypatch.setattr(sys, "argv", [*argv.split(), "--sheet-faces", "3"])
    turned.main()
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][1:]
    own, rows = rows[:2], rows[2:]
    assert [row[1:4] for row in rows] == 2 * [
        ["labels", "1", "68"],
        ["labels", "1", "51"],
        ["dlib", "2", "68"],
        ["dlib", "2", "51"],
    ]
    assert rows[0][4:] == rows[4][4:] and rows[0][-2] == "0 / 0 / 0"
    assert rows[2][4:] == ["-", "-", "-", "-", "1 / 1 / 1", "- |"]  # 95 degrees is in no bin
    assert [row[3:9] for row in own] == [[n, *["0.00%"] * 4, "0 / 0 / 0"] for n in ("68", "51")]
    # two rows of three faces
    gap, side = 4, turned.SIDE_PX
    assert read_picture(sheet).shape == (2 * (side + gap) + gap, 3 * (side + gap) + gap, 3)


def test_pictures_that_a_model_learned_are_left_out(data, tmp_path, capsys):
    """A model whose fingerprints are those of two of the four pictures."""
    records = tmp_path / "records"
    manifest, _ = prepared(data, records, test_share=0.5, val_share=0.0)
    card = json.loads(PRETRAINED.with_suffix(".json").read_text())
    shutil.copy(PRETRAINED, tmp_path / "own.pb")
    learned = {manifest["records_sha256"]: faces_of_folder(records, ("train",))}
    card |= write_fingerprints(tmp_path / "own.pb", learned)
    (tmp_path / "own.json").write_text(json.dumps(card))
    count = manifest["sides"]["train"]["records"]
    assert 0 < count < 4
    known = labelled_pictures(data, [PRETRAINED])
    rest = labelled_pictures(data, [PRETRAINED, tmp_path / "own.pb"])
    assert (len(known), len(rest)) == (4, 4 - count)
    assert f"{count} pictures that a model learned are left out" in capsys.readouterr().out


def test_arguments_that_cannot_be_measured_end_in_one_line(data, tmp_path):
    command = ("-m", "benchmarks.turned", data)
    assert_one_line_error(
        run_module(*command, "--label-looks", 0), 2, "--label-looks", "at least 1"
    )
    missing = run_module(*command, "--models", tmp_path / "none.pb")
    assert_one_line_error(missing, 4, "none.pb", "no such model file")
