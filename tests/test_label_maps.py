"""Labels of one scheme as labels of another, and the face box of a partly labelled face."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import make_picture
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep import whole_face
from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.data_sets import scan_all
from senet_kp.data_prep.formats.face_sample import FaceLabel, Rejected
from senet_kp.data_prep.label_maps import label_maps_of
from senet_kp.data_prep.prepare import plan_of, prepare
from senet_kp.data_prep.sample_faces.shapes import random_shapes
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.known_label_maps import LABEL_MAPS, known_label_map
from senet_kp.face.known_schemes import AFLW21, IBUG68
from senet_kp.face.label_map import label_map_from, read_label_map
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.shards import read_records

MAPS = [known_label_map(*name.split("-")) for name in LABEL_MAPS]
AFLW = known_label_map("aflw21", "ibug68")
FACTS = {"from": "dlib5", "to": "celeba5", "points": {"0": [2, 3], "1": [[0, 3], [1, 1]], "2": 4}}


def mapped(label, label_map, scheme):
    return whole_face.mapped(label, label_map, scheme, estimate=True)


def label_of(landmarks, mask):
    return FaceLabel(np.asarray(landmarks, float), np.asarray(mask), np.full(3, np.nan))


# --- label maps ---


def test_points_are_copied_or_means_of_several():
    """dlib5 is: right eye outer, inner, left eye outer, inner, nose (in the picture)."""
    landmarks = np.array([[80, 40], [60, 44], [20, 40], [36, 42], [50, 70]], float)
    found, known = label_map_from(FACTS, "a.json").apply(landmarks, np.ones(5, bool))
    assert known.tolist() == [True, True, True, False, False]
    expected = [[28, 41], [75, 41], [50, 70], [0, 0], [0, 0]]
    np.testing.assert_allclose(found, expected)
    found, known = label_map_from(FACTS, "a.json").apply(landmarks, np.arange(5) != 3)
    assert known.tolist() == [False, True, True, False, False] and not found[0].any()


def test_aflw_has_fourteen_points_and_three_means():
    landmarks = np.arange(42, dtype=float).reshape(21, 2)
    found, known = AFLW.apply(landmarks, np.ones(21, bool))
    expected = [8, 17, 19, 21, 22, 24, 26, 30, 36, 39, 42, 45, 48, 54]
    assert np.flatnonzero(known).tolist() == expected
    assert found[8].tolist() == [40, 41] and found[30].tolist() == [28, 29]
    points, weights = AFLW.known_means(landmarks, np.arange(21) != 7)
    assert points.tolist() == [[20, 21], [36, 37]]
    assert np.flatnonzero(weights[0]).tolist() == [42, 43, 44, 45, 46, 47]
    np.testing.assert_allclose(weights[1, [62, 66]], 0.5)


@pytest.mark.parametrize("label_map", MAPS, ids=LABEL_MAPS)
def test_a_mirrored_face_has_the_mirrored_map(label_map):
    """Mapping a mirrored face gives the mirror image of the mapped one, so left is left."""
    source, target = list(label_map.source.flip), list(label_map.target.flip)
    np.testing.assert_array_equal(label_map.points[target][:, source], label_map.points)
    np.testing.assert_array_equal(label_map.means[source][:, target], label_map.means)
    assert label_map.target is IBUG68 and label_map.points.any(axis=1).sum() >= 3


def test_numbers_of_counterparts():
    counts = {m.source.name: int(m.points.any(axis=1).sum()) for m in MAPS}
    assert counts == {"aflw21": 14, "wflw98": 68, "celeba5": 3, "dlib5": 5, "kaggle15": 13}


def test_no_landmark_has_two_counterparts():
    for label_map in MAPS:
        assert ((label_map.points > 0).sum(axis=0) <= 1).all()


@pytest.mark.parametrize(
    "change, why",
    [
        ({"from": "dlib6"}, "dlib6: no landmark scheme"),
        ({"points": {}}, "maps no point"),
        ({"points": {"5": 0}}, "point 5 cannot be 1.0 times point 0"),
        ({"points": {"0": -1}}, "point 0"),
        ({"points": {"0": [[1, 0]]}}, "point 0"),
        ({"points": {"left": 0}}, "left"),
        ({"points": [0]}, "not a label map"),
        ({"pairs": {}}, "keys pairs"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, change, why):
    path = tmp_path / "map.json"
    path.write_text(json.dumps(FACTS | change))
    with pytest.raises(UserError, match=why):
        read_label_map(path)


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "map.json").write_text("{")
    for path in (tmp_path / "map.json", tmp_path / "none.json"):
        with pytest.raises(InputError, match=f"{path}: not a readable label map"):
            read_label_map(path)


def test_the_fingerprint_depends_on_the_weights():
    other = FACTS | {"points": FACTS["points"] | {"1": [0, 1]}}
    first, second = (label_map_from(facts, "a.json").facts() for facts in (FACTS, other))
    assert first["name"] == "a.json" and first["sha256"] != second["sha256"]


# --- which map a data set gets ---


def maps_of(**settings):
    settings = {"format": ("300w-lp", "aflw", "csv"), "scheme": "ibug68", **settings}
    return label_maps_of(PrepareConfig(("a", "b", "c"), **settings))


def test_maps_are_chosen_by_the_schemes_of_format_and_records():
    assert maps_of() == [None, AFLW, None]
    assert maps_of(label_map=("none",)) == [None] * 3
    assert maps_of(scheme="wflw98") == [None] * 3


def test_a_map_of_ones_own_is_for_its_data_set(tmp_path):
    (path := tmp_path / "map.json").write_text(json.dumps(FACTS))
    maps = maps_of(scheme="celeba5", label_map=("none", "auto", str(path)))
    assert maps[:2] == [None, None] and maps[2].source.name == "dlib5"
    with pytest.raises(UserError, match="leads to celeba5, and the records have ibug68"):
        maps_of(label_map=(str(path),))
    with pytest.raises(UserError, match="--label-map has 2 maps for 1 folders"):
        prepare(PrepareConfig((tmp_path,), label_map=("auto", "auto")))


# --- the whole face of a partial label ---

SHAPES, YAWS_DEG = random_shapes(12, 8, seed=9)  # other heads than those of the examples


def box_errors(whole, found) -> tuple[float, float]:
    """Distance of centres and difference of sizes of the face boxes, relative to the size."""
    (x, y, size, _), (u, v, other, _) = (face_box(points, BoxRule()) for points in (whole, found))
    distance = np.hypot(u + other / 2 - x - size / 2, v + other / 2 - y - size / 2)
    return distance / size, abs(other / size - 1)


def aflw_of(shape, hidden=()):
    """The 21 points of a face in AFLW; ears, sides of the nose and `hidden` ones are missing."""
    mask = AFLW.points.any(axis=0) | AFLW.means.any(axis=1)
    mask[list(hidden)] = False
    landmarks = AFLW.points.T @ shape + AFLW.means @ shape
    return label_of(np.where(mask[:, None], landmarks, 0), mask)


def test_the_box_of_visible_points_is_that_of_all_landmarks():
    """On turned heads, with the points of the half that is turned away hidden, as in AFLW."""
    turned = np.abs(YAWS_DEG) > 45
    errors = []
    for shape, yaw in zip(SHAPES[turned], YAWS_DEG[turned], strict=True):
        # A negative yaw turns the face to the right of the picture and hides that half.
        hidden = (3, 4, 5, 9, 10, 11, 19) if yaw < 0 else (0, 1, 2, 6, 7, 8, 17)
        label = mapped(aflw_of(shape * 20, hidden), AFLW, IBUG68)
        errors.append(box_errors(shape * 20, label.whole))
        np.testing.assert_allclose(label.whole[label.mask], (shape * 20)[label.mask])
    assert len(errors) == 96
    centre, size = np.median(errors, axis=0)
    assert centre < 0.025 and size < 0.025
    assert (np.quantile(errors, 0.9, axis=0) < (0.05, 0.08)).all()


def test_a_known_yaw_says_where_the_face_is_if_few_points_are_visible():
    """A corner and the middle of the mouth and the chin are much alike from either side."""
    hidden = [point for point in range(21) if point not in (17, 18, 20)]
    errors = {True: [], False: []}
    for shape, yaw in zip(SHAPES, YAWS_DEG, strict=True):
        if abs(yaw) > 60:
            for known in errors:
                label = aflw_of(shape, hidden)
                pose = np.array([np.nan, yaw if known else np.nan, np.nan])
                whole = mapped(replace(label, pose_deg=pose), AFLW, IBUG68).whole
                errors[known].append(box_errors(shape, whole)[0])
    assert np.quantile(errors[True], 0.9) < 0.1 < 0.25 < np.quantile(errors[False], 0.9)


@given(st.integers(0, 95), st.floats(0.5, 50), st.floats(-180, 180), st.floats(-500, 500))
def test_a_moved_turned_and_larger_face_is_completed_alike(number, scale, angle_deg, shift):
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shape = SHAPES[number]
    plain = mapped(aflw_of(shape), AFLW, IBUG68).whole
    moved = mapped(aflw_of(scale * shape @ turn + shift), AFLW, IBUG68).whole
    np.testing.assert_allclose(moved, scale * plain @ turn + shift, atol=1e-4 * scale)


def test_a_whole_label_and_other_schemes_are_not_completed():
    whole = label_of(SHAPES[0], np.ones(68, bool))
    assert mapped(whole, None, IBUG68).whole is None
    assert mapped(aflw_of(SHAPES[0]), None, AFLW21).whole is None


def test_one_missing_landmark_hardly_changes_the_box():
    for missing in (8, 30):
        label = label_of(SHAPES[3], np.arange(68) != missing)
        assert max(box_errors(SHAPES[3], mapped(label, None, IBUG68).whole)) < 0.02


def test_two_points_are_too_few():
    mask = np.isin(np.arange(21), (14, 20))
    with pytest.raises(Rejected, match="2 landmarks, and 3 are needed") as caught:
        mapped(label_of(np.ones((21, 2)) * np.arange(21)[:, None], mask), AFLW, IBUG68)
    assert caught.value.reason == "few-points"


def test_nothing_is_estimated_for_a_box_that_is_not_around_the_landmarks():
    mask = np.isin(np.arange(21), (14, 20))
    label = label_of(np.ones((21, 2)), mask)
    found = whole_face.mapped(label, AFLW, IBUG68, estimate=False)
    assert found.whole is None and np.flatnonzero(found.mask).tolist() == [8, 30]


# --- records ---


def write_table(folder, points, kept):
    """A folder of plain pictures of faces [S, 68, 2], and a table with the points `kept`."""
    folder.mkdir()
    rows = [["picture", *(f"{axis}{point}" for point in range(len(kept)) for axis in "xy")]]
    for number, face in enumerate(points):
        rows.append([f"{folder.name}{number:02d}.png", *face[kept].ravel().round(4).tolist()])
        cv2.imwrite(str(folder / rows[-1][0]), make_picture(face, (300, 300), seed=number))
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def mixed(tmp_path):
    """Faces with 68 points in one folder, and the same ones with 5 of them in another."""
    points = SHAPES[::8] * 10
    points += 150 - points.mean(axis=1, keepdims=True)
    write_table(tmp_path / "whole", points, list(range(68)))
    write_table(tmp_path / "five", points, [36, 45, 30, 48, 54])
    facts = {"points": {"36": 0, "45": 1, "30": 2, "48": 3, "54": 4}}
    (tmp_path / "map.json").write_text(json.dumps(facts | {"from": "celeba5", "to": "ibug68"}))
    return tmp_path


def test_two_schemes_are_one_set_of_records_with_boxes_that_agree(mixed):
    path = str(mixed / "map.json")
    config = PrepareConfig(
        (mixed / "whole", mixed / "five"),
        out=mixed / "records",
        scheme="ibug68",
        label_map=("auto", path),
        test_share=1.0,
        detector_pictures=0,
        processes=1,
    )
    manifest = prepare(config)
    assert manifest["scheme"]["name"] == "ibug68" and manifest["rejects"] == 0
    entries = [source["label_map"] for source in manifest["sources"]]
    assert entries == [None, read_label_map(path).facts()]
    assert manifest["sides"]["test"]["complete"] == len(SHAPES[::8]) == 24
    found = {r.name: r for r in read_records(config.out, manifest, "test")}
    errors = []
    for number in range(24):
        whole, five = found[f"whole{number:02d}.png"], found[f"five{number:02d}.png"]
        known = five.mask > 0
        assert np.flatnonzero(known).tolist() == [30, 36, 45, 48, 54] and whole.mask.all()
        same, points = (
            np.column_stack([r.landmarks, np.ones(68)]) @ r.affine.T for r in (whole, five)
        )
        np.testing.assert_allclose(points[known], same[known], atol=1e-2)
        size = whole.affine[0, 0]
        distance = np.hypot(*(five.affine - whole.affine) @ (0.5, 0.5, 1))
        errors.append((distance / size, abs(five.affine[0, 0] / size - 1)))
    assert (np.median(errors, axis=0) < (0.05, 0.08)).all()
    (mixed / "map.json").write_text((mixed / "map.json").read_text().replace("30", "33"))
    assert plan_of(config).listing != manifest["listing"]


def test_different_schemes_without_a_scheme_for_the_records_are_refused(mixed):
    config = PrepareConfig((mixed / "whole", mixed), format=("csv", "aflw"))
    with pytest.raises(UserError, match="aflw21, ibug68.*give the --scheme"):
        prepare(config)


def test_the_survey_names_the_map(mixed):
    config = PrepareConfig((mixed / "five",), ("csv",), label_map=(str(mixed / "map.json"),))
    (found,) = scan_all(config)
    assert "map.json: 5 of 68 landmarks of ibug68; the others are missing" in found.survey()
