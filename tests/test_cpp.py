"""The C++ program: it builds without warnings, agrees with Python, and has one-line errors."""

import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from conftest import REAL_DATA, ROOT, assert_one_line_error
from runs import diverged_model

from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import face_box
from senet_kp.face.pictures import BadPicture, read_picture
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED

PHOTO = REAL_DATA / "300W_pts" / "134212_1.jpg"
PHOTO_BOX = [684.7184, 150.3575, 281.519, 281.519]  # reduced by 2 before it is sampled


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed (Debian: cmake g++ libopencv-dev)")
    built = subprocess.run(
        ["make", "cpp", f"OUT={out}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "OpenCVConfig.cmake" in built.stderr:
        pytest.skip("OpenCV's C++ files are not installed (Debian: libopencv-dev)")
    assert built.returncode == 0, built.stderr
    assert "warning" not in built.stderr.lower(), built.stderr
    return out / "cpp" / "landmarks"


@pytest.fixture(scope="module")
def landmarks(program):
    """A function that runs the program with some arguments."""

    def run(*arguments):
        command = [program, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def predictor():
    return LandmarkPredictor(PRETRAINED)


@pytest.fixture(scope="module")
def face(predictor, tmp_path_factory):
    """A file with a rendered face, 450 px wide, and its face box."""
    view = render_identity(11, 0, 1)[0]
    path = tmp_path_factory.mktemp("pictures") / "face.png"
    cv2.imwrite(str(path), view.image)
    return path, face_box(view.points_2d, predictor.rule).tolist()


def assert_as_python(line: dict, path, boxes, predictor):
    faces = predictor.predict(str(path), boxes)
    picture = cv2.imread(str(path))
    assert list(line) == ["source", "frame", "width", "height", "faces"]
    assert (line["source"], line["frame"]) == (str(path), None)
    assert (line["height"], line["width"]) == picture.shape[:2]
    assert len(line["faces"]) == len(boxes)
    for face, expected in zip(line["faces"], faces, strict=True):
        assert face["box"] == np.round(expected.box, 3).tolist() and face["score"] is None
        assert np.abs(np.array(face["landmarks"]) - expected.landmarks).max() < 0.01


def test_points_agree_with_python(landmarks, face, predictor, tmp_path):
    """To 0.01 px: a face box, one that is reduced before sampling, one that leaves the picture.

    Each holds a face: elsewhere the network is less sure, and a grey level more or less in a
    hundredth of a crop's values moves its points by 0.2 px.
    """
    path, box = face
    cut = tmp_path / "cut.png"
    cv2.imwrite(str(cut), cv2.imread(str(path))[:, 150:])
    boxes = {path: [box, [10.3, -20.6, 431.7, 431.7]], cut: [[box[0] - 150, *box[1:]]]}
    given = tmp_path / "boxes.json"
    names = {picture.name: wanted for picture, wanted in boxes.items()}
    given.write_text(json.dumps(names | {"other.png": []}))
    result = landmarks("--model", PRETRAINED, "--boxes", given, path, cut)
    assert result.returncode == 0 and result.stderr == ""
    for line, (picture, wanted) in zip(result.stdout.splitlines(), boxes.items(), strict=True):
        assert_as_python(json.loads(line), picture, wanted, predictor)


@pytest.mark.skipif(not PHOTO.exists(), reason="needs the real faces beside the project")
def test_points_agree_with_python_on_a_photo(landmarks, predictor):
    result = landmarks("--model", PRETRAINED, "--box", *PHOTO_BOX, PHOTO)
    assert result.returncode == 0, result.stderr
    assert_as_python(json.loads(result.stdout), PHOTO, [PHOTO_BOX], predictor)


def test_a_picture_without_a_box_is_no_error(landmarks, face, tmp_path):
    (tmp_path / "boxes.json").write_text('{"other.png": [[1, 2, 3, 3]]}')
    result = landmarks("--model", PRETRAINED, "--boxes", tmp_path / "boxes.json", face[0])
    assert result.returncode == 0 and "no box for it in the boxes file" in result.stderr
    assert json.loads(result.stdout)["faces"] == []


def test_a_box_beside_the_picture_gets_no_landmarks(landmarks, face, predictor, tmp_path):
    """The picture has 450x450 pixels, whose edges are at -0.5 and 449.5."""
    path, box = face
    beside = [[449.5, 20, 30, 30], [20, 449.5, 30, 30], [-30.5, 20, 30, 30], [20, -40.5, 40, 40]]
    given = tmp_path / "boxes.json"
    given.write_text(json.dumps({path.name: [*beside, box]}))
    result = landmarks("--model", PRETRAINED, "--boxes", given, path)
    assert result.returncode == 0
    said = result.stderr.splitlines()
    assert len(said) == 4 and "[449.5, 20, 30, 30] lies outside the picture of 450x450" in said[0]
    assert_as_python(json.loads(result.stdout), path, [box], predictor)
    touching = landmarks("--model", PRETRAINED, "--box", 449.4, 20, 30, 30, path)
    assert touching.stderr == "" and len(json.loads(touching.stdout)["faces"]) == 1


def test_pictures_that_cannot_be_read_exit_with_3_after_the_others(landmarks, face, tmp_path):
    path, box = face
    flags = ("--model", PRETRAINED, "--box", *box)
    assert_one_line_error(landmarks(*flags, tmp_path / "no.jpg"), 3, "no.jpg", "no such file")
    (tmp_path / "text.jpg").write_text("hello")
    assert_one_line_error(landmarks(*flags, tmp_path / "text.jpg"), 3, "text.jpg", "decode")
    cut = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes()[:-2000]
    (tmp_path / "cut.jpg").write_bytes(cut)
    result = landmarks(*flags, tmp_path / "cut.jpg", path)
    assert_one_line_error(result, 3, "cut.jpg", "truncated JPEG")
    assert json.loads(result.stdout)["source"] == str(path)


def test_damage_in_the_coded_pixels_is_refused_as_in_python(landmarks, face, tmp_path):
    """Noise that libjpeg warns of, text, and a trailer, which is no damage."""
    path, box = face
    data, noise = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes(), np.random.default_rng(3)
    flags, refused = ("--model", PRETRAINED, "--box", *box), 0
    for by in (*(noise.bytes(length) for length in (30, 300, 1000, 3000)), b"<html>" * 300, b""):
        half = len(data) // 2
        damaged = tmp_path / "damaged.jpg"
        damaged.write_bytes(data[:half] + by + data[half + len(by) :] + b"a trailer")
        found = landmarks(*flags, damaged)
        try:
            read_picture(damaged)
        except BadPicture:
            assert_one_line_error(found, 3, "damaged.jpg: a damaged JPEG")
            refused += 1
        else:
            assert json.loads(found.stdout)["source"] == str(damaged)
    assert 2 <= refused <= 5


def test_unusable_models_exit_with_4(landmarks, face, tmp_path):
    path, box = face
    copy, card = tmp_path / "senet.pb", tmp_path / "senet.json"
    call = ("--model", copy, "--box", *box, path)
    assert_one_line_error(landmarks(*call), 4, "senet.pb", "no such file")
    shutil.copy(PRETRAINED, copy)
    assert_one_line_error(landmarks(*call), 4, "senet.json", "no such file")
    card.write_text("{}")
    assert_one_line_error(landmarks(*call), 4, "senet.json", "not a model card")
    card.write_text('{"card": 2, "box": 3}')
    assert_one_line_error(landmarks(*call), 4, "senet.pb", "cannot use")
    shutil.copy(PRETRAINED.with_suffix(".json"), card)
    copy.write_bytes(PRETRAINED.read_bytes() + b" ")
    assert_one_line_error(landmarks(*call), 4, "senet.pb", "altered")
    copy.write_bytes(b"\xff" * PRETRAINED.stat().st_size)
    assert_one_line_error(landmarks(*call), 4, "senet.pb", "cannot use")


def test_landmarks_that_are_not_finite_are_refused(landmarks, face, tmp_path):
    path, box = face
    model = diverged_model(tmp_path / "senet68.pb")
    result = landmarks("--model", model, "--box", *box, path)
    assert_one_line_error(result, 4, "senet68.pb", "not finite")
    assert result.stdout == ""


@pytest.mark.parametrize(
    "content, word",
    [
        ("{", "JSON"),
        ("[]", "JSON"),
        ('{"a": null}', "squares"),
        ('{"a": [[1, 2, 3]]}', "squares"),
        ('{"a": [[1, 2, 30, 40]]}', "squares"),
        ('{"a": [[1, 2, "x", 3]]}', "squares"),
        ('{"\\u00e9.jpg": []}', "UTF-8"),
    ],
)
def test_unusable_boxes_exit_with_2(landmarks, face, tmp_path, content, word):
    (tmp_path / "boxes.json").write_text(content)
    result = landmarks("--model", PRETRAINED, "--boxes", tmp_path / "boxes.json", face[0])
    assert_one_line_error(result, 2, "boxes.json", word)


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--box", "1", "2", "30", "40"], "square"),
        (["--box", "1", "2", "x", "3"], "square"),
        (["--box", "1", "2"], "missing"),
        ([], "--boxes or --box"),
        (["--boxen", "1"], "--boxen"),
    ],
)
def test_unusable_arguments_exit_with_2(landmarks, face, arguments, word):
    call = (face[0], "--model", PRETRAINED, *arguments)
    assert_one_line_error(landmarks(*call), 2, word)


def test_help_names_every_exit_code(landmarks):
    result = landmarks("--help")
    assert result.returncode == 0 and "usage: landmarks" in result.stdout
    assert all(f"{code} " in result.stdout for code in (0, 2, 3, 4, 6))


def test_output_that_cannot_be_written_exits_with_6(program, face):
    call = [program, "--model", PRETRAINED, "--box", *map(str, face[1]), face[0]]
    with open("/dev/full", "w") as full:
        result = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert_one_line_error(result, 6, "standard output")
