"""The predictor and the demo, as a user calls them."""

import json
import os
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import REAL_DATA, ROOT, assert_one_line_error, face_points, make_picture, run_module

from senet_kp.demo import results
from senet_kp.face.facebox import BoxRule, crop, face_box, to_absolute, to_relative
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import BadPicture, read_picture
from senet_kp.face.pose import estimate_pose_deg
from senet_kp.inference.box_transform import iou
from senet_kp.inference.looks import landmarks_near
from senet_kp.inference.model_card import read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import OWN, PRETRAINED, default_model, trained_on
from senet_kp.tfrecords.errors import ModelError, UserError

BOX = [120.0, 125.0, 240.0, 240.0]
PHOTO = REAL_DATA / "300W_pts" / "1051618982_1.jpg"


def demo(*arguments, **options):
    return run_module("demo.py", *arguments, **options)


@pytest.mark.parametrize("own", [False, True])
def test_the_users_own_graph_is_the_default(picture, boxes, model, tmp_path, own):
    """The first line names the graph that was run, and what it was trained on."""
    if own:
        (tmp_path / "out").mkdir()
        for path in (model, model.with_suffix(".json")):
            shutil.copy(path, tmp_path / "out" / f"senet{path.suffix}")
    result = subprocess.run(
        [sys.executable, ROOT / "demo.py", picture, "--boxes", boxes],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = (
        f"model: {OWN / 'senet.pb'}, trained on {trained_on(read_card(model))}"
        if own
        else f"model: {PRETRAINED}, trained on views and renders and AFLW21 and"
        " P1_Facial_Keypoints (27,296 faces)"
    )
    assert result.stderr.splitlines()[0] == expected


def test_training_data_in_words():
    records = {
        "sources": [{"folder": "a"}, {"folder": "b"}],
        "sides": {"train": {"records": 1200}, "val": {"records": 34}},
    }
    card = {"training": {"records": records, "settings": {}}}
    assert trained_on(card) == "a and b (1,200 faces)"
    card["training"]["settings"]["train_on_val"] = True
    assert trained_on(card) == "a and b (1,234 faces)"
    assert trained_on({}) == "data that its card does not name"


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "face.png"
    points = face_points((240, 245), 200)
    cv2.imwrite(str(path), make_picture(points)[:, :, ::-1])
    return path


@pytest.fixture(scope="module")
def boxes(picture):
    path = picture.with_name("boxes.json")
    path.write_text(json.dumps({picture.name: [BOX, [300, 300, 400, 400]]}))
    return path


def test_the_second_pass_looks_where_the_first_saw_the_face(picture):
    """Two scripted answers: the second crop is the first answer's face box, and it counts."""
    shown, box, rule = read_picture(picture), np.array([130.0, 120.0, 240.0, 240.0]), BoxRule()
    shape = to_relative(face_points((240, 245), 200), box)
    answers, crops = [shape, shape + 0.01], []

    def run(cut):
        crops.append(cut)
        return answers[len(crops) - 1]

    near, landmarks = landmarks_near(shown, box, run, rule)[:2]
    np.testing.assert_allclose(near, face_box(to_absolute(shape, box), rule))
    assert np.abs(near - box).max() > 1
    np.testing.assert_array_equal(crops[0], crop(shown, box, 128))
    np.testing.assert_array_equal(crops[1], crop(shown, near, 128))
    np.testing.assert_allclose(landmarks, to_absolute(shape + 0.01, near))


@pytest.mark.parametrize("passes, looks", [(1, 1), (2, 2), (4, 4)])
def test_the_network_looks_as_often_as_asked(picture, passes, looks):
    shape, crops = to_relative(face_points((240, 245), 200), [130, 120, 240, 240]), []

    def run(cut):
        crops.append(cut)
        return shape

    box = np.array([130.0, 120.0, 240.0, 240.0])
    landmarks_near(read_picture(picture), box, run, BoxRule(), passes)
    assert len(crops) == looks
    crops.clear()  # a box that the data set gave is not to be had from landmarks
    near, *_ = landmarks_near(read_picture(picture), box, run, BoxRule(source="label"), passes)
    assert len(crops) == 1 and near.tolist() == box.tolist()


def test_the_first_answer_stands_where_the_second_box_is_another():
    box, answers = [100.0, 100.0, 80.0, 80.0], []

    def run(crop):
        answers.append(len(answers))
        return np.random.default_rng(0).uniform(3, 5, (68, 2))  # far outside the box

    near, landmarks, _ = landmarks_near(np.zeros((300, 300, 3), np.uint8), box, run, BoxRule())
    assert answers == [0] and near.tolist() == box
    np.testing.assert_allclose(landmarks, run(None) * 80 + 100)


def test_boxes_json_and_drawing(model, picture, boxes, tmp_path):
    result = demo(picture, "--model", model, "--boxes", boxes, "--out", tmp_path, "--json", "-")
    assert result.returncode == 0, result.stderr
    line = json.loads(result.stdout)
    assert (line["source"], line["frame"]) == (str(picture), None)
    assert (line["width"], line["height"]) == (450, 450)
    assert [face["box"] for face in line["faces"]] == [BOX, [300, 300, 400, 400]]
    assert all(face["score"] is None for face in line["faces"])
    assert np.array(line["faces"][0]["landmarks"]).shape == (68, 2)
    drawn = cv2.imread(str(tmp_path / "face-landmarks.png"))
    changed = np.abs(drawn.astype(int) - cv2.imread(str(picture))).max(axis=2) > 30
    assert drawn.shape == (450, 450, 3) and 300 < changed.sum() < 20_000


def test_pose_is_written_and_its_axes_are_drawn(model, picture, boxes, tmp_path):
    flags = ("--model", model, "--boxes", boxes, "--json", "-")
    plain = demo(picture, *flags, "--out", tmp_path / "plain")
    posed = demo(picture, *flags, "--out", tmp_path / "posed", "--pose")
    assert posed.returncode == 0, posed.stderr
    faces = json.loads(posed.stdout)["faces"]
    landmarks = np.array(faces[0]["landmarks"])
    expected = estimate_pose_deg(landmarks, np.ones(68), IBUG68)
    np.testing.assert_allclose(faces[0]["pose"], expected, atol=0.1)
    assert [face.pop("pose") is not None for face in faces] == [True, True]
    assert faces == json.loads(plain.stdout)["faces"]
    drawn = [cv2.imread(str(tmp_path / f / "face-landmarks.png")) for f in ("plain", "posed")]
    assert (drawn[0] != drawn[1]).any()


def test_json_points_are_the_networks_output_in_pixels_of_the_picture(model, picture, boxes):
    predictor = LandmarkPredictor(model)
    face = predictor.predict(str(picture), [BOX])[0]
    by_hand = cv2.dnn.readNetFromTensorflow(str(model))
    cut = crop(read_picture(picture), BOX, 128)
    by_hand.setInput(cv2.dnn.blobFromImage(cut), "image")
    relative = by_hand.forward("landmarks").reshape(68, 2)
    np.testing.assert_allclose(face.landmarks, relative * 240 + (120, 125), atol=1e-3)
    other = LandmarkPredictor(model, "tensorflow").predict(read_picture(picture), [BOX])[0]
    assert np.abs(face.landmarks - other.landmarks).max() < 0.01 * 240 / 128


def test_opencv_backend_does_not_import_tensorflow(model, picture, boxes, tmp_path):
    code = (
        "import sys, runpy; sys.argv[0] = 'demo.py'\n"
        "try: runpy.run_path('demo.py', run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, 'tensorflow' in sys.modules, 'scipy' in sys.modules)"
    )
    result = run_module("-c", code, picture, "--model", model, "--boxes", boxes, "--out", tmp_path)
    assert result.stdout.strip() == "0 False False", result.stderr


def test_folder_writes_every_picture_and_one_json_line_each(model, picture, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(picture, folder / name)
    (folder / "broken.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    target = tmp_path / "points.jsonl"
    (tmp_path / "boxes.json").write_text(json.dumps({"a.png": [BOX], "b.png": []}))
    result = demo(
        folder,
        "--model",
        model,
        "--boxes",
        tmp_path / "boxes.json",
        "--out",
        tmp_path / "out",
        "--json",
        target,
    )
    assert_one_line_error(result, 3, "broken.jpg", "the file is empty")
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [len(line["faces"]) for line in lines] == [1, 0, 0]
    assert [line.get("error") for line in lines] == [None, None, "the file is empty"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a-landmarks.png",
        "b-landmarks.png",
    ]


def test_video_in_video_and_json_out(model, picture, tmp_path):
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), 10, (450, 450))
    for _ in range(5):
        writer.write(cv2.imread(str(picture)))
    writer.release()
    (tmp_path / "boxes.json").write_text(json.dumps({"clip.mp4": [BOX]}))
    result = demo(
        clip, "--model", model, "--boxes", tmp_path / "boxes.json", "--out", tmp_path, "--json", "-"
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(5))
    capture = cv2.VideoCapture(str(tmp_path / "clip-landmarks.mp4"))
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert frames == 5


def test_a_picture_without_a_face_is_no_error(model, tmp_path):
    cv2.imwrite(str(tmp_path / "grey.jpg"), np.full((300, 400), 128, np.uint8))
    result = demo(tmp_path / "grey.jpg", "--model", model, "--out", tmp_path, "--json", "-")
    assert result.returncode == 0 and "no face found" in result.stderr
    assert json.loads(result.stdout)["faces"] == []


@pytest.mark.skipif(not PHOTO.exists(), reason="needs the real faces beside the project")
def test_dlib_finds_the_face_and_its_box_is_mapped(model, tmp_path):
    result = demo(PHOTO, "--model", model, "--out", tmp_path, "--json", "-")
    assert result.returncode == 0, result.stderr
    faces = json.loads(result.stdout)["faces"]
    lines = PHOTO.with_suffix(".pts").read_text().splitlines()[3:71]
    points = np.array([line.split() for line in lines], float) - 1
    side = 1.2 * np.ptp(points, axis=0).max()
    box = [*((points.min(0) + points.max(0)) / 2 - side / 2), side, side]
    assert max(iou(face["box"], box) for face in faces) > 0.7
    assert all(face["score"] > 0 for face in faces)


# --- pictures of every kind ---


def save(path, picture, **options):
    cv2.imwrite(str(path), picture)
    return path


def test_grey_16_bit_and_alpha_pictures_become_rgb_bytes(tmp_path):
    rgb = make_picture(face_points((60, 60), 80), (120, 120))
    bgr = rgb[:, :, ::-1]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    deep = save(tmp_path / "deep.png", bgr.astype(np.uint16) * 257)
    alpha = save(tmp_path / "alpha.png", np.dstack([bgr, np.full((120, 120), 9, np.uint8)]))
    deep_grey = save(tmp_path / "deep_grey.png", grey.astype(np.uint16) * 257)
    for path, expected in (
        (deep, rgb),
        (alpha, rgb),
        (deep_grey, cv2.merge([grey] * 3)),
        (save(tmp_path / "grey.png", grey), cv2.merge([grey] * 3)),
    ):
        read = read_picture(path)
        assert read.dtype == np.uint8 and read.flags.c_contiguous
        assert np.abs(read.astype(int) - expected).max() <= 1, path.name


def test_exif_rotation_is_applied(tmp_path):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:10, :10] = 255  # top left
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    orientation_6 = bytes.fromhex(  # to be turned a quarter clockwise for display
        "ffe100224578696600004d4d002a00000008000101120003000000010006000000000000"
    )
    (tmp_path / "turned.jpg").write_bytes(data[:2] + orientation_6 + data[2:])
    read = read_picture(tmp_path / "turned.jpg")
    assert read.shape == (60, 40, 3)
    assert read[5, 35].min() > 200 and read[5, 5].max() < 50  # now top right


