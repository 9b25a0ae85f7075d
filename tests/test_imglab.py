"""Reading and writing dlib's imglab XML."""

import os
from pathlib import Path
from xml.sax.saxutils import quoteattr

import cv2
import dlib
import numpy as np
import pytest
from conftest import (
    REAL_DATA,
    assert_choices,
    assert_one_line_error,
    face_points,
    make_picture,
    prepared,
    run_module,
    write_faces,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from senet_kp.data_prep.formats import FORMATS, imglab_xml
from senet_kp.data_prep.formats.face_sample import FaceLabel, Rejected, distances, stated_missing
from senet_kp.data_prep.imglab import WriterConfig, write_imglab
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import DLIB5, IBUG68
from senet_kp.tfrecords.errors import CheckError, InputError, UserError

HEAD = "<?xml version='1.0' encoding='ISO-8859-1'?>\n<dataset><name>x</name><images>\n"
TAIL = "</images></dataset>\n"
FIVE = {f"{i:02d}": (10 + 7 * i, 20 + i * i) for i in range(5)}


def box_xml(parts, attributes="top='10' left='20' width='30' height='40'"):
    inside = (f"<part name='{n}' x='{x}' y='{y}'/>" for n, (x, y) in parts.items())
    return f"<box {attributes}><label>f</label>{''.join(inside)}</box>"


def image_xml(file, *boxes):
    return f"<image file={quoteattr(file)}>{''.join(boxes)}</image>\n"


def write_xml(folder, *images, name="faces.xml"):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(HEAD + "".join(images) + TAIL, encoding="utf-8")
    return path


def read(source, scheme=DLIB5):
    return imglab_xml.FORMAT.read_label(source, source.row, scheme)


def write_tree(root, count=30):
    """Small pictures and their XML, exact; their points by the picture's name."""
    faces = write_faces(root, count)
    labels = {
        name: FaceLabel(points, np.ones(68, bool), np.full(3, np.nan))
        for name, points in faces.items()
    }
    pictures = [(name, [((10, 20, 120, 120), label)]) for name, label in labels.items()]
    text = "\n".join(imglab_xml.format_imglab(pictures, 68, whole_pixels=False))
    (root / "faces.xml").write_text(text)
    return faces


# --- the reader ---


def test_places_are_taken_as_they_are_and_the_boxs_edges_lie_half_a_pixel_outside(tmp_path):
    path = write_xml(tmp_path, image_xml("a/b.jpg", box_xml(FIVE)))
    (source,) = imglab_xml.FORMAT.scan(tmp_path)
    label = read(source)
    np.testing.assert_array_equal(label.landmarks, list(FIVE.values()))
    np.testing.assert_array_equal(label.box, [19.5, 9.5, 30, 40])
    assert label.mask.all() and np.isnan(label.pose_deg).all()
    assert (source.name, source.group, source.subset) == ("a/b.jpg", "a/b", "a")
    assert source.picture == tmp_path / "a" / "b.jpg" and source.label == path
    assert imglab_xml.FORMAT.scan(path) == [source]


def test_several_boxes_of_a_picture_are_faces_of_one_group(tmp_path):
    ignored = box_xml(FIVE, "top='1' left='1' width='9' height='9' ignore='1'")
    kept = box_xml(FIVE, "top='1' left='1' width='9' height='9' ignore='0' occluded='1'")
    write_xml(tmp_path, image_xml("b.jpg", box_xml(FIVE), ignored, kept), image_xml("c.jpg"))
    sources = imglab_xml.FORMAT.scan(tmp_path)
    assert [(s.name, s.group, s.subset) for s in sources] == [
        ("b.jpg", "b", "faces"),
        ("b.jpg#2", "b", "faces"),
    ]
    assert [s.tags for s in sources] == [(), ("occlusion",)]
    survey = "\n".join(imglab_xml.FORMAT.survey(tmp_path, sources))
    assert "2 faces in 1 pictures of 1" in survey and "1 boxes are marked as ignored" in survey
    assert "1 pictures have no box and are left out, for example c.jpg" in survey


def test_missing_parts_are_masked(tmp_path):
    parts = {name: place for name, place in FIVE.items() if name != "03"}
    write_xml(tmp_path, image_xml("a.jpg", box_xml(FIVE)), image_xml("b.jpg", box_xml(parts)))
    label = read(imglab_xml.FORMAT.scan(tmp_path)[1])
    assert label.mask.tolist() == [True, True, True, False, True]
    np.testing.assert_array_equal(label.landmarks[3], [0, 0])


@pytest.mark.parametrize(
    "names, numbers",
    [
        (["00", "01", "10"], [0, 1, 10]),
        (["0", "2", "10"], [0, 2, 10]),
        (["1", "2", "10"], [0, 1, 9]),
        (["17", "67"], [17, 67]),
        (["nose", "eye_r", "eye_l"], [2, 1, 0]),
        (["a1", "a10", "a2"], [0, 1, 2]),
        ([], []),
    ],
)
def test_names_of_parts_number_the_points(names, numbers):
    found = imglab_xml.point_numbers(set(names))
    assert [found[name] for name in names] == numbers


def test_dlib_numbers_named_parts_in_the_same_order(tmp_path):
    points = {"nose": (30, 40), "eye_r": (50, 20), "eye_l": (10, 20)}
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((80, 80, 3), np.uint8))
    path = write_xml(tmp_path, image_xml("a.png", box_xml(points)))
    dlib.train_shape_predictor(str(path), str(tmp_path / "o.dat"), _few_trees())
    found = dlib.shape_predictor(str(tmp_path / "o.dat"))(
        np.zeros((80, 80), np.uint8), dlib.rectangle(20, 10, 49, 49)
    )
    order = sorted(points, key=lambda name: imglab_xml.point_numbers(set(points))[name])
    assert [(p.x, p.y) for p in found.parts()] == [points[name] for name in order]


