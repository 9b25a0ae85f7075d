"""The public API: docs/api.md is complete, its example runs, and imports stay light."""

import dataclasses
import inspect
import re
import subprocess
import sys
from typing import get_args

import cv2
import numpy as np
import pytest
from conftest import ROOT

import senet_kp
from senet_kp import (
    PRETRAINED,
    Face,
    FaceTracker,
    LandmarkPredictor,
    TrackingConfig,
    draw_landmarks,
    read_card,
)
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import write_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.backends import AUTO, BACKENDS, Backend

PAGE = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```python\n(import .*?)```", PAGE, re.S)  # of a picture, of a video
# Those of the wheel itself; scipy is imported by the first video.
DEPENDENCIES = {"numpy", "cv2", "dlib", "platformdirs", "tqdm", "senet_kp"}


def section(title: str) -> str:
    """The part of the page below a heading, its sub-headings included."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def parameters(function) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def public(names) -> list[str]:
    return [name for name in names if not name.startswith("_")]


@pytest.fixture(scope="module")
def view():
    """A rendered face: (RGB picture, landmarks [68, 2])."""
    found = render_identity(11, 0, 1)[0]
    return np.ascontiguousarray(found.image[..., ::-1]), found.points_2d


@pytest.fixture(scope="module")
def example_folder(view, tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    write_picture(folder / "photo.jpg", view[0])
    return folder


def run_python(code: str, folder):
    """Run code in a process of its own, in a folder, with the project on its path."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def imported_packages(code: str, folder) -> set[str]:
    """Packages outside the standard library that code has imported when it ends."""
    tail = "print('\\n', *{name.split('.')[0] for name in sys.modules})"
    result = run_python(f"before = set(sys.modules)\n{code}\n{tail}", folder)
    assert result.returncode == 0, result.stderr
    names = set(result.stdout.splitlines()[-1].split())
    return {n for n in names - sys.stdlib_module_names if not n.startswith("_")}


# --- the page ---


def test_every_public_name_has_a_section():
    assert [name for name in senet_kp.__all__ if f"\n## {name}\n" not in PAGE] == []


@pytest.mark.parametrize(
    "function", [LandmarkPredictor, FaceTracker, FaceTracker.update, draw_landmarks, read_card]
)
def test_every_parameter_is_described(function):
    text = section(function.__qualname__.split(".")[0])
    missing = [name for name in parameters(function) if f"`{name}`" not in text]
    assert not missing


def test_every_method_and_attribute_is_described():
    text = section("LandmarkPredictor")
    methods = public(name for name, _ in inspect.getmembers(LandmarkPredictor, callable))
    for name in methods:
        assert f"\n### {name}\n" in text
        assert all(f"`{p}`" in text for p in parameters(getattr(LandmarkPredictor, name)))
    for name in public(vars(LandmarkPredictor())):
        assert f"| `{name}` |" in text
    for owner in (Face, TrackingConfig):
        for field in dataclasses.fields(owner):
            assert f"| `{field.name}` |" in section(owner.__name__)


def test_signatures_are_the_real_ones():
    calls = re.findall(r"```python\n((?:\w+\.)?\w+)\(([^`]*)\)\n```", PAGE)
    assert len(calls) == 10
    owners = {"predictor": LandmarkPredictor, "tracker": FaceTracker, "": senet_kp}
    for name, arguments in calls:
        owner, _, method = name.rpartition(".")
        function = getattr(owners[owner], method)
        real = inspect.signature(function).parameters.values()
        shown = inspect.signature(eval(f"(lambda {arguments}: 0)", SHOWN_NAMES)).parameters
        real = {p.name: p.default for p in real if p.name != "self"}
        assert {p.name: p.default for p in shown.values()} == real, name


SHOWN_NAMES = {"PRETRAINED": PRETRAINED, "IBUG68": IBUG68}


@pytest.mark.parametrize(
    "owner, title", [(LandmarkScheme, "Landmark schemes"), (BoxRule, "Face-box rules")]
)
def test_the_objects_of_a_predictor_are_described(owner, title):
    names = {field.name for field in dataclasses.fields(owner)} | set(public(vars(owner)))
    missing = [name for name in names if not re.search(rf"`{name}[`(]", section(title))]
    assert not missing


def test_the_backends_are_described():
    rows = dict(re.findall(r'^\| `"(\w+)"` \| ([^|]+) \|', section("LandmarkPredictor"), re.M))
    assert list(rows) == list(BACKENDS)
    for name, engine in BACKENDS.items():
        kinds = {kind.strip(" `.") for kind in rows[name].split(",")}
        assert kinds == {"SavedModel" if k == "saved_model" else k for k in engine.READS}


def test_the_keys_of_a_card_are_described():
    card = read_card(PRETRAINED)
    named = set(re.findall(r'`"(\w+)"`', section("read_card")))
    assert named <= card.keys()
    assert {"box", "scheme", "sha256"} <= named


