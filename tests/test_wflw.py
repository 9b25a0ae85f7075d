"""WFLW's lists: several faces of a photo, boxes, attributes, and the publishers' own split."""

import numpy as np
import pytest
from conftest import assert_choices, run_module
from tables import make_wflw, wflw_line, wflw_points

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import wflw
from senet_kp.data_prep.prepare import prepare
from senet_kp.face.facebox import BoxRule
from senet_kp.input.crops import load_crops
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.sides import SIDES
from senet_kp.tfrecords.verify import verify


def config(data, out, **options):
    options = {"format": ("wflw",), "detector_pictures": 0, "processes": 1, **options}
    return PrepareConfig(data=(data,), out=out, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_wflw(tmp_path_factory.mktemp("wflw") / "data")


def list_of(root, part):
    return root / wflw.FOLDERS[0] / wflw.LISTS[part]


def read(source):
    return wflw.FORMAT.read_label(source, source.row, wflw.FORMAT.scheme)


# --- the format ---


def test_a_line_is_a_face_with_its_box_and_attributes(data):
    first, second = (s for s in wflw.FORMAT.scan(data) if s.picture.stem == "0_Event_0")
    assert first.name == "WFLW_images/0--Event/0_Event_0.jpg" and first.picture.is_file()
    assert second.name == f"{first.name}#2" and second.picture == first.picture
    assert first.group == second.group and first.photo != second.photo
    assert (first.tags, second.tags) == (("pose", "occlusion"), ("pose", "occlusion", "blur"))
    assert first.subset == first.official == "test"
    label, points = read(second), wflw_points((230, 110), 90, 1000)
    np.testing.assert_allclose(label.landmarks, points, atol=1e-6)
    low, high = points.min(0).astype(int), points.max(0).astype(int) + 1
    assert label.box.tolist() == [*low, *(high - low)] and label.mask.all()


@pytest.mark.parametrize("folder", wflw.FOLDERS)
def test_the_lists_may_lie_in_any_of_the_usual_folders(tmp_path, folder):
    root = make_wflw(tmp_path / "data", photos=4, folder=folder)
    assert len(wflw.FORMAT.scan(root)) == 5 and wflw.FORMAT.recognises(root)
    list_ = root / folder / wflw.LISTS["test"]
    list_.unlink()
    assert {source.subset for source in wflw.FORMAT.scan(root)} == {"train"}


def test_the_survey_counts_faces_photos_and_attributes(data):
    survey = "\n".join(wflw.FORMAT.survey(data, wflw.FORMAT.scan(data)))
    assert "25 faces of 20 photos (official: 7,500)" in survey
    assert "13 faces of 10 photos (official: 2,500)" in survey
    assert "pose 8, expression 0, illumination 0, make-up 0, occlusion 23, blur 8" in survey


POINTS = wflw_points((90, 100), 100, 0)


@pytest.mark.parametrize(
    "line, reason",
    [
        (wflw_line(POINTS[:-1], [0] * 6, "0--Event/0_Event_0.jpg"), "point-count"),
        (wflw_line(POINTS, [0] * 5, "0--Event/0_Event_0.jpg"), "point-count"),
        ("0--Event/0_Event_0.jpg", "point-count"),
        (
            "left " + wflw_line(POINTS, [0] * 6, "0--Event/0_Event_0.jpg").split(" ", 1)[1],
            "not-numbers",
        ),
        (
            "nan " + wflw_line(POINTS, [0] * 6, "0--Event/0_Event_0.jpg").split(" ", 1)[1],
            "not-finite",
        ),
        (wflw_line(POINTS, [0] * 6, "gone.jpg"), "missing"),
        (
            " ".join(
                [
                    *wflw_line(POINTS, [0] * 6, "x").split()[:196],
                    "9",
                    "9",
                    "9",
                    "19",
                    *"000000",
                    "0--Event/0_Event_0.jpg",
                ]
            ),
            "no-box",
        ),
    ],
)
def test_unusable_lines_have_a_reason(data, tmp_path, line, reason):
    (tmp_path / wflw.LISTS["train"]).write_text(line + "\n")
    (tmp_path / wflw.PICTURES).symlink_to(data / wflw.PICTURES)
    (source,) = wflw.FORMAT.scan(tmp_path)
    rejected = crop_record(source, CropRule(BoxRule(), 1.5, 95, wflw.FORMAT.scheme))
    assert rejected.reason == reason and rejected.message.count(str(source.picture)) == 1


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "expected WFLW_images/"),
        (b"", "empty"),
        (b"\n\n", "contains no face"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, content, words):
    (tmp_path / wflw.PICTURES).mkdir()
    if content is not None:
        (tmp_path / wflw.LISTS["train"]).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        wflw.FORMAT.scan(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_lists_without_pictures_are_refused(tmp_path):
    (tmp_path / wflw.LISTS["train"]).write_text("a.jpg\n")
    assert not wflw.FORMAT.recognises(tmp_path)
    with pytest.raises(InputError, match="expected WFLW_images/"):
        wflw.FORMAT.scan(tmp_path)


# --- the records ---


def test_tags_and_groups_reach_the_records(data, tmp_path):
    manifest = prepare(config(data, tmp_path / "out"))
    assert manifest["groups_on_two_sides"] == 0 and not verify(tmp_path / "out")[0]
    sides, tagged = {}, 0
    for side in SIDES:
        crops = load_crops(tmp_path / "out", manifest, side)
        for group in crops.groups:
            assert sides.setdefault(group, side) == side
        tagged += sum(mask.sum() for name, mask in crops.tag_masks().items() if name == "blur")
    assert len(sides) == 30 and tagged == 8


def test_boxes_of_the_list_serve_where_asked_for(data, tmp_path):
    box = BoxRule(source="label", scale=1.0)
    manifest = prepare(config(data, tmp_path / "out", box=box))
    sources = {source.name: source for source in wflw.FORMAT.scan(data)}
    for record in read_records(tmp_path / "out", manifest, "test"):
        x, y, w, h = read(sources[record.name]).box
        side = max(w, h)
        corner = (x + w / 2 - side / 2, y + h / 2 - side / 2)
        expected = [[side, 0, corner[0]], [0, side, corner[1]]]
        np.testing.assert_allclose(record.affine, expected, atol=1e-3)


def test_the_official_split_tests_on_the_official_list(data, tmp_path):
    out = tmp_path / "out"
    command = [
        "-m",
        "data_prep.prepare",
        "--data",
        data,
        "--format",
        "wflw",
        "--out",
        out,
        "--split",
        "official",
        "--detector-pictures",
        "0",
    ]
    result = run_module(*command)
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(out)
    found = {side: list(read_records(out, manifest, side)) for side in SIDES}
    assert {side: {record.subset for record in found[side]} for side in SIDES} == {
        "train": {"train"},
        "val": {"train"},
        "test": {"test"},
    }
    assert len(found["test"]) == 13 and len(found["train"]) + len(found["val"]) == 25
    by_hash = prepare(config(data, tmp_path / "hash"))
    test = {record.subset for record in read_records(tmp_path / "hash", by_hash, "test")}
    assert test == {"train", "test"}


def test_a_photo_in_both_lists_is_named(tmp_path):
    root = make_wflw(tmp_path / "data", photos=8)
    line = wflw_line(wflw_points((90, 100), 100, 3), [0] * 6, "1--Event/1_Event_1.jpg")
    with open(list_of(root, "test"), "a") as file:
        file.write(line + "\n")
    words = r"1_Event_1\.jpg: its photo .* is in both the official train and the official test list"
    with pytest.raises(InputError, match=words):
        prepare(config(root, tmp_path / "out", split="official"))
    manifest = prepare(config(root, tmp_path / "out", test_share=0.5))
    assert manifest["groups_on_two_sides"] == 0


def test_no_official_split_is_an_error(tree, data, tmp_path):
    with pytest.raises(UserError, match="300w-lp has no official test part"):
        prepare(config(tree, tmp_path / "out", format=("300w-lp",), split="official"))
    result = run_module(
        "-m",
        "data_prep.prepare",
        "--data",
        data,
        "--format",
        "wflw",
        "--split",
        "mine",
        "--out",
        tmp_path / "out",
    )
    assert_choices(result, "--split", "hash", "official")