@pytest.mark.parametrize("cut", [1, 2, 100, 2000])
def test_truncated_jpeg_is_refused_whatever_is_missing(tmp_path, cut):
    data = cv2.imencode(".jpg", make_picture(face_points((100, 100), 120), (200, 200)))[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data[:-cut])
    with pytest.raises(BadPicture, match="truncated JPEG") as caught:
        read_picture(tmp_path / "a.jpg")
    assert caught.value.reason == "truncated"
    (tmp_path / "a.jpg").write_bytes(data + b"\0" * 30)  # what some cameras append is no harm
    assert read_picture(tmp_path / "a.jpg").shape == (200, 200, 3)


def test_face_at_the_edge_gets_points_too(model, picture):
    faces = LandmarkPredictor(model).predict(picture, [[-100, -80, 240, 240], [400, 400, 90, 90]])
    assert all(np.isfinite(face.landmarks).all() for face in faces)


# --- what can go wrong ---


def test_missing_and_unreadable_inputs(model, tmp_path):
    assert_one_line_error(demo(tmp_path / "no.jpg", "--model", model), 3, "no.jpg", "No such file")
    (tmp_path / "text.jpg").write_text("hello")
    assert_one_line_error(demo(tmp_path / "text.jpg", "--model", model), 3, "text.jpg")
    (tmp_path / "empty").mkdir()
    result = demo(tmp_path / "empty", "--model", model)
    assert_one_line_error(result, 3, tmp_path / "empty", "without pictures")
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    assert_one_line_error(demo(tmp_path / "clip.mp4", "--model", model), 3, "clip.mp4", "no frame")