@pytest.mark.parametrize(
    "parts, attributes, reason, words",
    [
        (FIVE | {"05": (1, 1)}, None, "point-count", "6 points.*JSON file"),
        (FIVE | {"67": (1, 1)}, None, "point-count", "68 points.*--scheme ibug68"),
        (FIVE | {"03": ("x", 1)}, None, "not-numbers", "a box of a.jpg"),
        (FIVE | {"03": ("nan", 1)}, None, "not-finite", "not finite"),
        (FIVE | {"3": (1, 1)}, None, "part-twice", "two parts for point 3"),
        (FIVE, "top='x' left='20' width='30' height='40'", "not-numbers", "a box of a.jpg"),
    ],
)
def test_unusable_boxes_have_a_reason(tmp_path, parts, attributes, reason, words):
    box = box_xml(parts, attributes) if attributes else box_xml(parts)
    write_xml(tmp_path, image_xml("a.jpg", box))
    (source,) = imglab_xml.FORMAT.scan(tmp_path)
    with pytest.raises(Rejected, match=words) as caught:
        read(source)
    assert caught.value.reason == reason and "faces.xml" in str(caught.value)


@pytest.mark.parametrize(
    "attributes",
    [
        "top='10' left='20' width='30'",
        "top='10' left='20' width='0' height='9'",
        "top='1'",
    ],
)
def test_a_box_without_an_area_is_none(tmp_path, attributes):
    write_xml(tmp_path, image_xml("a.jpg", box_xml(FIVE, attributes)))
    assert read(imglab_xml.FORMAT.scan(tmp_path)[0]).box is None


BOMB = "<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><dataset><images/></dataset>"


@pytest.mark.parametrize(
    "text, words",
    [
        (BOMB, "document types and entities"),
        ("<!DOCTYPE d SYSTEM 'file:///etc/passwd'><dataset/>", "document types and entities"),
        (HEAD + image_xml("a.jpg", "<box>&x;</box>") + TAIL, "undefined entity"),
        (HEAD + image_xml("a.jpg"), "no element found"),
        ("<dataset", "unclosed token"),
        ("<html><dataset></dataset></html>", "root is <html>"),
        (HEAD + "<image><box/></image>" + TAIL, "an? <image> has no file"),
        (HEAD + "<image file='a'><box><part x='1' y='2'/></box></image>" + TAIL, "has no name"),
        (HEAD + image_xml("a.jpg") + TAIL, "contains no face"),
    ],
)
def test_what_is_no_imglab_file_is_refused(tmp_path, text, words):
    path = tmp_path / "faces.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        imglab_xml.FORMAT.scan(path)
    assert str(path) in str(caught.value)


