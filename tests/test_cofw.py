"""COFW's MATLAB 7.3 files: pictures and labels inside HDF5, occlusion, and the official split."""

import builtins

import numpy as np
import pytest
from conftest import assert_one_line_error, make_picture, prepared, run_module

from senet_kp.data_prep.crop_record import Cropped, crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import cofw
from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.data_prep.formats.matlab73 import picture_of
from senet_kp.data_prep.recognise import recognise
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import COFW29
from senet_kp.face.pictures import decode_picture
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.shards import read_records

h5py = pytest.importorskip("h5py")

# 29 points of a plain face of 100x100, in COFW's order.
FACE = np.array([
    (8, 22), (92, 22), (40, 22), (60, 22), (24, 14), (24, 20), (76, 14), (76, 20),
    (16, 34), (84, 34), (38, 34), (62, 34), (27, 29), (27, 38), (73, 29), (73, 38),
    (27, 33), (73, 33), (38, 58), (62, 58), (50, 54), (50, 62),
    (32, 76), (68, 76), (50, 71), (50, 75), (50, 78), (50, 84), (50, 99),
], float)  # fmt: skip
RULE = CropRule(BoxRule(), 1.5, 95, COFW29)


def write_mat(path, part: str, count: int, colour: bool):
    """A file as MATLAB writes it: reversed axes, pictures behind references."""
    end = {"train": "Tr", "test": "T"}[part]
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        pictures = file.create_dataset(f"Is{end}", (1, count), dtype=h5py.ref_dtype)
        phis = np.zeros((count, 87))
        for index in range(count):
            points = FACE + (20 + index, 30)
            occluded = np.arange(29) < index  # the first points, as many as the face's number
            phis[index] = [*(points[:, 0] + 1), *(points[:, 1] + 1), *occluded]
            picture = make_picture(points, (150, 160), seed=index)
            stored = picture.T if colour else picture[..., 0].T
            pictures[0, index] = file.create_dataset(f"#refs#/{index}", data=stored).ref
        file[f"phis{end}"] = phis.T
        file[f"bboxes{end}"] = np.tile([21.0, 31.0, 100.0, 100.0], (count, 1)).T
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("cofw")
    write_mat(root / "COFW_train_color.mat", "train", 16, colour=True)
    write_mat(root / "COFW_test_color.mat", "test", 9, colour=True)
    return root


def read(source):
    return cofw.FORMAT.read_label(source, source.row, COFW29)


def test_the_scheme_mirrors_the_plain_face():
    np.testing.assert_array_equal(FACE[list(COFW29.flip)] * (-1, 1) + (100, 0), FACE)
    left, right = FACE[list(COFW29.outer_eye_corners), 0]
    assert (left, right) == (16, 84)


def test_occluded_points_are_known_and_tagged(data):
    sources = cofw.FORMAT.scan(data)
    assert [source.official for source in sources] == ["train"] * 16 + ["test"] * 9
    assert [source.name for source in sources[15:17]] == ["COFW_train#0016", "COFW_test#0001"]
    # 8 of 29 points are 27.6 %, 7 are 24.1 %
    assert [s.tags for s in sources[:16]] == [()] * 8 + [("occlusion",)] * 8
    label = read(sources[10])
    np.testing.assert_allclose(label.landmarks, FACE + (30, 30))
    assert label.mask.all() and np.isnan(label.pose_deg).all()
    assert label.box.tolist() == [20, 30, 100, 100]
    assert len({source.group for source in sources}) == 25


@pytest.mark.parametrize("colour", [False, True])
def test_pictures_come_out_upright_and_in_rgb(tmp_path, colour):
    path = tmp_path / ("COFW_test_color.mat" if colour else "COFW_test.mat")
    write_mat(path, "test", 2, colour)
    source = cofw.FORMAT.scan(tmp_path)[1]
    expected = make_picture(FACE + (21, 30), (150, 160), seed=1)
    expected = expected if colour else expected[..., :1].repeat(3, axis=2)
    picture = decode_picture(picture_of(source.picture, source.cell), "here")
    np.testing.assert_array_equal(picture, expected)
    assert isinstance(crop_record(source, RULE), Cropped)


