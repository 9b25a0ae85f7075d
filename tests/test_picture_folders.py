"""What is left out of a folder is counted and named, and what OpenCV reads is taken."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import face_points, make_picture, prepared, write_view

from senet_kp.data_prep.autolabel import _by_stem
from senet_kp.data_prep.config import PrepareConfig, crop_rule
from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.data_sets import scan_all
from senet_kp.data_prep.formats.pts import write_pts
from senet_kp.demo.sources import is_video, pictures_of
from senet_kp.face import folders, heic
from senet_kp.face.folders import contents_below, contents_of, is_picture, pictures_in
from senet_kp.face.pictures import BadPicture, read_picture
from senet_kp.tfrecords.errors import InputError

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


@pytest.fixture(autouse=True)
def no_heic_reader(monkeypatch):
    for module in (folders, heic):
        monkeypatch.setattr(module, "has_heic_reader", lambda: False)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(paths):
    return [path.name for path in paths]


@pytest.fixture
def phone(tmp_path):
    """A folder as it comes from a phone, a browser and a Mac."""
    return touch(
        tmp_path / "phone",
        *("b.jpg", "a.JPG", "c.jfif", "d.avif", "e.gif", "f.jp2"),
        *("1.HEIC", "2.heic", "raw.DNG", "._a.JPG", ".thumb.png", "clip.MOV", "notes.txt"),
        *("sub/g.jpg", "sub2/h.jpg", ".cache/i.jpg"),
    )


def test_what_opencv_reads_is_taken_and_the_rest_is_named(phone):
    found = contents_of(phone)
    assert names(found.pictures) == ["a.JPG", "b.jpg", "c.jfif", "d.avif", "e.gif", "f.jp2"]
    lines = "\n".join(found.lines())
    assert "2 folders in it are left out" in lines and "sub" in lines
    assert "2 pictures are HEIC, which OpenCV does not read" in lines
    assert "pillow-heif" in lines and "1.HEIC" in lines
    assert "1 pictures are .dng" in lines and "2 hidden pictures are left out" in lines
    assert "1 videos are left out" in lines and "clip.MOV" in lines
    assert len(lines.splitlines()) == 5 and "notes" not in lines


def test_the_demo_searches_subfolders_too_and_both_say_what_they_leave_out(phone, capsys):
    pictures, left_out = pictures_of(str(phone))
    assert names(Path(picture.path) for picture in pictures[-2:]) == ["g.jpg", "h.jpg"]
    assert [picture.below for picture in pictures] == [*["."] * 6, "sub", "sub2"]
    folders, *others = contents_of(phone).lines()
    assert left_out == others and "folders in it" in folders
    assert list(_by_stem((phone,))) == ["a", "b", "c", "d", "e", "f"]
    assert capsys.readouterr().out.splitlines() == [
        f"{phone}: {line}" for line in [folders, *others]
    ]


def test_a_folder_of_nothing_but_heic_says_so(tmp_path):
    touch(tmp_path, "1.HEIC", "2.HEIC")
    with pytest.raises(InputError, match=r"without pictures \(2 pictures are HEIC.*pillow-heif"):
        pictures_in(tmp_path)


def test_links_to_folders_and_to_nothing_are_named(tmp_path):
    touch(tmp_path / "data", "in/a.png", "in/.git/b.png")
    touch(tmp_path / "elsewhere", "c.png")
    (tmp_path / "data" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "data" / "in" / "real.png").symlink_to(tmp_path / "elsewhere" / "c.png")
    found = contents_below(tmp_path / "data")
    assert names(found.pictures) == ["a.png", "real.png"]
    lines = "\n".join(found.lines())
    assert "1 links to folders are not followed" in lines and "more" in lines
    assert "1 links lead to no file" in lines and "gone.png" in lines


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    touch(tmp_path, "a.png", "closed/b.png")
    (tmp_path / "closed").chmod(0)
    try:
        assert "1 folders cannot be listed" in "\n".join(contents_below(tmp_path).lines())
    finally:
        (tmp_path / "closed").chmod(0o700)


@pytest.mark.parametrize("suffix", [".jfif", ".avif", ".gif", ".jp2", ".ras"])
def test_rare_formats_are_read_as_rgb(tmp_path, suffix):
    picture = np.full((64, 96, 3), 250, np.uint8)
    picture[:, :, :2] = 0  # BGR: red
    try:
        ok, data = cv2.imencode(".jpg" if suffix == ".jfif" else suffix, picture)
    except cv2.error:
        pytest.skip(f"this OpenCV does not write {suffix}")
    (tmp_path / f"a{suffix}").write_bytes(data.tobytes())
    assert is_picture(tmp_path / f"a{suffix}") and not is_video(str(tmp_path / f"a{suffix}"))
    red, _, blue = read_picture(tmp_path / f"a{suffix}")[32, 48]
    assert red > 200 and blue < 50


@pytest.mark.parametrize(("name", "words"), [("a.heic", "pillow-heif"), ("a.jpg", "pillow-heif")])
def test_heic_is_known_by_its_contents(tmp_path, name, words):
    (tmp_path / name).write_bytes(HEIC)
    with pytest.raises(BadPicture, match=f"a HEIC picture, .*{words}") as caught:
        read_picture(tmp_path / name)
    assert caught.value.reason == "unread-format" and not is_video(str(tmp_path / name))


def test_the_preview_in_a_raw_file_is_not_taken_for_the_picture(tmp_path):
    ok, data = cv2.imencode(".tif", np.zeros((60, 80, 3), np.uint8))
    (tmp_path / "a.dng").write_bytes(data.tobytes())
    with pytest.raises(BadPicture, match=r"a \.dng picture, .*convert to JPEG") as caught:
        read_picture(tmp_path / "a.dng")
    assert caught.value.reason == "unread-format"


def test_a_reader_of_heic_is_used_where_there_is_one(tmp_path, monkeypatch):
    """The stand-in is for pillow-heif, whose pictures libheif has turned upright already."""
    monkeypatch.setattr(folders, "has_heic_reader", lambda: True)
    touch(tmp_path, "1.heic")
    assert names(contents_of(tmp_path).pictures) == ["1.heic"] and is_picture("x.HEIF")
    red = np.zeros((2, 3, 3), np.uint8)
    red[..., 0] = 255
    monkeypatch.setattr("senet_kp.face.pictures.decode_heic", lambda data: red)
    (tmp_path / "1.heic").write_bytes(HEIC)
    assert read_picture(tmp_path / "1.heic")[0, 0].tolist() == [255, 0, 0]


def test_labels_beside_pictures_that_are_not_read_are_rejected_for_that_reason(tmp_path, capsys):
    data = touch(tmp_path / "data", "deep/2.HEIC")
    points = face_points((70, 80), 80)
    cv2.imwrite(str(data / "0.png"), make_picture(points, (160, 140)))
    (data / "1.HEIC").write_bytes(HEIC)
    for name in ("0", "1"):
        write_pts(data / f"{name}.pts", points)
    options = {"test_share": 1.0, "max_rejects": 0.5}
    manifest, found = prepared(data, tmp_path / "out", **options)
    assert list(found) == ["0.png"] and manifest["rejects"] == 1
    rejects = (tmp_path / "out" / "rejects.csv").read_text()
    assert "1.HEIC,unread-format," in rejects and "pillow-heif" in rejects
    said = capsys.readouterr().out
    assert "1 pictures are HEIC" in said and "2.HEIC" in said  # it has no label
    assert "have no picture" not in said


def test_of_two_pictures_with_one_label_the_common_suffix_has_it(tmp_path):
    touch(tmp_path, "a.gif", "a.jpg", "a.avif", "a.HEIC", "a.pts")
    config = PrepareConfig(data=(tmp_path,), format=("pts",))
    (data_set,) = scan_all(config)
    assert [source.name for source in data_set.sources] == ["a.jpg"]
    assert "2 pictures have no .pts file" in data_set.survey()
    assert crop_record(data_set.sources[0], crop_rule(config)).reason == "empty"


def test_300w_lp_takes_any_picture_with_a_label_and_names_the_rest(tmp_path):
    for number, suffix in enumerate((".jpg", ".JPG", ".png")):
        stem = f"AFW_{number}_1_0"
        write_view(tmp_path, "AFW", stem, face_points((70, 80), 80), np.zeros((160, 140, 3)))
        (tmp_path / "AFW" / f"{stem}.jpg").rename(tmp_path / "AFW" / f"{stem}{suffix}")
    touch(tmp_path, "AFW/._AFW_0_1_0.jpg", "AFW/AFW_9_1_0.HEIC")
    (data_set,) = scan_all(PrepareConfig(data=(tmp_path,), format=("300w-lp",)))
    assert names(source.picture for source in data_set.sources) == [
        "AFW_0_1_0.jpg",
        "AFW_1_1_0.JPG",
        "AFW_2_1_0.png",
    ]
    survey = data_set.survey()
    assert "1 hidden pictures are left out" in survey and "1 pictures are HEIC" in survey