def test_names_are_utf_8_whatever_the_declaration_says(tmp_path):
    write_xml(tmp_path, image_xml("größe & co.jpg", box_xml(FIVE)))
    assert imglab_xml.FORMAT.scan(tmp_path)[0].picture.name == "größe & co.jpg"


def test_places_of_pictures(tmp_path):
    names = ("a\\b.jpg", "../up/c.jpg", str(tmp_path / "d.jpg"), "134212_2.jpg")
    write_xml(tmp_path / "xml", *(image_xml(name, box_xml(FIVE)) for name in names))
    found = {s.name: (s.picture, s.group) for s in imglab_xml.FORMAT.scan(tmp_path / "xml")}
    assert found == {
        "a/b.jpg": (tmp_path / "xml/a/b.jpg", "a/b"),
        "../up/c.jpg": (tmp_path / "up/c.jpg", "up/c"),
        "../d.jpg": (tmp_path / "d.jpg", "d"),
        "134212_2.jpg": (tmp_path / "xml/134212_2.jpg", "134212"),
    }


def test_mirrored_copies_are_off_by_default(tmp_path):
    files = ("helen/trainset/1_1.jpg", "helen/trainset/1_1_mirror.jpg")
    write_xml(tmp_path, *(image_xml(name, box_xml(FIVE)) for name in files))
    sources = imglab_xml.FORMAT.scan(tmp_path)
    assert [s.name for s in sources] == [files[0]]
    assert "non-commercial" in imglab_xml.FORMAT.terms(sources)
    assert "1 mirrored copies" in "\n".join(imglab_xml.FORMAT.survey(tmp_path, sources))
    assert {s.group for s in imglab_xml.FORMAT.scan(tmp_path, flips=True)} == {"HELEN_1"}


def test_two_files_that_label_one_picture_are_named(tmp_path):
    for name in ("all.xml", "train.xml"):
        write_xml(tmp_path, image_xml("a.jpg", box_xml(FIVE)), name=name)
    with pytest.raises(InputError, match="train.xml and .*all.xml both label a.jpg"):
        imglab_xml.FORMAT.scan(tmp_path)
    assert len(imglab_xml.FORMAT.scan(tmp_path / "all.xml")) == 1