def test_colour_is_preferred_and_the_grey_archive_may_be_deeper(data, tmp_path):
    deeper = tmp_path / "common/xpburgos/behavior/code/pose"
    write_mat(deeper / "COFW_train.mat", "train", 3, colour=False)
    assert recognise(tmp_path) == "cofw" and len(cofw.FORMAT.scan(tmp_path)) == 3
    write_mat(tmp_path / "COFW_train_color.mat", "train", 2, colour=True)
    assert {s.picture.name for s in cofw.FORMAT.scan(tmp_path)} == {"COFW_train_color.mat"}


def test_the_official_split_and_tags_reach_the_records(data, tmp_path):
    manifest, found = prepared(data, tmp_path / "out", split="official")
    assert manifest["rejects"] == 0 and len(found) == 25
    test = list(read_records(tmp_path / "out", manifest, "test"))
    assert len(test) == 9 and {record.subset for record in test} == {"test"}
    assert sum("occlusion" in record.tags for record in test) == 1  # the face with 8 points
    record, points = found["COFW_train#0003"]
    np.testing.assert_allclose(points, FACE + (22, 30), atol=1e-2)
    survey = "\n".join(cofw.FORMAT.survey(data, cofw.FORMAT.scan(data)))
    assert "16 faces (official: 1,345), 8 of them with at least 25%" in survey


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda file: file.__delitem__("phisT"), "has no variable phisT"),
        (lambda file: replaced(file, "bboxesT", np.zeros((4, 5))), r"\(2, 87\) and \(5, 4\), not"),
        (lambda file: replaced(file, "phisT", np.zeros((58, 2))), r"\(2, 58\)"),
        (lambda file: replaced(file, "phisT", np.array([b"text"])), "cannot be read"),
    ],
)
def test_files_of_another_layout_are_refused(tmp_path, change, words):
    path = write_mat(tmp_path / "COFW_test.mat", "test", 2, colour=False)
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(InputError, match=words) as caught:
        cofw.FORMAT.scan(tmp_path)
    assert str(path) in str(caught.value)


def replaced(file, name, value):
    del file[name]
    file[name] = value


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file, no HDF5"])
def test_files_that_are_not_hdf5_are_refused(tmp_path, content):
    (tmp_path / "COFW_train.mat").write_bytes(content)
    with pytest.raises(InputError, match="not a readable MATLAB 7.3 file"):
        cofw.FORMAT.scan(tmp_path)
    with pytest.raises(InputError, match="expected COFW_train.mat"):
        cofw.FORMAT.scan(tmp_path.parent)


def test_unusable_pictures_and_labels_have_a_reason(tmp_path):
    path = write_mat(tmp_path / "COFW_test.mat", "test", 4, colour=False)
    with h5py.File(path, "a") as file:
        bad = [np.zeros((4, 4)), np.zeros(7, np.uint8), np.zeros((2, 4, 4), np.uint8)]
        for index, value in enumerate(bad):
            file["IsT"][0, index] = file.create_dataset(f"#refs#/bad{index}", data=value).ref
        file["phisT"][0, 3] = np.nan
        file["bboxesT"][2, 3] = 0
    *pictures, label = cofw.FORMAT.scan(tmp_path)
    for source in pictures:
        rejected = crop_record(source, RULE)
        assert rejected.reason == "unreadable" and rejected.message.count(str(path)) == 1
        assert source.name in rejected.message
    with pytest.raises(Rejected, match="not finite"):
        read(label)
    path.unlink()
    assert crop_record(pictures[0], RULE).reason == "unreadable"


def test_without_h5py_the_extra_is_named(data, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"needs the package h5py: run pip install 'senet_kp\[pre"):
        cofw.FORMAT.scan(data)


def test_imglab_says_that_the_pictures_are_not_files(data, tmp_path):
    result = run_module("-m", "data_prep.imglab", data, "--out", tmp_path / "faces.xml")
    assert "the picture is inside another file" in result.stdout
    assert_one_line_error(result, 5)


@pytest.mark.parametrize("part", ["COFW_test_color.mat"])
def test_damage_anywhere_in_the_file_is_named(data, tmp_path, part):
    """h5py raises KeyError and RuntimeError besides OSError."""
    whole, path = (data / part).read_bytes(), tmp_path / part
    for start in range(0, 4000, 40):
        path.write_bytes(whole[:start] + bytes(40) + whole[start + 40 :])
        try:
            sources = cofw.FORMAT.scan(tmp_path)
        except InputError as error:
            assert part in str(error)
            continue
        for source in sources:
            result = crop_record(source, RULE)
            assert isinstance(result, Cropped) or part in result.message