def test_the_example_runs(example_folder, view):
    pytest.importorskip("dlib")
    result = run_python(EXAMPLES[0], example_folder)
    assert result.returncode == 0, result.stderr
    nose = re.search(r"nose at \(([\d.]+), ([\d.]+)\)", result.stdout)
    eyes = np.linalg.norm(view[1][36] - view[1][45])
    assert np.linalg.norm(np.float64(nose.groups()) - view[1][30]) < 0.15 * eyes
    assert (example_folder / "photo-landmarks.jpg").is_file()


def test_the_example_of_a_video_runs(example_folder, view):
    pytest.importorskip("dlib")
    size = (view[0].shape[1], view[0].shape[0])
    path = str(example_folder / "clip.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
    for _ in range(3):
        writer.write(view[0][..., ::-1])
    writer.release()
    result = run_python(EXAMPLES[1], example_folder)
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["0"] * 3


def test_docstrings_have_every_section():
    for function in (
        *(LandmarkPredictor, LandmarkPredictor.predict, LandmarkPredictor.predict_many),
        *(FaceTracker, draw_landmarks, read_card),
    ):
        text = inspect.getdoc(function)
        assert "Raises\n------" in text and "Examples\n--------" in text
        for name in parameters(function):
            assert re.search(rf"^{name} : ", text, re.M), (function, name)
    for field in dataclasses.fields(Face):
        assert re.search(rf"^{field.name} : ", inspect.getdoc(Face), re.M)


# --- the package ---


def test_backend_lists_the_table():
    assert get_args(Backend) == (AUTO, *BACKENDS)


def test_importing_the_package_imports_nothing_else(tmp_path):
    assert imported_packages("import senet_kp", tmp_path) == {"senet_kp"}


def test_names_are_listed_and_others_are_refused():
    assert set(senet_kp.__all__) <= set(dir(senet_kp))
    with pytest.raises(AttributeError, match="no attribute 'LandmarkPredicter'"):
        senet_kp.LandmarkPredicter  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "from senet_kp import LandmarkPredictor; LandmarkPredictor().predict('photo.jpg')",
        "import runpy; sys.argv = ['demo.py', 'photo.jpg', '--pose', '--out', 'drawn']\n"
        "from senet_kp.demo.command import main\nmain()",
    ],
)
def test_prediction_and_demo_import_the_wheels_dependencies_only(example_folder, code):
    pytest.importorskip("dlib")
    assert imported_packages(code, example_folder) <= DEPENDENCIES


def test_the_default_model_is_the_shipped_one(view):
    picture, truth = view
    predictor = LandmarkPredictor()
    assert predictor.card == read_card(PRETRAINED) and predictor.scheme == IBUG68
    box = [*(truth.min(axis=0) - 20), *[np.ptp(truth, axis=0).max() + 40] * 2]
    (face,) = predictor.predict(picture[:, ::-1][:, ::-1], [box])  # any memory layout will do
    assert isinstance(face, Face) and face.landmarks.shape == (68, 2)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((9, 9, 3), np.float32),
        np.full((9, 9, 3), 255.0),
        np.zeros((9, 9, 3), np.uint16),
        np.zeros((9, 9, 3), bool),
        np.zeros((9, 9, 5), np.uint8),
        np.zeros((1, 9, 9, 3), np.uint8),
        np.zeros(9, np.uint8),
        np.zeros((0, 9, 3), np.uint8),
        np.zeros((9, 0), np.uint8),
    ],
)
@pytest.mark.parametrize("boxes", [None, [[0, 0, 9, 9]]])
def test_arrays_that_are_no_rgb_pictures_are_refused(picture, boxes):
    with pytest.raises(ValueError, match=r"has to be an array \[H, W, 3\] of uint8"):
        LandmarkPredictor().predict(picture, boxes)


@pytest.mark.parametrize("picture, word", [(None, "cv2.imread"), ([[0]], "list"), (3, "int")])
def test_what_is_neither_a_path_nor_an_array_is_refused(picture, word):
    for call in (LandmarkPredictor().predict, LandmarkPredictor().face_boxes):
        with pytest.raises(TypeError, match=word):
            call(picture)


def test_grey_alpha_and_strided_arrays_give_the_points_of_the_rgb_picture(view):
    grey = view[0].mean(axis=2).astype(np.uint8)
    rgb, alpha = np.dstack([grey] * 3), np.zeros_like(grey)
    strided = np.repeat(np.dstack([rgb, alpha]), 2, axis=1)[:, ::2]
    same = [grey, grey[:, :, None], np.dstack([grey, alpha]), strided, np.asfortranarray(rgb)]
    predictor, box = LandmarkPredictor(), [[100, 100, 250, 250]]
    expected = predictor.predict(rgb, box)[0].landmarks
    for picture in same:
        np.testing.assert_array_equal(predictor.predict(picture, box)[0].landmarks, expected)


def test_landmarks_of_68_points_are_drawn_without_naming_the_scheme(view):
    picture, truth = view
    drawn = draw_landmarks(picture.copy(), truth)
    np.testing.assert_array_equal(drawn, draw_landmarks(picture.copy(), truth, IBUG68))
    assert (drawn != picture).any()
