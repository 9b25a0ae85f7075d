"""The whole path by its real command lines: rendered pictures to drawn points."""

import json

import cv2
import numpy as np
import pytest
from conftest import run_module

from senet_kp.inference.box_transform import iou
from senet_kp.tfrecords.shards import read_manifest


def run_command(*arguments):
    result = run_module(*arguments)
    assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"
    return result


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Everything that `make demo` leaves, in small."""
    out = tmp_path_factory.mktemp("out")
    run_command(
        "-m",
        "data_prep.sample_faces",
        "--out",
        out / "sample",
        "--count",
        96,
        "--views",
        2,
        "--processes",
        2,
    )
    run_command(
        "-m",
        "data_prep.prepare",
        "--data",
        out / "sample",
        "--out",
        out / "tfrecords",
        "--detector-pictures",
        30,
    )
    run_command("-m", "tfrecords.verify", out / "tfrecords")
    run_command(
        "-m",
        "senet_kp.train",
        "--records",
        out / "tfrecords",
        "--run",
        out / "run",
        "--steps",
        100,
        "--batch-size",
        16,
        "--bn-decay",
        0.9,
        "--decay-steps",
        2,
        "--validate-every-steps",
        30,
    )
    run_command(
        "-m",
        "export.freeze",
        "--run",
        out / "run",
        "--records",
        out / "tfrecords",
        "--out",
        out / "senet.pb",
    )
    run_command(
        "-m", "senet_kp.evaluate", "--model", out / "senet.pb", "--records", out / "tfrecords"
    )
    return out


def test_every_stage_leaves_what_the_readme_says(out):
    for name in (
        "sample/SAMPLE",
        "sample/landmarks/SAMPLE",
        "sample/contact_sheet.png",
        "tfrecords/manifest.json",
        "tfrecords/rejects.csv",
        "tfrecords/split.csv",
        "tfrecords/contact_sheet.png",
        "run/config.json",
        "run/metrics.csv",
        "run/latest",
        "run/best",
        "senet.pb",
        "senet.json",
        "senet.fingerprints",
        "senet-scores.json",
        "senet-ced.png",
        "senet-faces.png",
    ):
        assert (out / name).exists(), name
    assert not list(out.rglob("*.tmp*")), "nothing half-written is left"


def test_dlib_finds_the_rendered_faces_and_its_box_is_measured(out):
    box = read_manifest(out / "tfrecords")["detector_box"]
    assert box["pictures"] == 30 and box["found"] >= 12  # half of the views are turned away
    assert 0.7 < box["scale"] < 1.6 and abs(box["shift_x"]) < 0.15


def test_the_demo_draws_points_on_the_face(out):
    picture = out / "sample" / "SAMPLE" / "SAMPLE_00000_1_0.jpg"
    result = run_command(
        "demo.py", picture, "--model", out / "senet.pb", "--out", out / "demo", "--json", "-"
    )
    faces = json.loads(result.stdout)["faces"]
    assert len(faces) == 1
    truth = cv2.imread(str(picture))
    points = np.array(faces[0]["landmarks"])
    assert points.shape == (68, 2) and (points > -50).all() and (points < 500).all()
    extent = np.array([*points.min(0), *np.ptp(points, axis=0)])
    assert iou(extent, faces[0]["box"]) > 0.2, "100 steps find the face's place, if not its parts"
    drawn = cv2.imread(str(out / "demo" / "SAMPLE_00000_1_0-landmarks.jpg"))
    changed = np.abs(drawn.astype(int) - truth).max(axis=2) > 40
    assert changed.sum() > 500
