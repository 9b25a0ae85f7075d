"""YuNet's file is the user's; these tests make networks with its inputs and outputs."""

import json

import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, run_module
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats.pts import write_pts
from senet_kp.data_prep.prepare import prepare
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.known_schemes import CELEBA5, DLIB5, IBUG68, KAGGLE15, WFLW98
from senet_kp.face.pictures import read_picture, write_picture
from senet_kp.inference import yunet
from senet_kp.inference.face_detector import FaceDetector
from senet_kp.inference.model_card import read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.yunet import YuNetDetector, anchors_in, mean_face_box
from senet_kp.tfrecords.errors import ModelError
from senet_kp.tfrecords.files import sha256_of_file

onnx = pytest.importorskip("onnx")
PRETRAINED = ROOT / "export" / "pretrained" / "senet68.pb"
MEAN = np.array(read_card(PRETRAINED)["mean_shape"])
STRIDES = (8, 16, 32)


def write_yunet(path, points, side):
    """A network that finds a face wherever a cell of 8x8 px is red.

    points [5, 2]: eyes, nose, mouth's corners, pixels from that cell's corner; side: of its box.
    """
    helper, nodes, weights, outputs = onnx.helper, [], [], []
    for stride in STRIDES:
        red = [0.2, -20.0] if stride == STRIDES[0] else [0.0, -20.0]  # per grey level; otherwise
        nodes.append(
            helper.make_node(
                "AveragePool",
                ["input"],
                [f"mean{stride}"],
                kernel_shape=[stride] * 2,
                strides=[stride] * 2,
            )
        )
        size = np.log(side / stride)
        for name, weight, bias in (
            ("cls", red[0], [red[1]]),
            ("obj", red[0], [red[1]]),
            ("bbox", 0, [0.5, 0.5, size, size]),
            ("kps", 0, np.ravel(points) / stride),
        ):
            head, count = f"{name}_{stride}", len(bias)
            kernel = np.zeros((count, 3, 1, 1), np.float32)
            kernel[:, 0], kernel[:, 2] = -weight, weight  # of blue and red
            shape = np.array([1, -1, count], np.int64)
            for key, value in (("w", kernel), ("b", np.float32(bias)), ("s", shape)):
                weights.append(onnx.numpy_helper.from_array(value, f"{head}_{key}"))
            scored = name in ("cls", "obj")
            steps = [
                ("Conv", [f"mean{stride}", f"{head}_w", f"{head}_b"], {}),
                *([("Sigmoid", [], {})] if scored else []),
                ("Transpose", [], {"perm": [0, 2, 3, 1]}),
                ("Reshape", [], {}),
            ]
            for number, (op, inputs, attributes) in enumerate(steps):
                given = inputs or [f"{head}_{number}"]
                given += [f"{head}_s"] if op == "Reshape" else []
                result = head if number == len(steps) - 1 else f"{head}_{number + 1}"
                nodes.append(helper.make_node(op, given, [result], **attributes))
            outputs.append(
                helper.make_tensor_value_info(head, onnx.TensorProto.FLOAT, [1, None, count])
            )
    order = [f"{name}_{stride}" for name in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
    outputs.sort(key=lambda output: order.index(output.name))
    image = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "yunet", [image], outputs, weights)
    opset = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def five(shape):
    """Eyes, nose and mouth's corners of 68 points."""
    eyes = [shape[list(eye)].mean(axis=0) for eye in IBUG68.eyes]
    return np.array([*eyes, shape[30], shape[48], shape[54]])


def test_the_face_box_is_the_mean_faces(tmp_path):
    points = MEAN * 200 + (-90, -70)
    model = write_yunet(tmp_path / "yunet.onnx", five(points) + 0.5, side=150)
    picture = np.zeros((640, 640, 3), np.uint8)
    picture[304:312, 240:248, 0] = 255
    ((box, score, _),) = YuNetDetector(model, IBUG68, MEAN, BoxRule()).detect(picture)
    np.testing.assert_allclose(box, face_box(points + (240, 304), BoxRule()), atol=0.01)
    assert score > 0.9


@pytest.mark.parametrize("side, tolerance", [(1280, 1.0), (160, 0.5)])
def test_pictures_of_any_size_are_searched_as_copies(tmp_path, side, tolerance):
    """1,280 px are halved, 160 px doubled: the network sees the cell with 8 px either way."""
    scale = max(side / 640, 0.5)
    points = MEAN * 100
    model = write_yunet(tmp_path / "yunet.onnx", five(points), side=100)
    picture = np.zeros((side, side, 3), np.uint8)
    x, y, cell = (int(value * scale) for value in (80, 64, 8))
    picture[y : y + cell, x : x + cell, 0] = 255
    ((box, *_),) = YuNetDetector(model, IBUG68, MEAN, BoxRule()).detect(picture)
    expected = face_box((points + (80, 64)) * scale - 0.5, BoxRule())
    np.testing.assert_allclose(box, expected, atol=tolerance)


