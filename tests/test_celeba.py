"""CelebA's lists, as .txt and as Kaggle's .csv: people as groups, official parts, attributes."""

import shutil

import cv2
import numpy as np
import pytest
from conftest import make_picture, prepared

from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import celeba
from senet_kp.data_prep.recognise import recognise
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import CELEBA5
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.shards import read_records

FACE = np.array([(69, 109), (106, 113), (77, 142), (73, 152), (108, 154)])
POINTS = ["lefteye_x", "lefteye_y", "righteye_x", "righteye_y", "nose_x", "nose_y"]
POINTS += ["leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y"]
ATTRIBUTES = ["5_o_Clock_Shadow", "Eyeglasses", "Male", "Mouth_Slightly_Open", "Smiling"]
COUNT = 24


def name_of(index: int) -> str:
    return f"{index + 1:06d}.jpg"


def rows_of() -> dict[str, list]:
    """{name of a list: its rows}. Pictures 0 to 15 are for training, 16 to 19 for validation."""
    names = [name_of(index) for index in range(COUNT)]
    landmarks = [[name, *(FACE + index).ravel()] for index, name in enumerate(names)]
    part = [0] * 16 + [1] * 4 + [2] * 4
    signs = [[1 if (index >> bit) & 1 else -1 for bit in range(5)] for index in range(COUNT)]
    return {
        "landmarks": landmarks,
        "list_eval_partition": [list(row) for row in zip(names, part, strict=True)],
        "identity_CelebA": [[name, 2880 + index // 2] for index, name in enumerate(names)],
        "list_attr_celeba": [[name, *row] for name, row in zip(names, signs, strict=True)],
    }


def write_list(path, rows, header=(), separator=" ", count=True):
    lines = [separator.join(map(str, row)) for row in rows]
    if header:
        lines.insert(0, separator.join(header))
    if count and header:
        lines.insert(0, str(len(rows)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_pictures(folder):
    folder.mkdir(parents=True)
    for index in range(COUNT):
        picture = make_picture(FACE + index, (218, 178), seed=index)
        cv2.imwrite(str(folder / name_of(index)), picture)


def make_official(root, kind: str = "_align"):
    rows = rows_of()
    write_list(root / f"Anno/list_landmarks{kind}_celeba.txt", rows["landmarks"], POINTS)
    write_list(root / "Anno/identity_CelebA.txt", rows["identity_CelebA"])
    write_list(root / "Anno/list_attr_celeba.txt", rows["list_attr_celeba"], ATTRIBUTES)
    write_list(root / "Eval/list_eval_partition.txt", rows["list_eval_partition"])
    write_pictures(root / f"Img/img{kind}_celeba")
    return root


def make_kaggle_copy(root):
    rows, style = rows_of(), {"separator": ",", "count": False}
    header = ["image_id", *POINTS]
    write_list(root / "list_landmarks_align_celeba.csv", rows["landmarks"], header, **style)
    header = ["image_id", "partition"]
    write_list(root / "list_eval_partition.csv", rows["list_eval_partition"], header, **style)
    header = ["image_id", *ATTRIBUTES]
    write_list(root / "list_attr_celeba.csv", rows["list_attr_celeba"], header, **style)
    write_pictures(root / "img_align_celeba/img_align_celeba")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_official(tmp_path_factory.mktemp("celeba"))


def read(source):
    return celeba.FORMAT.read_label(source, source.row, CELEBA5)


def test_a_line_is_a_picture_with_its_part_person_and_attributes(data):
    sources = celeba.FORMAT.scan(data)
    assert len(sources) == COUNT
    source = sources[13]  # 0b01101: not the fifth attribute, Smiling
    assert source.name == "Img/img_align_celeba/000014.jpg" and source.picture.is_file()
    assert source.tags == ("male", "mouth-slightly-open")
    assert sources[18].tags == ("eyeglasses", "smiling")  # 0b10010
    assert source.group == sources[12].group == "CelebA_person_2886" != sources[14].group
    parts = [(s.subset, s.official) for s in (sources[0], sources[16], sources[20])]
    assert parts == [("train", "train"), ("val", "train"), ("test", "test")]
    label = read(source)
    np.testing.assert_array_equal(label.landmarks, FACE + 13)
    assert label.mask.all() and label.box is None
    assert label.landmarks[0, 0] < label.landmarks[1, 0]  # the left eye is left in the picture


def test_kaggles_copy_says_the_same_but_for_the_people(data, tmp_path):
    root = make_kaggle_copy(tmp_path)
    assert (recognise(root), recognise(data)) == ("celeba", "celeba")
    sources, official = celeba.FORMAT.scan(root), celeba.FORMAT.scan(data)
    assert [(s.row, s.tags, s.official, s.subset) for s in sources] == [
        (s.row, s.tags, s.official, s.subset) for s in official
    ]
    assert sources[3].name == "img_align_celeba/img_align_celeba/000004.jpg"
    assert sources[3].picture.is_file() and len({s.group for s in sources}) == COUNT
    survey = "\n".join(celeba.FORMAT.survey(root, sources))
    assert (
        "identity_CelebA.txt is missing" in survey and "16 pictures (official: 162,770)" in survey
    )
    assert "identity" not in "\n".join(celeba.FORMAT.survey(data, official))


def test_original_pictures_are_preferred(data, tmp_path):
    root = shutil.copytree(data, tmp_path / "data")
    make_official(root, kind="")
    assert {s.picture.parent.name for s in celeba.FORMAT.scan(root)} == {"img_celeba"}
    shutil.rmtree(root / "Img/img_celeba")
    assert {s.picture.parent.name for s in celeba.FORMAT.scan(root)} == {"img_align_celeba"}


def test_people_stay_on_one_side_and_the_official_test_part_is_the_test_side(data, tmp_path):
    manifest, found = prepared(data, tmp_path / "official", split="official")
    test = {record.name[-10:] for record in read_records(tmp_path / "official", manifest, "test")}
    assert test == {name_of(index) for index in (20, 21, 22, 23)}
    assert manifest["groups_on_two_sides"] == 0 and len(found) == COUNT
    assert manifest["sources"][0]["terms"] == "CelebA is for non-commercial research only"
    manifest, _ = prepared(data, tmp_path / "hash", test_share=0.4)
    assert manifest["groups_on_two_sides"] == 0 and manifest["rejects"] == 0


def test_without_the_list_of_parts_there_is_no_official_split(data, tmp_path):
    root = shutil.copytree(data, tmp_path / "data")
    (root / "Eval/list_eval_partition.txt").unlink()
    (root / "Anno/list_attr_celeba.txt").unlink()
    source = celeba.FORMAT.scan(root)[0]
    assert (source.official, source.subset, source.tags) == (None, "CelebA", ())
    with pytest.raises(UserError, match="celeba has no official test part"):
        prepared(root, tmp_path / "out", split="official")


@pytest.mark.parametrize(
    "line, reason",
    [
        ("000001.jpg 1 2 3 4", "point-count"),
        ("000001.jpg 1 2 3 4 5 6 7 8 9 ten", "not-numbers"),
        ("000001.jpg 1 2 3 4 5 6 7 8 9 nan", "not-finite"),
        ("gone.jpg 69 109 106 113 77 142 73 152 108 154", "missing"),
        ("000001.jpg 1 1 2 2 3 3 4 4 5 5", "tiny-face"),
    ],
)
def test_unusable_lines_have_a_reason(data, tmp_path, line, reason):
    (tmp_path / "list_landmarks_align_celeba.txt").write_text(f"1\n{' '.join(POINTS)}\n{line}\n")
    (tmp_path / "img_align_celeba").symlink_to(data / "Img/img_align_celeba")
    (source,) = celeba.FORMAT.scan(tmp_path)
    rejected = crop_record(source, CropRule(BoxRule(), 1.5, 95, CELEBA5))
    assert rejected.reason == reason and str(tmp_path) in rejected.message


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty"),
        (b"0\nlefteye_x lefteye_y\n", "contains no picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, content, words):
    (tmp_path / "img_celeba").mkdir()
    assert not celeba.FORMAT.recognises(tmp_path)
    with pytest.raises(InputError, match="expected list_landmarks_celeba.txt"):
        celeba.FORMAT.scan(tmp_path)
    (tmp_path / "list_landmarks_celeba.txt").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        celeba.FORMAT.scan(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_zero_byte_in_a_name_costs_only_that_picture(tmp_path):
    root = make_official(tmp_path / "celeba")
    path = root / "Anno" / "list_landmarks_align_celeba.txt"
    path.write_bytes(path.read_bytes().replace(b"000003.jpg", b"00\x0003.jpg"))
    _, records = prepared(root, tmp_path / "records")
    assert len(records) == COUNT - 1
    assert "missing" in (tmp_path / "records" / "rejects.csv").read_text()