@pytest.mark.parametrize("names", [(), ("notes.xml",)])
def test_a_folder_without_imglab_files_is_named(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("<notes/>")
    with pytest.raises(InputError, match="no imglab file found; expected"):
        imglab_xml.FORMAT.scan(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        imglab_xml.FORMAT.scan(tmp_path / "none")


# --- the writer ---

PLACES = arrays(np.float64, (5, 2), elements=st.floats(-1000, 5000))


@given(PLACES, arrays(bool, 5), st.tuples(*[st.floats(1, 3000)] * 4))
def test_faces_come_back_to_a_thousandth_of_a_pixel(tmp_path_factory, points, mask, box):
    mask[[0, 4]] = True  # the first and the last point are in a data set somewhere
    points = np.round(points, 4) + 0.0  # as in the file
    assume(not stated_missing(points, mask).any() and (distances(points, mask) < 8).all())
    folder = tmp_path_factory.mktemp("xml")
    label = FaceLabel(points, mask, np.full(3, np.nan))
    lines = list(imglab_xml.format_imglab([("a'&<.jpg", [(box, label)])], 5, whole_pixels=False))
    (folder / "a.xml").write_text("\n".join(lines))
    (source,) = imglab_xml.FORMAT.scan(folder)
    back = read(source)
    assert source.picture.name == "a'&<.jpg" and (back.mask == mask).all()
    assert np.abs(back.landmarks[mask] - points[mask]).max() < 1e-3
    assert np.abs(back.box - box).max() < 1e-3


def test_text_of_a_face():
    points, mask = np.array([[10.4, 20.5], [-0.6, 3]]), np.array([True, True])
    faces = [((4.5, 5.2, 10.6, 10.6), FaceLabel(points, mask, np.full(3, np.nan)))]
    lines = list(imglab_xml.format_imglab([("a.jpg", faces)], 2, whole_pixels=True))
    assert lines[3:8] == [
        '  <image file="a.jpg">',
        "    <box top='6' left='5' width='11' height='11'>",
        "      <part name='00' x='10' y='21'/>",
        "      <part name='01' x='-1' y='3'/>",
        "    </box>",
    ]
    wide = FaceLabel(np.zeros((101, 2)), np.arange(101) == 7, np.full(3, np.nan))
    lines = list(imglab_xml.format_imglab([("a.jpg", [((0, 0, 9, 9), wide)])], 101, True))
    assert lines[5].strip() == "<part name='007' x='0' y='0'/>"


def test_reading_and_writing_again_gives_the_same_file(tmp_path):
    write_tree(tmp_path / "data", 3)
    for source, out in (("data", "one.xml"), ("one.xml", "two.xml")):
        rule = BoxRule(source="label", scale=1.0)
        write_imglab(WriterConfig(tmp_path / source, tmp_path / out, box=rule, whole_pixels=False))
    first, second = ((tmp_path / name).read_text() for name in ("one.xml", "two.xml"))
    assert first == second and "data/b/person01x.png" in first
    assert "<box top='20.5000' left='10.5000' width='120.0000' height='120.0000'>" in first


def test_faces_that_cannot_be_used_are_left_out_and_counted(tmp_path, capsys):
    write_tree(tmp_path, 3)
    os.remove(tmp_path / "a" / "person00x.png")
    assert write_imglab(WriterConfig(tmp_path, tmp_path / "out" / "o.xml")) == 2
    said = capsys.readouterr().out
    assert "1 faces cannot be used" in said and "person00x.png: no such file" in said
    for picture in tmp_path.rglob("*.png"):
        picture.unlink()
    with pytest.raises(CheckError, match="no face to write"):
        write_imglab(WriterConfig(tmp_path, tmp_path / "p.xml", format="imglab"))
    assert not (tmp_path / "p.xml").exists()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"out": Path("faces.json")}, "ends in .xml"),
        ({"side": "test"}, "needs a folder of records"),
        ({"scheme": "nine"}, "no landmark scheme"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, options, words):
    write_tree(tmp_path, 1)
    with pytest.raises(UserError, match=words):
        write_imglab(WriterConfig(tmp_path, **{"out": tmp_path / "o.xml"} | options))


def test_an_unknown_format_is_refused_by_the_command_line(tmp_path):
    result = run_module("-m", "data_prep.imglab", tmp_path, "--format", "coco")
    assert_choices(result, "--format", "auto", *FORMATS)


def test_names_that_dlib_cannot_read_are_refused(tmp_path):
    write_xml(tmp_path, image_xml("a & b.png", box_xml({f"{i:02d}": (i, i) for i in range(68)})))
    cv2.imwrite(str(tmp_path / "a & b.png"), np.zeros((80, 80, 3), np.uint8))
    with pytest.raises(UserError, match="a & b.png: dlib cannot read a name with"):
        write_imglab(WriterConfig(tmp_path, tmp_path / "o" / "o.xml"))
    exact = WriterConfig(tmp_path, tmp_path / "o" / "o.xml", whole_pixels=False)
    assert write_imglab(exact) == 1 and imglab_xml.FORMAT.scan(tmp_path / "o")[0].picture.exists()


# --- the way to records and to dlib ---


def test_landmarks_of_the_records_lead_back_to_the_file(tmp_path):
    faces = write_tree(tmp_path / "data")
    _, records = prepared(tmp_path / "data", tmp_path / "out", max_rejects=0)
    assert records.keys() == faces.keys()
    for name, (record, points) in records.items():
        assert np.abs(points - faces[name]).max() < 1e-3
        assert record.group == name.partition(".")[0]


def test_the_labels_own_boxes_serve_as_face_boxes(tmp_path):
    write_tree(tmp_path / "data")
    rule = BoxRule(source="label", scale=1.0)
    _, records = prepared(tmp_path / "data" / "faces.xml", tmp_path / "out", box=rule)
    assert len(records) == 30
    for record, _ in records.values():
        np.testing.assert_allclose(record.affine, [[120, 0, 10], [0, 120, 20]], atol=1e-3)


