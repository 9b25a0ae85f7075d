"""Landmarks of other programs in the report: the file, matching by picture and by face."""

import json

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from hypothesis import given
from hypothesis import strategies as st
from test_report_parts import make_crops

from senet_kp.face.facebox import box_affine
from senet_kp.face.known_schemes import IBUG68
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.input.crops import load_crops
from senet_kp.report.__main__ import ReportConfig, write_report
from senet_kp.report.predictions import _picture_of_source, _relative, read_predictions
from senet_kp.scoring.scores import face_errors
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.shards import read_manifest


def write(path, *pictures):
    """A predictions file of (source, faces) pairs."""
    lines = [json.dumps({"source": source, "faces": faces}) for source, faces in pictures]
    path.write_text("\n".join(lines) + "\n")
    return path


def face(points, box=None):
    return {"landmarks": np.asarray(points).tolist(), **({} if box is None else {"box": box})}


def in_pixels(crops, index):
    """The annotated landmarks of a face of `make_crops`, whose face box has 100 px at (10, 20)."""
    return crops.landmarks[index] * 100 + (10, 20)


# --- which picture ---


def test_points_in_pixels_become_relative_to_the_face_box(tmp_path, capsys):
    crops = make_crops(3)
    path = write(
        tmp_path / "p.jsonl",
        ("face1.jpg", [face(in_pixels(crops, 1) + (1, 0), [10, 20, 100, 100])]),
        ("/somewhere/face0.jpg", [face(in_pixels(crops, 0))]),
    )
    found = read_predictions(path, crops)
    np.testing.assert_allclose(found.points[0], crops.landmarks[0])
    np.testing.assert_allclose(found.points[1], crops.landmarks[1] + (0.01, 0))
    assert np.isnan(found.points[2]).all() and (found.pictures, found.missing) == (2, 1)
    assert capsys.readouterr().err == ""


def test_the_longest_end_of_a_path_decides_then_a_unique_file_name():
    pictures = {"a/x.jpg", "b/x.jpg", "x.jpg", "b/y.jpg"}
    names = {"x.jpg": ["a/x.jpg", "b/x.jpg", "x.jpg"], "y.jpg": ["b/y.jpg"]}

    def picture(source):
        return _picture_of_source(source, pictures, names)

    assert (
        picture("b/x.jpg") == picture("/data/b/x.jpg") == picture("C:\\data\\b\\x.jpg") == "b/x.jpg"
    )
    assert picture("/data/c/x.jpg") == "x.jpg"
    assert picture("/elsewhere/y.jpg") == "b/y.jpg"
    assert picture("/elsewhere/z.jpg") is picture("") is None
    without = pictures - {"x.jpg"}
    assert _picture_of_source("/data/c/x.jpg", without, {"x.jpg": ["a/x.jpg", "b/x.jpg"]}) is None


def test_other_pictures_are_counted(tmp_path, capsys):
    crops = make_crops(2)
    path = write(
        tmp_path / "p.jsonl",
        ("face0.jpg", [face(in_pixels(crops, 0))]),
        ("other.jpg", []),
        ("more.jpg", []),
    )
    assert read_predictions(path, crops).unknown_pictures == 2
    assert "2 of its 3 pictures are not among the scored ones, the first: other.jpg" in (
        capsys.readouterr().err
    )
    with pytest.raises(
        InputError, match=r"contains other.jpg, but none of the scored pictures, .*"
    ):
        read_predictions(write(tmp_path / "q.jsonl", ("other.jpg", [])), crops)


# --- which face ---


def several(count):
    """The faces of one picture, each 150 px to the right of the one before."""
    crops = make_crops(count)
    affine = np.array([box_affine([10 + 150 * i, 20, 100, 100]) for i in range(count)])
    names = ["all.jpg", *(f"all.jpg#{number}" for number in range(2, count + 1))]
    crops.affine[:], crops.names[:] = affine, names
    return crops


def test_faces_of_one_picture_are_matched_by_position(tmp_path):
    crops = several(3)
    at = [in_pixels(crops, i) + (150 * i, 0) for i in range(3)]
    stray = at[0] + (0, 400)
    faces = [face(at[2]), face(stray), face(at[0])]
    found = read_predictions(write(tmp_path / "p.jsonl", ("all.jpg", faces)), crops)
    np.testing.assert_allclose(found.points[[0, 2]], crops.landmarks[[0, 2]])
    assert found.missing == 1 and np.isnan(found.points[1]).all()


def test_each_predicted_face_is_used_once(tmp_path):
    """Two faces at nearly one place: the better one for the first, none for the second."""
    crops = make_crops(2)
    crops.names[:] = ["a.jpg", "a.jpg#2"]
    crops.affine[1] = box_affine([20, 20, 100, 100])
    path = write(tmp_path / "p.jsonl", ("a.jpg", [face(in_pixels(crops, 0))]))
    found = read_predictions(path, crops)
    assert found.missing == 1 and not np.isnan(found.points[0]).any()


def test_bad_landmarks_in_the_right_box_are_errors_and_not_missing(tmp_path):
    crops = make_crops(1)
    collapsed = np.full((68, 2), (60.0, 70.0))
    path = write(tmp_path / "p.jsonl", ("face0.jpg", [face(collapsed, [10, 20, 100, 100])]))
    assert read_predictions(path, crops).missing == 0
    path = write(tmp_path / "q.jsonl", ("face0.jpg", [face(collapsed)]))
    assert read_predictions(path, crops).missing == 1


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=2), st.floats(1, 1e4), st.floats(1, 1e4))
def test_relative_points_are_the_inverse_of_the_affine(point, width, height):
    affine = box_affine([3.0, -7.0, width, height])
    relative = _relative(np.array([point]), affine)
    np.testing.assert_allclose(relative @ affine[:, :2].T + affine[:, 2], [point], atol=1e-6)


