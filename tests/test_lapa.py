"""LaPa's parts: labels of 106 points, groups shared with 300W-LP, and photos of the test part."""

import cv2
import numpy as np
import pytest
from conftest import make_picture, prepared
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import lapa
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.recognise import recognise
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import LAPA106
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.shards import read_records

NAMES = {
    "train": ["10035788_0", "10035788_1", "AFW_134212_1_0", "LFPW_image_train_0116_0", "77"]
    + [f"2{number:05d}_0" for number in range(20)],
    "val": ["10035788_2", "HELEN_3032157739_1_0"],
    "test": ["555_0", "AFW_134212_2_0", "IBUG_image_008_1_0"],
}


def face(seed: int = 0) -> np.ndarray:
    """106 distinct points [106, 2] whose mirror twins lie where the scheme has them."""
    points = np.random.default_rng(5).uniform(-0.5, 0.5, (106, 2))
    points = (points + points[list(LAPA106.flip)] * (-1, 1)) / 2
    corners = list(LAPA106.outer_eye_corners)
    points[corners] = (-0.3, -0.2), (0.3, -0.2)
    return (points + np.random.default_rng(seed).normal(0, 0.005, points.shape)) * 100 + (80, 90)


def text_of(points) -> str:
    return "\n".join([str(len(points)), *(f"{x:.4f} {y:.4f}" for x, y in points)]) + "\n"


def make_lapa(root, names=NAMES):
    for part, stems in names.items():
        for folder in ("images", "labels", "landmarks"):
            (root / part / folder).mkdir(parents=True)
        for index, stem in enumerate(stems):
            points = face(index)
            picture = make_picture(points, (190, 170), seed=index)
            cv2.imwrite(str(root / part / "images" / f"{stem}.jpg"), picture)
            cv2.imwrite(str(root / part / "labels" / f"{stem}.png"), picture[..., 0])
            (root / part / "landmarks" / f"{stem}.txt").write_text(text_of(points))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_lapa(tmp_path_factory.mktemp("lapa") / "LaPa")


def read(source):
    return lapa.FORMAT.read_label(source, source.label.read_bytes(), LAPA106)


def test_points_are_read_line_by_line(data):
    sources = {source.name: source for source in lapa.FORMAT.scan(data)}
    source = sources["train/images/10035788_1.jpg"]
    np.testing.assert_allclose(read(source).landmarks, face(1), atol=1e-4)
    assert source.official == source.subset == "train"
    assert sources["val/images/10035788_2.jpg"].official == "train"
    assert sources["test/images/555_0.jpg"].official == "test"


def test_faces_of_one_photo_are_one_group_also_with_300w_lp(data):
    groups = {source.picture.stem: source.group for source in lapa.FORMAT.scan(data)}
    assert groups["10035788_0"] == groups["10035788_1"] == groups["10035788_2"] == "LaPa_10035788"
    assert groups["77"] == "LaPa_77"
    assert groups["LFPW_image_train_0116_0"] == "LFPW_image_train_0116"
    assert groups["HELEN_3032157739_1_0"] == "HELEN_3032157739"
    assert groups["IBUG_image_008_1_0"] == "IBUG_image_008"


def test_photos_of_the_test_part_are_left_out_of_the_others(data):
    sources = lapa.FORMAT.scan(data)
    assert not [s for s in sources if s.picture.stem == "AFW_134212_1_0"]
    assert [s.subset for s in sources if s.group == "AFW_134212"] == ["test"]
    survey = "\n".join(lapa.FORMAT.survey(data, sources))
    assert "24 pictures (official: 18,176)" in survey
    assert "1 pictures of train/ and val/ show a photo of test/" in survey


def test_the_folder_above_serves_too(data):
    assert (recognise(data), recognise(data.parent)) == ("lapa", "lapa")
    assert {s.name.split("/")[0] for s in lapa.FORMAT.scan(data.parent)} == {"LaPa"}
    assert not lapa.FORMAT.recognises(data / "train")
    with pytest.raises(InputError, match="no labelled picture found; expected train/"):
        lapa.FORMAT.scan(data / "train")


def test_the_official_test_part_is_the_test_side(data, tmp_path):
    manifest, found = prepared(data, tmp_path / "out", split="official")
    assert manifest["rejects"] == 0 and manifest["groups_on_two_sides"] == 0
    test = {record.name for record in read_records(tmp_path / "out", manifest, "test")}
    assert test == {f"test/images/{stem}.jpg" for stem in NAMES["test"]}
    _, points = found["val/images/HELEN_3032157739_1_0.jpg"]
    np.testing.assert_allclose(points, face(1), atol=1e-2)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"\n", "point-count"),
        (b"106\n", "point-count"),
        (b"106\n1 2\n3\n", "point-count"),
        (text_of(face()[:68]).encode(), "point-count"),
        (text_of(face()).replace("106", "105", 1).encode(), "point-count"),
        (text_of(face()).replace("106", "points", 1).encode(), "not-numbers"),
        (text_of(face()).encode() + b"nan nan\n", "point-count"),
        (text_of([*face()[:-1], (np.nan, 1)]).encode(), "not-finite"),
    ],
)
def test_unusable_labels_have_a_reason(tmp_path, content, reason):
    root = make_lapa(tmp_path, {"train": ["1_0"]})
    (root / "train/landmarks/1_0.txt").write_bytes(content)
    (source,) = lapa.FORMAT.scan(root)
    rejected = crop_record(source, CropRule(BoxRule(), 1.5, 95, LAPA106))
    assert rejected.reason == reason and "1_0.txt" in rejected.message


@given(st.lists(st.floats(-500, 500), min_size=212, max_size=212))
def test_a_written_label_is_read_back(values):
    points = np.reshape(values, (106, 2))
    source = FaceSource("a", "lapa", "a.jpg", "a.txt", "a", "a", "train")
    label = lapa.FORMAT.read_label(source, text_of(points).encode(), LAPA106)
    np.testing.assert_allclose(label.landmarks, points, atol=1e-4)
