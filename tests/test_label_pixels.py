"""Labels of pictures with an orientation: read and written in stored or in upright pixels."""

import csv
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT, face_points, make_picture, prepared
from PIL import Image
from test_orientation import ORIENTATIONS, file_of

from senet_kp.data_prep.config import PrepareConfig, crop_rule
from senet_kp.data_prep.crop_record import Reject, crop_record
from senet_kp.data_prep.data_sets import scan_all
from senet_kp.data_prep.detected import Detected, alarms, is_upright
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.face_sample import FaceLabel
from senet_kp.data_prep.formats.pts import write_pts
from senet_kp.data_prep.imglab import WriterConfig, write_imglab
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.pictures import stored_picture
from senet_kp.face.turning import inverse, turned_picture, turned_points
from senet_kp.tfrecords.errors import CheckError
from senet_kp.tfrecords.shards import read_manifest

SIZE = (150, 130)  # of the upright picture; the face is not in its middle
PAGE = ROOT / "docs" / "data.md"
READERS = ("pts", "csv", "imglab")


def write_faces(folder, orientations, pixels: str, reader: str) -> dict[str, np.ndarray]:
    """Write dotted pictures and their labels in these pixels; return {name: upright points}."""
    folder.mkdir(exist_ok=True)
    points, rows, images = {}, [], []
    for orientation in orientations:
        name, back = f"{orientation}.png", inverse(orientation)
        points[name] = np.round(face_points((62, 70), 84, seed=orientation))
        picture = turned_picture(make_picture(points[name], SIZE[::-1]), back)
        (folder / name).write_bytes(file_of(picture, "PNG", orientation))
        given = points[name]
        if pixels == "stored":
            given = turned_points(given, back, SIZE)
        if reader == "pts":
            write_pts(folder / f"{orientation}.pts", given)
        rows.append([name, *given.ravel().tolist()])
        parts = "".join(
            f"<part name='{i:02d}' x='{x:g}' y='{y:g}'/>" for i, (x, y) in enumerate(given)
        )
        box = f"<box top='1' left='1' width='9' height='9'>{parts}</box>"
        images.append(f"<image file='{name}'>{box}</image>")
    if reader == "csv":
        header = ["picture", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
        with open(folder / "labels.csv", "w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    if reader == "imglab":
        text = f"<dataset><images>{''.join(images)}</images></dataset>"
        (folder / "labels.xml").write_text(text)
    return points


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("pixels", ["stored", "upright"])
def test_labels_lie_on_the_dots_of_the_upright_picture(tmp_path, pixels, reader):
    points = write_faces(tmp_path / "data", ORIENTATIONS, pixels, reader)
    options = {"format": (reader,), "test_share": 1.0, "label_pixels": pixels}
    _, found = prepared(tmp_path / "data", tmp_path / "out", **options)
    assert found.keys() == points.keys() and len(found) == 8
    for name, (record, landmarks) in found.items():
        np.testing.assert_allclose(landmarks, points[name], atol=1e-3)
        picture = stored_picture(record.picture, name, record.encoding)
        x, y = np.round(record.landmarks * 128 + (192 - 128) / 2 - 0.5).astype(int).T
        assert np.median(picture[y, x].max(axis=1)) < 60  # dots are dark, and nothing else is


def test_formats_have_the_pixels_of_their_tools(tmp_path):
    """dlib, imglab and MATLAB do not turn pictures; autolabel and viewers do."""
    expected = {"imglab": "stored", "300w-lp": "stored", "pts": "upright", "csv": "upright"}
    assert {name: FORMATS[name].label_pixels for name in expected} == expected
    for reader in READERS:
        points = write_faces(tmp_path / reader, [6], expected[reader], reader)
        _, found = prepared(tmp_path / reader, tmp_path / f"{reader}-out", test_share=1.0)
        np.testing.assert_allclose(found["6.png"][1], points["6.png"], atol=1e-3)


def test_the_page_on_data_lists_the_pixels_of_every_format():
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| (stored|upright|-) \|$", PAGE.read_text(), re.M)
    assert dict(rows).keys() == FORMATS.keys()
    for name, pixels in rows:
        assert pixels in (FORMATS[name].label_pixels, "-"), name


@pytest.mark.parametrize("pixels", ["stored", "upright"])
def test_imglabs_file_has_stored_pixels_whatever_the_input(tmp_path, pixels):
    points = write_faces(tmp_path / "data", ORIENTATIONS, pixels, "pts")
    config = WriterConfig(tmp_path / "data", tmp_path / "o.xml", label_pixels=pixels)
    assert write_imglab(config) == 8
    for image in ElementTree.parse(tmp_path / "o.xml").getroot().iter("image"):
        parts = np.array([(int(part.get("x")), int(part.get("y"))) for part in image.iter("part")])
        with Image.open(tmp_path / image.get("file")) as file:  # Pillow does not turn pictures
            stored = np.asarray(file)
        assert np.median(stored[parts[:, 1], parts[:, 0]].max(axis=1)) < 60
        name = image.get("file").removeprefix("data/")
        back = inverse(int(name.removesuffix(".png")))
        assert np.array_equal(parts, turned_points(points[name], back, SIZE))
        box = next(image.iter("box"))
        left, top, width = (int(box.get(key)) for key in ("left", "top", "width"))
        low, high = parts.min(axis=0), parts.max(axis=0)
        middle = left + (width - 1) / 2, top + (width - 1) / 2
        np.testing.assert_allclose(middle, (low + high) / 2, atol=1)
        assert width == round(1.2 * (high - low).max())


def test_preparation_counts_turned_pictures_and_names_the_flag(tmp_path, capsys):
    write_faces(tmp_path / "data", [6, 1], "upright", "pts")
    manifest, _ = prepared(tmp_path / "data", tmp_path / "out", test_share=1.0)
    said = [line for line in capsys.readouterr().out.splitlines() if "orientation" in line]
    assert len(said) == 1 and said[0].startswith("1 pictures have an EXIF orientation")
    assert "(pts) are read in upright pixels, which --label-pixels changes" in said[0]
    assert manifest["turned_pictures"] == {"pts": 1}
    assert manifest["label_pixels"] == {"pts": "upright"}
    assert read_manifest(tmp_path / "out")["settings"]["label_pixels"] == "format"


def test_a_face_that_the_wrong_reading_puts_outside_is_rejected_with_the_flag(tmp_path):
    """A wide picture with its face at the right: read the other way, it is below the picture."""
    points = face_points((250, 50), 60)
    (tmp_path / "a.jpg").write_bytes(file_of(make_picture(points, (100, 300)), "JPEG", 6))
    write_pts(tmp_path / "a.pts", points)  # in stored pixels
    config = PrepareConfig(data=(tmp_path,), format=("pts",))
    (data_set,) = scan_all(config)
    rejected = crop_record(data_set.sources[0], crop_rule(config))
    assert isinstance(rejected, Reject) and rejected.reason == "outside"
    assert "upright pixels of a picture with orientation 6" in rejected.message
    assert "--label-pixels" in rejected.message and rejected.orientation == 6
    other = crop_record(data_set.sources[0], replace(crop_rule(config), label_pixels="stored"))
    assert not isinstance(other, Reject) and other.orientation == 6


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, True), (2, False), (3, False), (4, False), (5, False), (6, False), (7, False), (8, False)],
)
def test_only_one_of_eight_orientations_of_a_face_is_upright(orientation, upright):
    points = turned_points(face_points((70, 60), 80, yaw_deg=15), orientation, (140, 120))
    label = FaceLabel(points, np.ones(68, bool), np.full(3, np.nan))
    assert is_upright(label, (36, 45)) is upright
    without_eye = replace(label, mask=np.arange(68) != 36)
    assert is_upright(without_eye, (36, 45)) is None