def test_the_best_face_comes_first_and_none_is_an_empty_list(tmp_path):
    model = write_yunet(tmp_path / "yunet.onnx", five(MEAN * 40), side=40)
    detector = YuNetDetector(model, IBUG68, MEAN, BoxRule())
    picture = np.zeros((640, 640, 3), np.uint8)
    assert detector.detect(picture) == []
    picture[80:88, 80:88, 0], picture[400:408, 400:408, 0] = 110, 255
    (first, high, _), (second, low, _) = detector.detect(picture)
    assert high > low and first[0] > 380 and second[0] < 100


@given(st.floats(20, 400), st.floats(-np.pi, np.pi), st.floats(-500, 500), st.floats(-500, 500))
def test_a_turned_and_moved_mean_face_has_the_box_of_its_points(scale, angle, x, y):
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    anchors, rule = anchors_in(IBUG68, MEAN), BoxRule(scale=1.3, shift_y=0.05)
    found, roll_deg = mean_face_box(MEAN, anchors, anchors @ turn + (x, y), rule)
    if abs(np.degrees(angle)) < 19.9:
        assert roll_deg == 0
        np.testing.assert_allclose(found, face_box(MEAN @ turn + (x, y), rule), atol=1e-6)
    elif abs(np.degrees(angle)) > 20.1:
        assert np.cos(np.radians(roll_deg) - angle) == pytest.approx(1)
        upright = face_box(MEAN, rule)  # a turned square keeps its centre and its size
        centre = (upright[:2] + upright[2:] / 2) @ turn + (x, y)
        np.testing.assert_allclose(found[:2] + found[2:] / 2, centre, atol=1e-6)
        np.testing.assert_allclose(found[2:], upright[2:] * scale, rtol=1e-9)
    label = BoxRule(source="label")
    centre, side = np.array([0.5, 0.5]) @ turn + (x, y), scale
    expected = [*(centre - side / 2), side, side]
    found, _ = mean_face_box(MEAN, anchors, anchors @ turn + (x, y), label)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(
    "scheme, count",
    [
        (IBUG68, 4),
        (WFLW98, 4),
        (KAGGLE15, 4),
        (CELEBA5, 4),
        (DLIB5, 2),
    ],
)
def test_every_scheme_has_eyes_and_most_have_a_mouth(scheme, count):
    shape = np.random.default_rng(0).random((scheme.count, 2))
    anchors = anchors_in(scheme, shape)
    assert len(anchors) == count
    np.testing.assert_allclose(anchors[0], shape[list(scheme.eyes[0])].mean(axis=0))


def test_the_mouths_corners_are_those_of_68_points():
    np.testing.assert_array_equal(anchors_in(IBUG68, MEAN)[2:], MEAN[[48, 54]])


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A face whose place a network knows by a red cell in the picture's corner."""
    folder, view = tmp_path_factory.mktemp("photo"), render_identity(3, 0, 1)[0]
    picture = np.ascontiguousarray(view.image[..., ::-1])
    picture[:8, :8] = (150, 0, 0)  # too dark where half a cell of the copy of 320 px is red
    write_picture(folder / "face.png", picture)
    # 450 px are searched at 640: the cell has 11 px there, of which the first 8 are a cell's.
    points = five(view.points_2d) * (640 / 450)
    return folder / "face.png", write_yunet(folder / "yunet.onnx", points, 250), view.points_2d


def test_demo_with_a_detector_of_the_users(photo, tmp_path):
    picture, detector, truth = photo
    result = run_module(
        "demo.py",
        picture,
        "--model",
        PRETRAINED,
        "--detector",
        detector,
        "--out",
        tmp_path,
        "--json",
        tmp_path / "points.jsonl",
    )
    assert result.returncode == 0, result.stderr
    (face,) = json.loads((tmp_path / "points.jsonl").read_text())["faces"]
    distance = np.linalg.norm(np.array(face["landmarks"]) - truth, axis=1).mean()
    assert distance < 0.08 * np.linalg.norm(truth[36] - truth[45])
    assert cv2.imread(str(tmp_path / "face-landmarks.png")).shape == (450, 450, 3)


