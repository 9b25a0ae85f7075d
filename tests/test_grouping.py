"""The groups that --group-by forms."""

from dataclasses import replace
from pathlib import Path

import pytest

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.data_sets import regrouped, scan_all
from senet_kp.data_prep.formats.photos import face_source
from senet_kp.tfrecords.errors import InputError, UserError

NAMES = ("a/p1_x.jpg", "a/p1_y.jpg", "b/p2_x.jpg", "p3_x.jpg")


def groups(group_by):
    root = Path("set")
    faces = [face_source("csv", root, root / name, root / "labels.csv") for name in NAMES]
    return [face.group for face in regrouped(faces, group_by)]


@pytest.mark.parametrize(
    "group_by, expected",
    [
        ("name", ["a/p1_x.jpg", "a/p1_y.jpg", "b/p2_x.jpg", "p3_x.jpg"]),
        ("folder", ["a", "a", "b", "p3_x.jpg"]),
        (r"(p\d)_", ["p1", "p1", "p2", "p3"]),
        (r"p\d", ["p1", "p1", "p2", "p3"]),
    ],
)
def test_groups(group_by, expected):
    assert groups(group_by) == expected


def people(*cells):
    columns = [{"person": cell, "notes": ""} for cell in cells]
    names = ["a.jpg", "b.jpg", "b.jpg#2", "c.jpg"]
    label = Path("labels.csv")
    return [
        replace(face_source("csv", Path("set"), Path("set/a.jpg"), label, columns=c), name=name)
        for name, c in zip(names, columns, strict=True)
    ]


def test_a_column_forms_groups():
    faces = regrouped(people("Ann", "Bob", "Bob", "Ann"), "column: Person")
    assert [face.group for face in faces] == ["Ann", "Bob", "Bob", "Ann"]


@pytest.mark.parametrize(
    "cells, column, error, why",
    [
        (("A", "B", "C", "A"), "person", InputError, "b.jpg has the groups B and C in the column"),
        (("A", "B", "B", ""), "person", InputError, "c.jpg has no group in the column person"),
        (("A", "B", "B", "A"), "people", UserError, "labels.csv has notes, person"),
    ],
)
def test_a_column_that_forms_no_groups_is_refused(cells, column, error, why):
    with pytest.raises(error, match=why):
        regrouped(people(*cells), f"column:{column}")


def test_the_columns_of_a_table_and_the_largest_group_are_named(tmp_path):
    table = "picture,x0,y0,person\na.jpg,1,2,Ann\nb.jpg,1,2,Bob\nc.jpg,1,2,Bob\n"
    (tmp_path / "labels.csv").write_text(table)
    config = PrepareConfig((tmp_path,), format=("csv",), group_by="column:person")
    (found,) = scan_all(config)
    assert [source.group for source in found.sources] == ["Ann", "Bob", "Bob"]
    assert "2 groups" in found.survey() and "largest, Bob, has 2 faces, such as b" in found.survey()


@pytest.mark.parametrize(
    "group_by, why",
    [
        ("(", "not a regular"),
        ("q", "does not match"),
        ("none", "give name, folder, column:NAME"),
        ("column:person", "labels.csv has no columns for it"),
    ],
)
def test_what_forms_no_groups_is_refused(group_by, why):
    with pytest.raises(UserError, match=why):
        groups(group_by)
