"""Reading a csv file of one's own."""

import csv

import numpy as np
import pytest
from conftest import prepared, write_faces

from senet_kp.data_prep.formats import own_csv
from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import DLIB5
from senet_kp.tfrecords.errors import InputError

HEADER = ["picture", *(f"{axis}{i}" for i in range(5) for axis in "xy")]
ROW = ["a.jpg", *range(10)]
EVERY = [*HEADER, "group", "subset", "box_x", "box_y", "box_w", "box_h"]


def write_table(root, *rows, header=HEADER, name="labels.csv", encoding="utf-8"):
    root.mkdir(exist_ok=True)
    with open(root / name, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([header, *rows])
    return root / name


def read(source, scheme=DLIB5):
    return own_csv.FORMAT.read_label(source, source.row, scheme)


def test_coordinates_and_columns_are_taken_as_they_are(tmp_path):
    row = [*ROW, "Ann", "studio", 1.5, 2, 30, "40.5"]
    table = write_table(tmp_path, row, header=EVERY, encoding="utf-8-sig")
    (source,) = own_csv.FORMAT.scan(tmp_path)
    label = read(source)
    np.testing.assert_array_equal(label.landmarks, np.arange(10).reshape(5, 2))
    np.testing.assert_array_equal(label.box, [1.5, 2, 30, 40.5])
    assert (source.name, source.group, source.subset) == ("a.jpg", "Ann", "studio")
    assert source.picture == tmp_path / "a.jpg" and source.label == table
    assert label.mask.all() and np.isnan(label.pose_deg).all()
    assert own_csv.FORMAT.scan(table) == [source]


def test_columns_stand_in_any_order_and_others_are_named(tmp_path):
    header = [" Y0", "Notes", "X0", "Picture", "x1", "y1"]
    write_table(tmp_path, [2, "blurred", 1, "s/a.jpg", 3, 4], header=header)
    sources = own_csv.FORMAT.scan(tmp_path)
    assert sources[0].row == b'[["1", "2", "3", "4"], ["", "", "", ""]]'
    assert (sources[0].group, sources[0].subset) == ("s/a", "s")
    survey = "\n".join(own_csv.FORMAT.survey(tmp_path, sources))
    assert "labels.csv: columns not read: notes" in survey


def test_empty_cells_are_missing_points(tmp_path):
    write_table(tmp_path, ["a.jpg", 1, 2, "", " ", *range(6)])
    label = read(own_csv.FORMAT.scan(tmp_path)[0])
    assert label.mask.tolist() == [True, False, True, True, True]
    np.testing.assert_array_equal(label.landmarks[:3], [[1, 2], [0, 0], [0, 1]])
    assert label.box is None


def test_rows_of_one_picture_are_its_faces(tmp_path):
    write_table(tmp_path, ROW, ["./a.jpg", *range(1, 11)], ["134212_2.jpg", *range(10)], [])
    found = [(s.name, s.group, s.subset) for s in own_csv.FORMAT.scan(tmp_path)]
    assert found == [
        ("134212_2.jpg", "134212", "labels"),
        ("a.jpg", "a", "labels"),
        ("a.jpg#2", "a", "labels"),
    ]


def test_every_table_with_the_header_is_read(tmp_path):
    write_table(tmp_path, ROW)
    write_table(tmp_path, ["b.jpg", *range(10)], name="more.csv")
    write_table(tmp_path, [1, 2], header=["picture", "price"], name="shop.csv")
    assert [(s.name, s.subset) for s in own_csv.FORMAT.scan(tmp_path)] == [
        ("a.jpg", "labels"),
        ("b.jpg", "more"),
    ]


@pytest.mark.parametrize(
    "row, header, reason, words",
    [
        (ROW[:-1], HEADER, "column-count", "another number of columns"),
        ([*ROW, 1], HEADER, "column-count", "another number of columns"),
        ([*ROW[:-1], "Ann"], [*HEADER, "group"], "column-count", "another number of columns"),
        (ROW[:-2], HEADER[:-2], "point-count", "4 points, but the scheme dlib5 has 5.*JSON file"),
        ([*ROW, 1], [*HEADER, "x5"], None, ""),
        ([*ROW, 1, 2], [*HEADER, "x5", "y5"], "point-count", "6 points"),
        (["a.jpg", "left", *range(9)], HEADER, "not-numbers", "left"),
        (["a.jpg", "1,250", *range(9)], HEADER, "not-numbers", "'1,250' may be a decimal comma"),
        (["a.jpg", "1,5", "2.5", *range(8)], HEADER, "not-numbers", "'1,5' may be .* thousands"),
        (["a.jpg", "1,2,3", "2,5", *range(8)], HEADER, "not-numbers", "1,2,3.*expected pixels"),
        (["a.jpg", 1, "", *range(8)], HEADER, "half-point", "only one coordinate of point 0"),
        (["a.jpg", "nan", *range(9)], HEADER, "not-finite", "not finite"),
        ([*ROW, "", "", 1, 2, 0, 9], EVERY, "bad-box", "box without an area"),
        ([*ROW, "", "", 1, 2, "w", 9], EVERY, "not-numbers", "w"),
        ([*ROW, "", "", 1, 2, "", 9], EVERY, None, ""),
    ],
)
def test_unusable_rows_have_a_reason(tmp_path, row, header, reason, words):
    write_table(tmp_path, row, header=header)
    (source,) = own_csv.FORMAT.scan(tmp_path)
    if reason is None:
        assert read(source).mask.all() and read(source).box is None
        return
    with pytest.raises(Rejected, match=words) as caught:
        read(source)
    assert caught.value.reason == reason and "the row of a.jpg" in str(caught.value)


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "no table found; expected"),
        ("", "has no column picture, x0, y0"),
        ("a,b\n1,2\n", "has no column picture, x0, y0"),
        ("picture,x0,y0\n", "contains no picture"),
        ("picture,x0,y0\n,,\n", "contains no picture"),
        ("picture,x0,y0,X0\na,1,2,3\n", "two columns have the name x0"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        own_csv.FORMAT.scan(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_landmarks_of_the_records_lead_back_to_the_rows(tmp_path):
    data = tmp_path / "data"
    faces = write_faces(data)
    header = ["picture", *(f"{axis}{i}" for i in range(68) for axis in "xy"), *EVERY[-4:]]
    rows = [[name, *points.ravel().tolist(), 10, 20, 120, 120] for name, points in faces.items()]
    rows[0][3:5], rows[1][1] = ["", ""], "left"
    write_table(data, *rows, header=header)
    rule = BoxRule(source="label", scale=1.0)
    manifest, records = prepared(data, tmp_path / "out", box=rule)
    assert manifest["rejects"] == 1 and len(records) == 29
    for name, (record, points) in records.items():
        known = record.mask > 0
        assert np.abs(points - faces[name])[known].max() < 1e-3
        assert known.all() == (name != rows[0][0])
        np.testing.assert_allclose(record.affine, [[120, 0, 10], [0, 120, 20]])
    assert not records[rows[0][0]][0].mask[1]


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("picture", ["picture", "Filename", "file_name", "file", "image"])
def test_other_separators_and_names_of_the_picture_are_read(tmp_path, separator, picture):
    row = ["a.jpg", "12,5", "7", "0,25", "-3,125", "10", *range(5)]
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([[picture, *HEADER[1:]], row])
    (source,) = own_csv.FORMAT.scan(tmp_path)
    assert own_csv.FORMAT.recognises(tmp_path) and source.name == "a.jpg"
    expected = [[12.5, 7], [0.25, -3.125], [10, 0], [1, 2], [3, 4]]
    np.testing.assert_array_equal(read(source).landmarks, expected)


def test_three_decimals_in_every_cell_are_no_thousands(tmp_path):
    cells = [
        "12,500",
        "7,000",
        "1,250",
        "2,000",
        "3,000",
        "4,000",
        "5,000",
        "6,000",
        "7,000",
        "8,125",
    ]
    write_table(tmp_path, ["a.jpg", *cells])
    landmarks = read(own_csv.FORMAT.scan(tmp_path)[0]).landmarks
    np.testing.assert_array_equal(landmarks[[0, 4]], [[12.5, 7], [7, 8.125]])


def test_a_row_without_a_picture_is_named_by_its_number(tmp_path):
    write_table(tmp_path, ROW, ["", *range(10)])
    names = [source.name for source in own_csv.FORMAT.scan(tmp_path)]
    assert names == ["a.jpg", "row 2 of labels.csv names no picture"]


@pytest.mark.parametrize(
    "line, lack",
    [
        ("name;x0;y0", "has no column picture, only name, x0, y0"),
        ("file,image,x0,y0", "has no column picture, only file, image, x0"),
        ("picture,x1,y1,x2,y2", "has no column x0, y0, only picture, x1"),
    ],
)
def test_a_table_that_is_nearly_right_is_named_with_what_it_lacks(tmp_path, line, lack):
    (tmp_path / "labels.csv").write_text(line + "\n")
    with pytest.raises(InputError, match=f"labels.csv: .*{lack}"):
        own_csv.FORMAT.scan(tmp_path)


def test_backslashes_of_windows_are_read(tmp_path):
    write_table(tmp_path, ["img\\a.jpg", *range(10)])
    (source,) = own_csv.FORMAT.scan(tmp_path)
    assert (source.name, source.picture) == ("img/a.jpg", tmp_path / "img" / "a.jpg")
