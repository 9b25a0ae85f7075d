"""The groups that --group-by forms."""

from pathlib import Path

import pytest

from senet_kp.data_prep.data_sets import regrouped
from senet_kp.data_prep.formats.photos import face_source
from senet_kp.tfrecords.errors import UserError

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


@pytest.mark.parametrize("group_by, why", [("(", "not a regular"), ("q", "does not match")])
def test_what_forms_no_groups_is_refused(group_by, why):
    with pytest.raises(UserError, match=why):
        groups(group_by)