def test_crops_of_a_record_folder_keep_points_and_groups(tmp_path):
    write_tree(tmp_path / "data")
    _, records = prepared(tmp_path / "data", tmp_path / "records")
    out = tmp_path / "crops" / "faces.xml"
    assert write_imglab(WriterConfig(tmp_path / "records", out, whole_pixels=False)) == 30
    by_group = {record.group: record for record, _ in records.values()}
    sources = imglab_xml.FORMAT.scan(out)
    assert {f"faces/{group}" for group in by_group} == {s.group for s in sources}
    for source in sources:
        record, label = by_group[source.group.removeprefix("faces/")], read(source, IBUG68)
        assert source.picture.read_bytes() == record.picture
        # 192 px stored, the box the 128 px in the middle: from 31.5 to 159.5.
        assert np.abs(label.landmarks - (record.landmarks * 128 + 31.5)).max() < 1e-3
        np.testing.assert_allclose(label.box, [31.5, 31.5, 128, 128])
    test_side = WriterConfig(tmp_path / "records", out.with_name("test.xml"), side="test")
    assert 0 < write_imglab(test_side) < 15


def _few_trees():
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level = 2, 5
    options.oversampling_amount, options.feature_pool_size, options.num_threads = 2, 50, 1
    return options


def test_dlib_trains_on_what_is_written(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    points = face_points((70, 80), 80)
    cv2.imwrite(str(data / "a.png"), make_picture(points, (160, 140)))
    label = FaceLabel(points, np.arange(68) != 3, np.full(3, np.nan))
    whole = FaceLabel(points, np.ones(68, bool), np.full(3, np.nan))
    faces = [((20, 30, 100, 100), face) for face in (label, whole)]
    (data / "f.xml").write_text("\n".join(imglab_xml.format_imglab([("a.png", faces)], 68, False)))
    result = run_module("-m", "data_prep.imglab", data, "--out", tmp_path / "o" / "faces.xml")
    assert result.returncode == 0 and "2 faces of 68 points" in result.stdout, result.stderr
    xml, dat = str(tmp_path / "o" / "faces.xml"), str(tmp_path / "o.dat")
    dlib.train_shape_predictor(xml, dat, _few_trees())
    assert dlib.test_shape_predictor(xml, dat) < 1  # px: it has seen but this face
    with pytest.raises(RuntimeError, match="string cast"):  # why places are rounded by default
        dlib.train_shape_predictor(str(data / "f.xml"), dat, _few_trees())
    assert_one_line_error(run_module("-m", "data_prep.imglab", tmp_path / "none"), 3, "no such")


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_a_real_data_set_keeps_its_groups_through_the_file(tmp_path):
    from senet_kp.data_prep.formats import lp300w

    write_imglab(WriterConfig(REAL_DATA / "300W_LP", tmp_path / "lp.xml", whole_pixels=False))
    sources = {s.picture.stem: s for s in imglab_xml.FORMAT.scan(tmp_path)}
    before = lp300w.FORMAT.scan(REAL_DATA / "300W_LP")
    labelled = list((REAL_DATA / "300W_LP" / "landmarks").rglob("*_pts.mat"))
    assert len(sources) == len(before) and len(before) >= len(labelled) > 1000
    assert all(sources[s.picture.stem].group == s.group for s in before)
    for source in before[:20]:
        there = lp300w.FORMAT.read_label(source, source.label.read_bytes(), IBUG68)
        assert (
            np.abs(read(sources[source.picture.stem], IBUG68).landmarks - there.landmarks).max()
            < 1e-3
        )


def test_a_stray_part_costs_only_the_face_that_has_it(tmp_path):
    parts = "".join(f"<part name='{n:02}' x='{n}' y='{n % 7}'/>" for n in range(5))
    box = "<box top='0' left='0' width='9' height='9'>"
    faces = [parts, parts + "<part name='77' x='1' y='2'/>", parts]
    images = "".join(
        f"<image file='{i}.jpg'>{box}{face}</box></image>" for i, face in enumerate(faces)
    )
    (tmp_path / "a.xml").write_text(f"<dataset><images>{images}</images></dataset>")
    sources = imglab_xml.FORMAT.scan(tmp_path)
    read = imglab_xml.FORMAT.read_label
    assert all(read(sources[i], sources[i].row, DLIB5).mask.all() for i in (0, 2))
    with pytest.raises(
        Rejected, match=r"a box of 1\.jpg has 78 points, but the scheme dlib5 has 5"
    ):
        read(sources[1], sources[1].row, DLIB5)