@pytest.fixture
def in_cache(photo, tmp_path, monkeypatch):
    """The stand-in network in the cache, as if `senet-kp fetch` had put it there."""
    file = tmp_path / yunet.FILE
    file.write_bytes(photo[1].read_bytes())
    monkeypatch.setenv("SENET_KP_CACHE", str(tmp_path))
    monkeypatch.setattr(yunet, "FILE_BYTES", file.stat().st_size)
    monkeypatch.setattr(yunet, "FILE_SHA256", sha256_of_file(file))
    return file


def test_yunet_is_used_where_its_file_is_in_the_cache(photo, in_cache):
    automatic, dlib = LandmarkPredictor(PRETRAINED), LandmarkPredictor(PRETRAINED, detector="dlib")
    assert str(automatic.detector) == f"YuNet ({in_cache}), faces from 40 px on"
    assert str(dlib.detector) == "dlib, faces from 80 px on"
    (face,) = automatic.predict(photo[0])
    assert face.score > 0.9
    in_cache.unlink()
    assert str(LandmarkPredictor(PRETRAINED).detector) == str(dlib.detector)


def test_yunets_boxes_are_corrected_by_what_was_measured(photo):
    card = read_card(PRETRAINED)
    before = FaceDetector(card | {"yunet_box": None}, photo[1])
    assert "no yunet_box" in str(before)
    moved = {"shift_x": 0.1, "shift_y": 0, "scale": 2, "spread": (0, 0, 0)}
    measured = FaceDetector(card | {"yunet_box": moved | {"pictures": 1, "found": 1}}, photo[1])
    picture = read_picture(photo[0])
    (box, *_), (other, *_) = before.detect(picture)[0], measured.detect(picture)[0]
    side = box[2]
    expected = [box[0] - 0.4 * side, box[1] - 0.5 * side, 2 * side, 2 * side]
    np.testing.assert_allclose(other, expected)


def test_preparation_measures_yunets_boxes(photo, in_cache, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for number in range(8):
        (data / f"{number}.png").write_bytes(photo[0].read_bytes())
        write_pts(data / f"{number}.pts", photo[2])
    options = {"format": ("pts",), "processes": 1}
    manifest = prepare(PrepareConfig(data=(data,), out=tmp_path / "out", **options))
    box = manifest["yunet_box"]
    assert box["found"] == box["pictures"] > 0
    assert abs(box["shift_x"]) < 0.1 and 0.8 < box["scale"] < 1.25


def test_labels_with_a_detector_of_the_users(photo, tmp_path):
    picture, detector, truth = photo
    result = run_module(
        "-m",
        "data_prep.autolabel",
        picture,
        "--model",
        PRETRAINED,
        "--detector",
        detector,
        "--out",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    points = np.loadtxt(tmp_path / "face.pts", skiprows=3, comments=("}", "#"))
    distance = np.linalg.norm(points - 1 - truth, axis=1).mean()
    assert distance < 0.08 * np.linalg.norm(truth[36] - truth[45])


@pytest.mark.parametrize(
    "content, reason", [(None, "no such"), (b"nothing", "cannot run this file as the YuNet")]
)
def test_what_is_no_detector_is_named(photo, tmp_path, content, reason):
    detector = tmp_path / "detector.onnx"
    if content:
        detector.write_bytes(content)
    result = run_module(
        "demo.py", photo[0], "--model", PRETRAINED, "--detector", detector, "--out", tmp_path
    )
    assert_one_line_error(result, 4, str(detector), reason)


def test_another_network_is_named(photo, tmp_path):
    helper = onnx.helper
    sides = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, "h", "w"])
        for name in ("input", "output")
    ]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["output"])], "other", sides[:1], sides[1:]
    )
    path = tmp_path / "other.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match="cannot run this file as the YuNet"):
        YuNetDetector(path, IBUG68, MEAN, BoxRule()).detect(np.zeros((64, 64, 3), np.uint8))


def test_a_card_without_a_mean_face_says_what_to_do(photo, tmp_path):
    for file in (PRETRAINED, PRETRAINED.with_suffix(".json")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    card = json.loads((tmp_path / "senet68.json").read_text())
    del card["mean_shape"]
    (tmp_path / "senet68.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="freeze the model again"):
        LandmarkPredictor(tmp_path / "senet68.pb", detector=photo[1]).predict(photo[0])


def test_a_file_on_which_opencv_crashes_is_named(monkeypatch):
    """Some damaged files end the process: it must be another one."""
    monkeypatch.setattr(yunet, "_TRIAL", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(ModelError, match="senet68.json: OpenCV .* crashes or hangs on this file"):
        YuNetDetector(PRETRAINED.with_suffix(".json"), IBUG68, MEAN, BoxRule())
