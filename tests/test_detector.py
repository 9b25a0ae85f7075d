import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.inference.box_transform import BoxTransform, iou, measure_transform
from senet_kp.inference.dlib_detector import DlibDetector


def test_iou_by_hand():
    assert iou([0, 0, 10, 10], [5, 0, 10, 10]) == pytest.approx(50 / 150)
    assert iou([0, 0, 10, 10], [2, 2, 5, 5]) == pytest.approx(0.25)
    assert iou([0, 0, 10, 10], [10, 0, 10, 10]) == 0


def test_transform_by_hand():
    # Centre (60, 70), side 20, moved by (2, -4), then 30 wide.
    transform = BoxTransform(0.1, -0.2, 1.5, (0, 0, 0), 1, 1)
    np.testing.assert_allclose(transform.apply([50, 60, 20, 20]), [47, 51, 30, 30])


@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0.7, 1.6))
def test_measuring_recovers_the_transform_in_spite_of_outliers(shift_x, shift_y, scale):
    rng = np.random.default_rng(0)
    true = BoxTransform(shift_x, shift_y, scale, (0, 0, 0), 0, 0)
    detected = [
        np.array([*rng.uniform(0, 500, 2), side, side]) for side in rng.uniform(50, 200, 40)
    ]
    pairs = [(box, true.apply(box)) for box in detected]
    pairs[:4] = [(box, box + 30) for box, _ in pairs[:4]]
    found = measure_transform(pairs, 50)
    assert found.shift_x == pytest.approx(shift_x, abs=1e-9)
    assert found.shift_y == pytest.approx(shift_y, abs=1e-9)
    assert found.scale == pytest.approx(scale)
    assert (found.pictures, found.found) == (50, 40)


@pytest.mark.parametrize("longest_px", [160, 450, 900, 3000])
def test_the_same_face_is_found_in_a_picture_of_any_size(longest_px):
    """Small pictures are enlarged in a second look, large ones searched as a reduced copy."""
    pytest.importorskip("dlib")
    view = render_identity(3, 0, 1)[0]
    picture = np.ascontiguousarray(view.image[..., ::-1])
    scale = longest_px / max(picture.shape[:2])
    resized = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = DlibDetector().detect(resized)
    assert len(boxes) == 1
    low, high = view.points_2d.min(0) * scale, view.points_2d.max(0) * scale
    assert iou(boxes[0][0], [*low, *(high - low)]) > 0.5


@pytest.mark.parametrize("cache", ["empty", "broken", "no place"])
def test_dlibs_detector_is_the_same_from_the_cache(tmp_path, monkeypatch, cache):
    dlib = pytest.importorskip("dlib")
    folder = tmp_path / "cache"
    monkeypatch.delenv("SENET_KP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    file = folder / "senet_kp" / f"frontal-face-{dlib.__version__}.svm"
    if cache == "broken":
        file.parent.mkdir(parents=True)
        file.write_bytes(b"cut")
    elif cache == "no place":
        folder.write_text("a file where a folder should be")
    picture = np.ascontiguousarray(render_identity(3, 0, 1)[0].image[..., ::-1])
    rectangles, scores, _ = dlib.get_frontal_face_detector().run(picture, 0, 0.0)
    for _ in ("unpacked", "cached"):
        ((box, score, _),) = DlibDetector().detect(picture)
        assert score == scores[0]
        assert box[2:].tolist() == [rectangles[0].width(), rectangles[0].height()]
    assert (cache == "no place") != file.is_file()
