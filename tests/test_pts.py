"""Reading iBUG's .pts files, and what the names of pictures say."""

from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest
from conftest import REAL_DATA, prepared, write_faces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from senet_kp.data_prep.formats import lp300w, pts, tables
from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.data_prep.formats.photos import group_of
from senet_kp.face.known_schemes import IBUG68, WFLW98
from senet_kp.tfrecords.errors import CheckError, InputError

PLACES = st.floats(-5000, 5000).map(lambda value: round(value, 6))


def text_of(points, head="version: 1\nn_points: {count}\n{{\n", tail="}\n") -> str:
    """A .pts file of 0-based points."""
    lines = "".join(f"{x + 1:.6f} {y + 1:.6f}\n" for x, y in points)
    return head.format(count=len(points)) + lines + tail


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def named(root, **options) -> dict[str, str]:
    """{name: label's name} of what a scan finds."""
    return {s.name: s.label.name for s in pts.FORMAT.scan(root, **options)}


# --- the format ---


def test_the_first_pixel_is_number_1():
    points = pts.parse_pts("version: 1\nn_points: 2\n{\n1 1\n30.5 12.25\n}\n")
    np.testing.assert_array_equal(points, [[0, 0], [29.5, 11.25]])


@given(arrays(np.float64, st.tuples(st.integers(1, 98), st.just(2)), elements=PLACES))
def test_points_come_back(points):
    np.testing.assert_allclose(pts.parse_pts(text_of(points)), points, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nn_points: 2\n{\n1 2\n3 4\n}",
        "VERSION:1\r\nN_Points :  2\r\n{\r\n1 2\r\n3 4\r\n}\r\n",
        "version: 1 n_points: 2 { 1 2\n3 4 }",
        "1 2\n3 4\n",
        "n_points:2\n1\t2\n\n  3   4\n",
        "# made by hand\nversion:\nn_points: 2{\n1 2 // eye\n# the other\n3 4\n}\n\n",
        "{\n1 2\n3 4\n}",
    ],
)
def test_headers_braces_and_comments_are_tolerated(text):
    np.testing.assert_array_equal(pts.parse_pts(text), [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    "text, words",
    [
        ("n_points: 3\n{\n1 2\n3 4\n}", "n_points: 3, but it has 2 points"),
        ("n_points: 2\n{\n1 2\n3 4", "before the closing brace"),
        ("{\n1 2\n3\n}", "'3', not x and y"),
        ("1 2 3\n", "not x and y"),
        ("1,2\n", "not x and y"),
        ("{\n1 two\n}", "could not convert"),
        ("\x00\x01binary", "not x and y"),
    ],
)
def test_what_is_no_pts_file_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        pts.parse_pts(text)


POINTS = np.arange(136.0).reshape(68, 2)


@pytest.mark.parametrize(
    "data, reason, words",
    [
        (b"", "empty", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs-pointer", "git lfs pull"),
        (text_of(POINTS)[:400].encode(), "bad-pts", "closing brace"),
        (text_of(POINTS[:60]).encode(), "point-count", "60 points.*JSON file"),
        (text_of(np.ones((98, 2))).encode(), "point-count", "98 points.*--scheme wflw98"),
        (text_of(np.ones((5, 2))).encode(), "point-count", "--scheme dlib5 or --scheme celeba5"),
        (b"n_points: 0\n{\n}\n", "point-count", "0 points"),
        (text_of(np.where(POINTS == 7, np.nan, POINTS)).encode(), "not-finite", "not finite"),
        (text_of(np.where(POINTS == 7, np.inf, POINTS)).encode(), "not-finite", "not finite"),
    ],
)
def test_unusable_labels_have_a_reason(tmp_path, data, reason, words):
    (source,) = pts.FORMAT.scan(touch(tmp_path, "a.jpg", "a.pts"))
    with pytest.raises(Rejected, match=words) as caught:
        pts.FORMAT.read_label(source, data, IBUG68)
    assert caught.value.reason == reason and "a.pts" in str(caught.value)


def test_other_schemes_take_their_own_count(tmp_path):
    (source,) = pts.FORMAT.scan(touch(tmp_path, "a.jpg", "a.pts"))
    data = b"\xef\xbb\xbf" + text_of(np.ones((98, 2)) * 3).encode()
    label = pts.FORMAT.read_label(source, data, WFLW98)
    assert label.landmarks.shape == (98, 2) and (label.landmarks == 3).all() and label.mask.all()


# --- the folder ---


def test_pictures_of_any_suffix_are_paired_in_any_depth(tmp_path):
    touch(tmp_path, "a.jpg", "a.pts", "deep/er/b.PNG", "deep/er/b.PTS", ".hidden.jpg", "._a.pts")
    assert named(tmp_path) == {"a.jpg": "a.pts", "deep/er/b.PNG": "b.PTS"}
    assert [s.subset for s in pts.FORMAT.scan(tmp_path)] == [tmp_path.name, "deep"]


def test_further_faces_of_a_picture_share_its_group(tmp_path):
    touch(tmp_path, "me.jpg", "me.pts", "me_2.pts", "me_3.pts", "me_1.pts")
    assert named(tmp_path) == {"me.jpg": "me.pts", "me.jpg#2": "me_2.pts", "me.jpg#3": "me_3.pts"}
    assert {s.group for s in pts.FORMAT.scan(tmp_path)} == {"me"}
    assert {s.picture for s in pts.FORMAT.scan(tmp_path)} == {tmp_path / "me.jpg"}
    survey = "\n".join(pts.FORMAT.survey(tmp_path, pts.FORMAT.scan(tmp_path)))
    assert "for example" in survey and survey.endswith("me_1.pts")


def test_afw_names_have_a_picture_for_each_face(tmp_path):
    touch(tmp_path, "134212_1.jpg", "134212_1.pts", "134212_2.jpg", "134212_2.pts")
    assert named(tmp_path) == {"134212_1.jpg": "134212_1.pts", "134212_2.jpg": "134212_2.pts"}
    assert {s.group for s in pts.FORMAT.scan(tmp_path)} == {"134212"}


@pytest.mark.parametrize("frames", ["1", "1/annot", "1/frames", "1/images", "1/image"])
def test_frames_of_a_clip_are_one_group(tmp_path, frames):
    touch(tmp_path, "1/annot/000001.pts", "1/annot/000002.pts", "1/vid.avi")
    touch(tmp_path, f"{frames}/000001.jpg", f"{frames}/000002.jpg")
    sources = pts.FORMAT.scan(tmp_path)
    assert len(sources) == 2 and {(s.group, s.subset) for s in sources} == {("1", "1")}


def test_frames_still_in_their_video_are_asked_for(tmp_path):
    touch(tmp_path, "1/annot/000001.pts", "1/vid.avi", "2/annot/000001.pts", "2/000001.jpg")
    survey = "\n".join(pts.FORMAT.survey(tmp_path, pts.FORMAT.scan(tmp_path)))
    assert "1 .pts files have no picture" in survey and "ffmpeg -i vid.avi annot/%06d.png" in survey


def test_mirrored_copies_are_off_by_default_and_in_the_group_of_their_originals(tmp_path):
    touch(tmp_path, *(f"helen/trainset/12_1{end}" for end in (".jpg", ".pts")))
    touch(tmp_path, *(f"helen/trainset/12_1_mirror{end}" for end in (".jpg", ".pts")))
    sources = pts.FORMAT.scan(tmp_path)
    assert [s.name for s in sources] == ["helen/trainset/12_1.jpg"]
    assert "1 mirrored copies are left out" in "\n".join(pts.FORMAT.survey(tmp_path, sources))
    both = pts.FORMAT.scan(tmp_path, flips=True)
    assert len(both) == 2 and {s.group for s in both} == {"HELEN_12"}
    assert len({s.photo for s in both}) == 2
    assert "mirrored" not in "\n".join(pts.FORMAT.survey(tmp_path, both))


def test_survey_counts_by_subset_and_what_has_no_counterpart(tmp_path):
    touch(
        tmp_path,
        "300W/01_Indoor/indoor_001.png",
        "300W/01_Indoor/indoor_001.pts",
        "300W/01_Indoor/indoor_002.png",
        "300W/02_Outdoor/outdoor_001.png",
        "300W/02_Outdoor/outdoor_001.pts",
        "300W/02_Outdoor/outdoor_002.pts",
    )
    sources = pts.FORMAT.scan(tmp_path / "300W")
    survey = pts.FORMAT.survey(tmp_path / "300W", sources)
    assert [line.split()[:3] for line in survey[:2]] == [
        ["01_Indoor", "1", "faces"],
        ["02_Outdoor", "1", "faces"],
    ]
    assert "1 pictures have no .pts file" in survey[2] and "indoor_002.png" in survey[2]
    assert "1 .pts files have no picture" in survey[3] and "outdoor_002.pts" in survey[3]
    assert "non-commercial" in pts.FORMAT.terms(sources)
    assert pts.FORMAT.terms(pts.FORMAT.scan(touch(tmp_path / "mine", "a.jpg", "a.pts"))) == ""


@pytest.mark.parametrize(
    "root, name, group",
    [
        ("300W", "afw/134212_2.jpg", "AFW_134212"),
        ("AFW", "134212_2.jpg", "AFW_134212"),
        ("300W", "helen/testset/100032540_1.jpg", "HELEN_100032540"),
        ("300W", "ibug/image_008_1.jpg", "IBUG_image_008"),
        ("300W", "lfpw/trainset/image_0001.png", "LFPW_image_train_0001"),
        ("300W", "lfpw/testset/image_0001_mirror.png", "LFPW_image_test_0001"),
    ],
)
def test_a_photo_of_300w_has_the_group_that_300w_lp_gives_it(tmp_path, root, name, group):
    assert group_of(root, PurePosixPath(name)) == group
    subset = group.split("_")[0]
    stem = f"{group}_0" if subset == "LFPW" else f"{group}_1_0"
    (source,) = lp300w.FORMAT.scan(touch(tmp_path, f"{subset}/{stem}.jpg"))
    assert source.group == group == group_of("any", PurePosixPath(f"x/{stem}.jpg"))


@pytest.mark.parametrize(
    "name, group",
    [
        ("x/LFPW_image_0001_0.jpg", "LFPW_image_0001"),
        ("IMG_2024.jpg", "IMG_2024"),
        ("a/b/me.jpg", "a/b/me"),
        ("image_0001.jpg", "image_0001"),
        ("indoor_001.png", "indoor_001"),
        ("../photos/me.jpg", "photos/me"),
        ("0001.jpg", "0001"),
        ("clip/annot/000001.jpg", "clip"),
        ("a/clip/frames/000001.jpg", "a/clip"),
        ("a/clip/000001.jpg", "a/clip/000001"),
        ("img_celeba/000002.jpg", "img_celeba/000002"),
        ("images/7.jpg", "images/7"),
        ("image_3_1.png", "image_3"),
    ],
)
def test_group_of_other_pictures(name, group):
    assert group_of("mine", PurePosixPath(name)) == group


@pytest.mark.parametrize(
    "names, words",
    [
        ((), "no labelled picture"),
        (("a.jpg", "b.pts"), "no labelled picture"),
    ],
)
def test_unusable_folders_are_named(tmp_path, names, words):
    with pytest.raises(InputError, match=words) as caught:
        pts.FORMAT.scan(touch(tmp_path, *names))
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(InputError, match="no such file or folder"):
        pts.FORMAT.scan(tmp_path / "none")


# --- the way to records ---


def test_landmarks_of_the_records_lead_back_to_the_files(tmp_path):
    data = tmp_path / "data"
    faces = write_faces(data)
    for name, points in faces.items():
        (data / name).with_suffix(".pts").write_text(text_of(points))
    (data / "a" / "person00x_2.pts").write_text(text_of(faces["a/person00x.png"] + 5))
    (data / "a" / "person02x.pts").write_text("no points")
    manifest, records = prepared(data, tmp_path / "out")
    assert manifest["rejects"] == 1 and manifest["sources"][0]["format"] == "pts"
    faces["a/person00x.png#2"] = faces["a/person00x.png"] + 5
    del faces["a/person02x.png"]
    assert records.keys() == faces.keys()
    for name, (record, points) in records.items():
        assert np.abs(points - faces[name]).max() < 1e-3
        assert record.group == name.partition(".")[0] and record.subset == name[0]


def test_points_of_another_scheme_end_the_run_with_its_name(tmp_path):
    data = tmp_path / "data"
    for name in write_faces(data, 4):
        (data / name).with_suffix(".pts").write_text(text_of(np.ones((98, 2))))
    with pytest.raises(CheckError, match="98 points.*--scheme wflw98"):
        prepared(data, tmp_path / "out")


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_real_files_lie_where_300w_lp_puts_the_same_photos():
    lp = {s.picture.stem: s for s in lp300w.FORMAT.scan(REAL_DATA / "300W_LP")}
    sources = pts.FORMAT.scan(REAL_DATA / "300W_pts")
    assert len(sources) == 12 and len({s.group for s in sources}) == 8
    for source in sources[:4]:
        points = pts.FORMAT.read_label(source, source.label.read_bytes(), IBUG68).landmarks
        other = lp[f"AFW_{source.picture.stem}_0"]
        there = lp300w.FORMAT.read_label(other, other.label.read_bytes(), IBUG68).landmarks
        matrix, off = _scale_and_shift(points, there)
        assert off < 0.01
        # And the pictures agree with that map of their points: both count pixels from 1. One
        # counted from 0 instead would lie about a pixel off.
        photo, crop = (cv2.imread(str(s.picture), cv2.IMREAD_GRAYSCALE) for s in (source, other))
        moved = cv2.warpAffine(photo, matrix, crop.shape[::-1])
        x, y = np.clip(there.mean(axis=0).astype(int), 128, 322)
        parts = [np.float32(p[y - 128 : y + 128, x - 128 : x + 128]) for p in (moved, crop)]
        shift, _ = cv2.phaseCorrelate(*parts, cv2.createHanningWindow((256, 256), cv2.CV_32F))
        assert np.abs(shift).max() < 0.1


def _scale_and_shift(points, target):
    """The [2, 3] matrix of the best scale and shift of points onto target, and its worst miss."""
    centred, there = points - points.mean(axis=0), target - target.mean(axis=0)
    scale = (centred * there).sum() / (centred**2).sum()
    shift = target.mean(axis=0) - scale * points.mean(axis=0)
    off = np.abs(points * scale + shift - target).max()
    return np.column_stack([np.eye(2) * scale, shift]), off


@pytest.mark.parametrize("number", ["1_0", "\u0661\u0660", "1,0", ""])
def test_what_only_python_reads_as_a_number_is_none(number):
    for read in (lambda: pts.parse_pts(f"{number} 5\n"), lambda: tables.floats([number, "5"])):
        with pytest.raises(ValueError, match="could not convert|not x and y"):
            read()
    if "," not in number:  # tables may have decimal commas
        with pytest.raises(Rejected, match="here: could not convert"):
            tables.numbers("here", [number])
