"""Forms of JSON values: what is wrong is said with its place."""

import pytest

from senet_kp.face.known_schemes import IBUG68
from senet_kp.tfrecords import forms
from senet_kp.tfrecords.files import read_json
from senet_kp.tfrecords.forms import COUNT, FILE_NAME, NUMBER, SCHEME, TEXT, fault_in

FORM = forms.fields(
    {"name": TEXT, "sides": forms.mapped(forms.fields({"records": COUNT}))},
    {"shape": forms.listed(NUMBER, 2), "box": forms.maybe(forms.BOX)},
)
FITTING = {"name": "a", "sides": {"train": {"records": 3, "more": []}}, "shape": [1, 2.5]}


def test_a_value_that_fits_has_no_fault():
    assert fault_in(FITTING, FORM) is None and fault_in(FITTING | {"box": None}, FORM) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "name is 3, not a text"),
        ({"sides": []}, "sides is no object"),
        ({"sides": {"val": {}}}, "sides.val has no records"),
        ({"sides": {"val": {"records": True}}}, "sides.val.records is True, not a whole number"),
        ({"sides": {"val": {"records": -1}}}, "sides.val.records is -1, not a whole number"),
        ({"shape": [1]}, "shape is no list of 2 values"),
        ({"shape": [1, float("nan")]}, "shape[1] is nan, not a number"),
        ({"shape": [10**400, 1]}, "not a number"),
        ({"box": {"size_px": 3}}, "box has no source, scale, shift_x, shift_y, padding"),
    ],
)
def test_a_fault_is_said_with_its_place(change, said):
    assert said in fault_in(FITTING | change, FORM)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_damage(text, tmp_path):
    path = tmp_path / "value.json"
    path.write_text(f'{{"shape": [1, {text}]}}')
    with pytest.raises(ValueError, match=f"{text} is not a number"):
        read_json(path)


def test_a_value_that_is_no_object_is_said_so():
    assert fault_in([], FORM) == "is no object"


@pytest.mark.parametrize("name", ["../shard", "/etc/passwd", "a\\b", "", "a\0b", 3])
def test_names_of_files_name_no_folder(name):
    assert "not the name of a file" in fault_in(name, FILE_NAME)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"landmarks": 10**9}, "landmarks is 1000000000, not a whole number from 2 to 10000"),
        ({"flip_pairs": [[0, 1], [1, 2]]}, "names a point twice"),
        ({"contour": [68]}, "names points outside 0 to 67"),
        ({"eyes": [[1]]}, "eyes is no list of 2 values"),
        ({"lines": [0]}, "lines[0] is no list"),
    ],
)
def test_schemes(change, said):
    assert fault_in(IBUG68.facts(), SCHEME) is None
    assert said in fault_in(IBUG68.facts() | change, SCHEME)
