"""BioID's pictures and points: the markup, the origin, groups of numbers, not mistaken for .pts."""

import cv2
import numpy as np
import pytest
from conftest import make_picture, prepared

from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import bioid, pts
from senet_kp.data_prep.recognise import recognise
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import BIOID20
from senet_kp.tfrecords.errors import InputError

# 20 points of a plain face of 100x100, in the order of the markup; its right is left in pictures.
FACE = np.array([
    (30, 35), (70, 35), (34, 76), (66, 76), (16, 26), (38, 25), (62, 25), (84, 26), (4, 40),
    (22, 36), (38, 36), (62, 36), (78, 36), (96, 40), (50, 55), (42, 58), (58, 58), (50, 71),
    (50, 84), (50, 98),
], float)  # fmt: skip


def text_of(points) -> str:
    lines = [f"{x:.6g} {y:.6g}" for x, y in points]
    return "\n".join(["version: 1", f"n_points: {len(points)}", "{", *lines, "}"]) + "\n"


def make_bioid(root, numbers=range(0, 1500, 50), pictures="BioID-FaceDatabase-V1.2"):
    (root / pictures).mkdir(parents=True, exist_ok=True)
    (root / "points_20").mkdir(exist_ok=True)
    for number in numbers:
        picture = make_picture(FACE + (120, 80), (286, 384), seed=number)
        path = root / pictures / f"BioID_{number:04d}"
        cv2.imwrite(f"{path}.pgm", picture[..., 0])
        path.with_suffix(".eye").write_text("#LX\tLY\tRX\tRY\n232\t110\t161\t110\n")
        points = root / "points_20" / f"bioid_{number:04d}.pts"
        points.write_text(text_of(FACE + (120, 80.25)))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_bioid(tmp_path_factory.mktemp("bioid"))


def test_points_are_used_unchanged(data):
    source = bioid.FORMAT.scan(data)[1]
    assert source.name == "BioID-FaceDatabase-V1.2/BioID_0050.pgm" and source.picture.is_file()
    label = bioid.FORMAT.read_label(source, source.label.read_bytes(), BIOID20)
    np.testing.assert_allclose(label.landmarks, FACE + (120, 80.25))
    assert label.mask.all()


def test_the_scheme_mirrors_the_plain_face():
    mirrored = FACE[list(BIOID20.flip)] * (-1, 1) + (100, 0)
    np.testing.assert_array_equal(mirrored, FACE)
    left, right = FACE[list(BIOID20.outer_eye_corners), 0]
    assert left < right


def test_neighbouring_numbers_are_one_group(tmp_path):
    sources = bioid.FORMAT.scan(make_bioid(tmp_path, [0, 49, 50, 1520], "."))
    assert [source.group for source in sources] == ["BioID_00", "BioID_00", "BioID_01", "BioID_30"]
    assert {source.official for source in sources} == {"test"}


def test_its_points_are_not_taken_for_ibugs(data, tmp_path):
    assert recognise(data) == "bioid" and not pts.FORMAT.recognises(data)
    root = make_bioid(tmp_path, [3], ".")
    assert recognise(root) == "bioid"
    (root / "photo.pts").write_text(text_of(FACE))
    with pytest.raises(InputError, match="matches several formats"):
        recognise(root)


def test_records_and_survey(data, tmp_path):
    manifest, found = prepared(data, tmp_path / "out", test_share=0.3)
    assert manifest["rejects"] == 0 and manifest["groups_on_two_sides"] == 0
    _, points = found["BioID-FaceDatabase-V1.2/BioID_0500.pgm"]
    np.testing.assert_allclose(points, FACE + (120, 80.25), atol=1e-2)
    manifest, _ = prepared(data, tmp_path / "official", split="official")
    assert manifest["sides"]["test"]["records"] == 30
    root = make_bioid(tmp_path / "more", [1, 2])
    (root / "points_20/bioid_0002.pts").unlink()
    survey = "\n".join(bioid.FORMAT.survey(root, bioid.FORMAT.scan(root)))
    assert "1 pictures (official: 1,521)" in survey and "23 people" in survey
    assert "1 pictures have no .pts file" in survey and "BioID_0002.pgm" in survey


@pytest.mark.parametrize(
    "content, reason",
    [
        ("", "empty"),
        (text_of(FACE[:-1]), "point-count"),
        (text_of(FACE).replace("}", ""), "bad-pts"),
        (text_of(FACE).replace("n_points: 20", "n_points: 68"), "bad-pts"),
        (text_of(FACE).replace("30 35", "nan 35"), "not-finite"),
    ],
)
def test_unusable_labels_have_a_reason(tmp_path, content, reason):
    root = make_bioid(tmp_path, [7])
    (root / "points_20/bioid_0007.pts").write_text(content)
    (source,) = bioid.FORMAT.scan(root)
    rejected = crop_record(source, CropRule(BoxRule(), 1.5, 95, BIOID20))
    assert rejected.reason == reason and "bioid_0007.pts" in rejected.message