def test_camera_that_is_not_there(model, tmp_path):
    result = demo("97", "--model", model, "--out", tmp_path)
    assert_one_line_error(result, 3, "97", "no frame could be read from this camera")


@pytest.mark.parametrize(
    "content, word",
    [
        ("{", "not readable"),
        ("[]", "not of the form"),
        ('{"a": [[1, 2, 3]]}', "squares"),
        ('{"a": [[1, 2, 30, 40]]}', "squares"),
        ('{"a": [[1, 2, "x", 3]]}', "squares"),
        ('{"a": [[%s, 2, 3, 3]]}' % ("9" * 400), "squares"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_unusable_boxes_exit_with_2(model, picture, tmp_path, content, word):
    (tmp_path / "boxes.json").write_text(content)
    result = demo(picture, "--model", model, "--boxes", tmp_path / "boxes.json")
    assert_one_line_error(result, 2, "boxes.json", word)


def test_unusable_models_exit_with_4(model, picture, tmp_path):
    assert_one_line_error(demo(picture, "--model", tmp_path / "no.pb"), 4, "make freeze")
    copy = tmp_path / "senet.pb"
    shutil.copy(model, copy)
    assert_one_line_error(demo(picture, "--model", copy), 4, "senet.json", "missing")
    shutil.copy(model.with_suffix(".json"), tmp_path)
    copy.write_bytes(model.read_bytes() + b" ")
    assert_one_line_error(demo(picture, "--model", copy), 4, "senet.pb", "altered")
    copy.with_suffix(".json").write_text("{}")
    assert_one_line_error(demo(picture, "--model", copy), 4, "not a model card")


@pytest.mark.parametrize("backend", ["opencv", "tensorflow"])
def test_a_pb_that_is_none_exits_with_4(model, picture, tmp_path, backend):
    import hashlib

    (tmp_path / "senet.pb").write_bytes(b"this is no graph")
    card = json.loads(model.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(b"this is no graph").hexdigest()
    (tmp_path / "senet.json").write_text(json.dumps(card))
    result = demo(picture, "--model", tmp_path / "senet.pb", "--backend", backend)
    assert_one_line_error(result, 4, "senet.pb", "frozen graph")


def test_no_place_to_write_exits_with_6(model, picture, boxes, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    result = demo(picture, "--model", model, "--boxes", boxes, "--out", tmp_path / "file" / "x")
    assert result.returncode == 6 and "Traceback" not in result.stderr


def test_unknown_flags_exit_with_2(picture):
    assert demo(picture, "--modell", "x").returncode == 2
    assert demo().returncode == 2


@pytest.mark.parametrize(
    "command, usage, example",
    [
        (("demo.py",), "usage: demo.py", "python demo.py photo.jpg"),
        (("-m", "senet_kp.demo.command"), "usage: senet-kp demo", "senet-kp demo photo.jpg"),
    ],
)
def test_help_names_the_command_that_was_called(command, usage, example):
    text = run_module(*command, "--help").stdout
    assert text.startswith(usage) and f"    {example} " in text


def test_show_without_a_window_opens_the_first_picture_in_the_viewer(
    model, picture, boxes, tmp_path, monkeypatch
):
    """Without a display there is no viewer either, which the message says."""
    seen, viewer = tmp_path / "seen", tmp_path / "xdg-open"
    viewer.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    run = (picture, picture, "--model", model, "--boxes", boxes, "--out", tmp_path, "--show")
    monkeypatch.delenv("DISPLAY", raising=False)
    result = demo(*run)
    assert result.returncode == 0 and "--show: " in result.stderr
    assert "no viewer of the system either" in result.stderr and not seen.exists()
    monkeypatch.setenv("DISPLAY", ":0")
    if results.no_window_reason() is None:
        pytest.skip("this OpenCV has windows")
    result = demo(*run)
    assert "opened in the system's viewer" in result.stderr
    for _ in range(50):  # the viewer is not waited for
        if seen.exists() and seen.read_text():
            break
        time.sleep(0.1)
    assert seen.read_text().splitlines() == [str(tmp_path / "face-landmarks.png")]


def test_the_original_stands_beside_the_drawn_picture(model, picture, boxes, tmp_path):
    flags = ("--model", model, "--boxes", boxes, "--out", tmp_path, "--beside")
    assert demo(picture, *flags).returncode == 0
    original, both = read_picture(picture), read_picture(tmp_path / "face-landmarks.png")
    width = original.shape[1]
    np.testing.assert_array_equal(both[:, :width], original)
    assert both.shape[1] == 2 * width and (both[:, width:] != original).any()


def test_the_default_is_the_graph_that_was_frozen_last(tmp_path, monkeypatch):
    """A graph without a card does not count."""
    monkeypatch.chdir(tmp_path)
    assert default_model() == PRETRAINED
    OWN.mkdir()
    for age, name in enumerate(("vgg16.pb", "senet.pb", "cardless.pb")):
        (OWN / name).touch()
        os.utime(OWN / name, (1000 + age, 1000 + age))
    for name in ("vgg16.json", "senet.json"):
        (OWN / name).touch()
    assert default_model() == OWN / "senet.pb"
    os.utime(OWN / "vgg16.pb", (2000, 2000))
    assert default_model() == OWN / "vgg16.pb"


def test_predictor_in_code_raises_what_it_documents(model, tmp_path):
    with pytest.raises(ModelError):
        LandmarkPredictor(tmp_path / "no.pb")
    with pytest.raises(UserError, match="no backend 'onnx'"):
        LandmarkPredictor(model, "onnx")