# --- the alarm ---


@pytest.fixture
def measured(tmp_path):
    """A function that makes results of the detector, and the rule they were measured with."""
    write_faces(tmp_path / "data", [6], "upright", "pts")
    config = PrepareConfig(data=(tmp_path / "data",), format=("pts",))
    (source,) = scan_all(config)[0].sources

    def make(fits, on_face=True, found=True, count=1):
        return [Detected(None, found, on_face, source, fits)] * count

    return make, crop_rule(config)


def test_labels_that_fit_only_by_the_other_reading_stop_the_run(measured):
    make, rule = measured
    faces = make((False, True), count=3) + make((True, False), count=2) + make(None, count=9)
    with pytest.raises(CheckError, match=r"6\.png: .*one of 3 .*: give --label-pixels stored"):
        alarms(faces, rule)
    with pytest.raises(CheckError, match="give --label-pixels upright"):
        alarms(faces, replace(rule, label_pixels="stored"))


def test_a_few_such_labels_are_warned_of(measured):
    make, rule = measured
    (line,) = alarms(make((False, True)) + make((True, False), count=2), rule)
    assert line.startswith("warning: ") and "one of 1 whose labels" in line and "6.png" in line


def test_faces_that_tell_nothing_raise_no_alarm(measured):
    make, rule = measured
    for fits in ((True, True), (False, False), (True, False), None):
        assert alarms(make(fits, count=20), rule) == []


def test_labels_beside_most_faces_are_warned_of(measured):
    make, rule = measured
    beside, on_face = make(None, on_face=False, count=6), make(None, count=5)
    (line,) = alarms(beside + on_face, rule)
    assert "on 6 of the 11 measured pictures" in line
    nothing = make(None, on_face=False, found=False, count=20)
    assert alarms(beside[:4] + nothing, rule) == []  # four faces are too few to tell
    assert alarms(beside[:5] + on_face + nothing, rule) == []


def test_rendered_faces_read_the_wrong_way_stop_preparation(tmp_path, capsys):
    """They are in the middle of square pictures: only the eyes tell that a reading is wrong."""
    for number in range(4):
        view = render_identity(7, number, 1)[0]
        picture = turned_picture(view.image[..., ::-1], inverse(6))
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{number}.jpg").write_bytes(file_of(picture, "JPEG", 6))
        write_pts(tmp_path / "data" / f"{number}.pts", view.points_2d)
    options = {"test_share": 0.4, "detector_pictures": 4}
    with pytest.raises(CheckError, match="give --label-pixels upright"):
        prepared(tmp_path / "data", tmp_path / "out", label_pixels="stored", **options)
    assert not (tmp_path / "out").exists()
    manifest, _ = prepared(tmp_path / "data", tmp_path / "out", **options)
    assert manifest["detector_box"] and "warning" not in capsys.readouterr().out
