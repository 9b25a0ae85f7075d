"""`--format auto`: recognising the format of a folder."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import (
    REAL_DATA,
    assert_one_line_error,
    face_points,
    run_module,
    write_faces,
)

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import labelled_face
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.data_sets import scan_all
from senet_kp.data_prep.formats import FORMATS, aflw
from senet_kp.data_prep.formats.face_sample import FaceLabel
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import face_source
from senet_kp.data_prep.recognise import recognise, with_formats
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import IBUG68
from senet_kp.tfrecords.errors import InputError, UserError


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


XML = "<?xml version='1.0'?>\n<dataset><images/></dataset>"
MAKE = {
    "300w-lp": ("AFW/AFW_1_1_0.mat",),
    "p1": ("training_frames_keypoints.csv",),
    "pts": ("deep/er/a.PTS",),
    "imglab": ("faces.xml", XML),
    "csv": ("labels.csv", "picture,x0,y0\n"),
    "kaggle": ("training.csv",),
    "wflw": ("list_98pt_rect_attr_test.txt",),
    "aflw2000-3d": ("image00002.mat",),
    "aflw": ("labels.csv", ",".join(aflw.COLUMNS)),
    "bioid": ("points_20/bioid_0000.pts",),
    "celeba": ("list_landmarks_align_celeba.csv", "image_id,lefteye_x,lefteye_y\n"),
    "cofw": ("COFW_test.mat",),
    "lapa": ("train/landmarks/AFW_134212_1_0.txt",),
}
BESIDE = {
    "wflw": ("WFLW_images/a.jpg",),
    "aflw2000-3d": ("image00002.jpg",),
    "aflw": ("pictures/image00002.jpg",),
    "bioid": ("BioID-FaceDatabase-V1.2/BioID_0000.pgm",),
    "celeba": ("img_align_celeba/000001.jpg",),
    "lapa": ("train/images/AFW_134212_1_0.jpg",),
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_recognised_only_as_itself(tmp_path, name):
    file, *text = MAKE[name]
    write(tmp_path / file, *text)
    for beside in BESIDE.get(name, ()):
        write(tmp_path / beside)
    assert recognise(tmp_path) == name


class Tiny(Format):
    """As little as a format can define: every .jpg is a face whose points are all at 7, 7."""

    name, expects = "tiny", ".jpg files"

    def recognises(self, root):
        return any(root.glob("*.jpg"))

    def find_faces(self, root):
        return [face_source(self.name, root, path, path) for path in sorted(root.glob("*.jpg"))]

    def read_label(self, source, data, scheme):
        points, known = np.full((scheme.count, 2), 7.0), np.ones(scheme.count, bool)
        return FaceLabel(points, known, np.full(3, np.nan))


def test_a_format_needs_only_three_methods(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "tiny", Tiny())
    with pytest.raises(InputError, match=r"no labelled picture found; expected \.jpg files"):
        FORMATS["tiny"].scan(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        write(tmp_path / name)
    assert recognise(tmp_path) == "tiny"
    (data_set,) = scan_all(PrepareConfig(data=(tmp_path,), format=("tiny",)))
    assert [source.name for source in data_set.sources] == ["a.jpg", "b.jpg"]
    assert "2 faces in 2 pictures" in data_set.survey()
    entry = data_set.manifest_entry("pts_3d", {})
    assert (entry["format"], entry["labels"], entry["terms"]) == ("tiny", "tiny", "")
    _, label = labelled_face(data_set.sources[0], CropRule(BoxRule(), 1.5, 95, IBUG68))
    assert label.landmarks.shape == (68, 2)


def test_the_formats_are_printed_one_a_line():
    result = run_module("-m", "data_prep.formats")
    assert result.returncode == 0, result.stderr
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines == [[name, format.expects] for name, format in FORMATS.items()]
    assert [name for name, _ in lines] == sorted(MAKE)


@pytest.mark.parametrize("name", ["imglab", "csv"])
def test_a_label_file_stands_for_its_folder(tmp_path, name):
    file, text = MAKE[name]
    write(tmp_path / file, text)
    write(tmp_path / "a.pts")
    assert recognise(tmp_path / file) == name


def test_the_test_tree_is_300w_lp_with_and_without_its_landmarks_folder(tree, tmp_path):
    assert recognise(tree) == "300w-lp"
    copy = shutil.copytree(tree, tmp_path / "data")
    shutil.rmtree(copy / "landmarks")
    assert recognise(copy) == "300w-lp"


def test_several_formats_in_one_folder_are_an_error(tmp_path):
    for name in ("pts", "imglab"):
        file, *text = MAKE[name]
        write(tmp_path / file, *text)
    with pytest.raises(InputError, match="choose one with --format") as caught:
        recognise(tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message and "300w-lp" not in message
    assert all(f"{name}: {FORMATS[name].expects}" in message for name in ("pts", "imglab"))


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.jpg": ""},
        {"AFW/a.jpg": ""},
        {"page.xml": "<html/>"},
        {"prices.csv": "picture,price\n"},
        {".hidden/a.pts": ""},
    ],
)
def test_the_error_for_an_unknown_folder_lists_what_every_format_expects(tmp_path, files):
    for name, text in files.items():
        write(tmp_path / name, text)
    with pytest.raises(InputError, match="none of the supported formats") as caught:
        recognise(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert all(f"{name}: {f.expects}" in str(caught.value) for name, f in FORMATS.items())
    with pytest.raises(InputError, match="no such file or folder"):
        recognise(tmp_path / "none")


def test_only_auto_is_replaced_and_printed(tmp_path, capsys):
    for name in ("pts", "csv"):
        file, *text = MAKE[name]
        write(tmp_path / name / file, *text)
    config = PrepareConfig(data=(tmp_path / "pts", tmp_path / "csv"), format=("auto", "csv"))
    assert with_formats(config).format == ("pts", "csv")
    assert capsys.readouterr().out == (
        f"{tmp_path / 'pts'}: recognised as pts ({FORMATS['pts'].expects})\n"
    )
    both = with_formats(PrepareConfig(data=config.data))  # one for all, each by itself
    assert both.format == ("pts", "csv")


def test_different_landmarks_are_an_error_after_recognition(tmp_path, monkeypatch):
    for name in ("pts", "csv"):
        file, *text = MAKE[name]
        write(tmp_path / name / file, *text)
    other = replace(FORMATS["csv"].scheme, name="other68")
    monkeypatch.setattr(FORMATS["csv"], "scheme", other)
    with pytest.raises(UserError, match="different landmarks.*other68"):
        with_formats(PrepareConfig(data=(tmp_path / "pts", tmp_path / "csv")))


def test_preparation_needs_no_format(tmp_path):
    data = tmp_path / "data"
    for index, name in enumerate(write_faces(data, 12)):
        points = face_points((70, 80), 80, seed=index) + 1
        text = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
        (data / name).with_suffix(".pts").write_text(text)
    command = ("-m", "data_prep.prepare", "--out", tmp_path / "out", "--detector-pictures", "0")
    result = run_module(*command, "--data", data, "--processes", "1")
    assert result.returncode == 0, result.stderr
    assert f"{data}: recognised as pts (.pts files" in result.stdout
    result = run_module(*command, "--data", data / "a" / "nothing")
    assert_one_line_error(result, 3, "no such file or folder")


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
@pytest.mark.parametrize(
    "folder, name",
    [
        ("300W_LP", "300w-lp"),
        ("300W_pts", "pts"),
        ("P1_Facial_Keypoints/data", "p1"),
    ],
)
def test_real_folders(folder, name):
    assert recognise(REAL_DATA / folder) == name
