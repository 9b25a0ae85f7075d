"""Records in which no face has a label for some landmarks: each command reports it and succeeds."""

import csv
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import face_points, make_picture, prepared, run_module
from runs import config

from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import IBUG68
from senet_kp.report.numbers import _mean_face
from senet_kp.scoring.crossval import CrossvalConfig, crossval
from senet_kp.tfrecords.errors import InputError
from senet_kp.train.label_offsets import OffsetsConfig, learned_offsets
from senet_kp.train.loop import train


def records_without(region: str, root):
    """Records of 24 faces on which a region of the 68 landmarks is not labelled."""
    left_out = set(IBUG68.regions[region])
    header = ["picture", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
    with open(root / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        for face in range(24):
            points = face_points((70, 80), 80, seed=face)
            cv2.imwrite(str(root / f"{face:02}.png"), make_picture(points, (160, 140), face))
            cells = ["" if i in left_out else f"{v:.2f}" for i, p in enumerate(points) for v in p]
            table.writerow([f"{face:02}.png", *cells])
    prepared(root, root / "records", box=BoxRule(size_px=64))
    return root / "records"


@pytest.fixture(scope="module")
def without_jaw(tmp_path_factory):
    """Such records, and a run on them."""
    root = tmp_path_factory.mktemp("jaw")
    records = records_without("jaw", root)
    assert train(config(records, root / "run", net="plain_cnn", steps=4)) == 0
    return records, root / "run"


def test_evaluate_and_report_name_a_region_without_labels(without_jaw, tmp_path):
    records, run = without_jaw
    flags = ["--records", records, "--json", tmp_path / "s.json", "--ced", tmp_path / "c.png"]
    result = run_module("-m", "senet_kp.scoring.evaluate", "--model", run, *flags)
    assert result.returncode == 0, result.stderr
    line = next(line for line in result.stdout.splitlines() if line.split()[0] == "jaw")
    assert line.split(maxsplit=1)[1] == "no labelled faces"
    page = tmp_path / "report.html"
    result = run_module(
        *("-m", "senet_kp.report", "--models", run, "--records", records, "--out", page)
    )
    assert result.returncode == 0, result.stderr
    assert page.read_text().count("no labelled faces") == 1


def test_the_offsets_of_landmarks_without_labels_are_not_known(without_jaw):
    records, run = without_jaw
    (kind,) = learned_offsets(OffsetsConfig(run=run, records=records)).values()
    (offsets,) = kind.values()
    unknown = np.isnan(offsets).all(axis=1)
    assert np.flatnonzero(unknown).tolist() == list(IBUG68.regions["jaw"])


def test_a_cross_validation_without_eye_corners_ends_before_it_trains(tmp_path):
    settings = config(records_without("eyes", tmp_path), tmp_path / "out", net="plain_cnn")
    options = {name: value for name, value in vars(settings).items() if name != "run"}
    with pytest.raises(InputError, match="fold-0/records: none of the .* outer eye corners"):
        crossval(CrossvalConfig(**options, folds=2, out=tmp_path / "out"))
    assert not list(tmp_path.glob("out/*/run"))


def test_a_mean_face_without_eye_corners_has_no_length():
    """The training faces may lack landmarks that the scored faces have."""
    faces = SimpleNamespace(manifest={"mean_shape": np.full((68, 2), 0.5)}, scheme=IBUG68)
    assert _mean_face(faces, "inter-ocular")["length"] == 0