# --- what is scored ---


def test_missing_faces_count_as_failures(tmp_path):
    crops = make_crops(4)
    length = np.linalg.norm(crops.landmarks[:, 36] - crops.landmarks[:, 45], axis=1)
    moved = crops.landmarks + 0.04 * length[:, None, None] * (1, 0)
    predicted = np.where(np.arange(4)[:, None, None] < 2, moved, np.nan)
    errors = face_errors(predicted, crops, IBUG68, "inter-ocular")
    np.testing.assert_allclose(errors.nmes, [0.04, 0.04, np.inf, np.inf])
    assert errors.scored.all()


def test_predictions_stand_beside_models_in_the_report(model, records, tree, tmp_path):
    """The demo's own output, with the true boxes, scores as the model does but for found faces."""
    crops = load_crops(records, read_manifest(records), "test")
    predictor, lines = LandmarkPredictor(model), []
    for name, affine in zip(crops.names[1:], crops.affine[1:], strict=True):
        box = [affine[0, 2], affine[1, 2], affine[0, 0], affine[1, 1]]
        (found,) = predictor.predict(tree / name, [box])
        lines.append((str(tree / name), [face(found.landmarks, box)]))
    path = write(tmp_path / "tool.jsonl", *lines)
    out = tmp_path / "report.html"
    config = ReportConfig(
        models=(model,), predictions=(path,), records=records, out=out, box_faces=2
    )
    write_report(config)
    numbers = json.loads(out.with_suffix(".json").read_text())
    ours, tool = numbers["models"]
    faces = len(crops)
    assert tool["scores"]["all"]["missing"] == 1 and tool["scores"]["all"]["faces"] == faces
    assert tool["nmes"][0] is None
    # The records' pictures went through one more JPEG than those that the predictor read.
    assert tool["nmes"][1:] == pytest.approx(ours["nmes"][1:], rel=0.05)
    assert tool["conditions"]["faces_missing"] == 1
    assert max(tool["ced"]) <= 1 - 1 / faces
    assert numbers["comparisons"][0]["faces"] == faces - 1
    page = out.read_text()
    assert "tool.jsonl" in page and "(1 missing*)" in page and "They count as failures" in page


def test_a_report_of_predictions_alone(records, tmp_path):
    crops = load_crops(records, read_manifest(records), "test")
    points = [p @ a[:, :2].T + a[:, 2] for p, a in zip(crops.landmarks, crops.affine, strict=True)]
    path = write(
        tmp_path / "truth.jsonl",
        *((name, [face(one)]) for name, one in zip(crops.names, points, strict=True)),
    )
    out = tmp_path / "report.html"
    flags = ["--models", "--predictions", path, "--records", records, "--out", out]
    result = run_module("-m", "senet_kp.report", *flags)
    assert result.returncode == 0, result.stderr
    assert "truth.jsonl: NME 0.00%" in result.stdout
    assert 'id="boxes"' not in out.read_text()
    none = write(tmp_path / "none.jsonl", *((name, []) for name in crops.names))
    numbers = write_report(ReportConfig(models=(), predictions=(none,), records=records, out=out))
    every = numbers["models"][0]["scores"]["all"]
    assert every["nme"]["value"] is None and every["failure_rate"]["value"] == 1


# --- files that cannot be used ---


@pytest.mark.parametrize(
    "line, words",
    [
        ("{", "line 2: not"),
        ("[]", "line 2: not"),
        ('{"source": "face1.jpg"}', "KeyError: 'faces'"),
        ('{"source": "face1.jpg", "faces": [{"box": [1, 2, 3, 4]}]}', "KeyError: 'landmarks'"),
        ('{"source": "face1.jpg", "faces": [{"landmarks": [[1, 2], [3, 4]]}]}', r"\[2, 2\], but"),
        ('{"source": "face1.jpg", "faces": [{"landmarks": [[1, 2], [3]]}]}', "line 2: not"),
        ('{"source": "face0.jpg", "faces": []}', "line 2: a second line for face0.jpg"),
        ('{"source": "x/face0.jpg", "faces": []}', "are both taken for the picture face0.jpg"),
    ],
)
def test_unusable_lines_are_named(tmp_path, line, words):
    path = tmp_path / "p.jsonl"
    path.write_text('{"source": "face0.jpg", "faces": []}\n' + line + "\n")
    with pytest.raises(InputError, match=words):
        read_predictions(path, make_crops(2))


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "NaN is not a number"), ("nan", "landmarks and box .* finite")],
)
def test_points_must_be_finite(tmp_path, value, said):
    """Python writes NaN, which is no JSON; a text is read as NumPy reads it."""
    faces = [{"landmarks": [[value, value]] * 68}]
    with pytest.raises(InputError, match=f"line 1: .*{said}"):
        read_predictions(write(tmp_path / "p.jsonl", ("face0.jpg", faces)), make_crops(1))


def test_a_file_that_is_not_there(model, records, tmp_path):
    flags = ["--models", model, "--records", records, "--predictions", tmp_path / "gone.jsonl"]
    result = run_module("-m", "senet_kp.report", *flags, "--out", tmp_path / "report.html")
    assert_one_line_error(result, 3, "gone.jsonl", "cannot be read")


def test_a_number_that_no_float_holds_is_named(tmp_path):
    (tmp_path / "p.jsonl").write_text(
        '{"source": "face1.jpg", "faces": [{"landmarks": [[1, %s]]}]}' % ("9" * 400)
    )
    with pytest.raises(InputError, match="line 1: .*OverflowError"):
        read_predictions(tmp_path / "p.jsonl", make_crops(2))
