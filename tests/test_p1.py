"""Reading P1's table, and several data sets in one record set."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import REAL_DATA, assert_choices, face_points, make_picture, run_module

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats import FORMATS, p1
from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.data_prep.prepare import prepare
from senet_kp.data_prep.recognise import recognise
from senet_kp.scoring.scores import label_source
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.sides import SIDES

HEADER = ["", *map(str, range(136))]
TABLE, PICTURES = "training_frames_keypoints.csv", "training"
SIZE = (160, 140)  # height and width, as small as P1's own


def write_table(root, rows):
    with open(root / TABLE, "w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])


def make_p1(root, people: int = 20, frames: int = 2):
    """P1's layout: `people` people, each in two videos of `frames` frames."""
    (root / PICTURES).mkdir(parents=True)
    rows = []
    for person in range(people):
        for video, frame in np.ndindex(2, frames):
            name = f"Some_Body-{'abcdefghijklmnopqrstuvwxyz'[person]}_{video}{frame}.jpg"
            points = np.round(face_points((70, 80), 80, seed=10 * person + video))
            picture = make_picture(points, SIZE, seed=person)
            cv2.imwrite(str(root / PICTURES / name), picture[:, :, ::-1])
            rows.append([name, *points.ravel().tolist()])
    write_table(root, rows)
    return root


def rows_of(root):
    with open(root / TABLE, newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture
def data(tmp_path):
    return make_p1(tmp_path / "p1")


def config(data, out, **options):
    return PrepareConfig(data=tuple(data), out=out, detector_pictures=0, **options)


# --- the format ---


def test_coordinates_are_taken_as_they_are(data):
    source = p1.FORMAT.scan(data)[0]
    label = p1.FORMAT.read_label(source, source.row, p1.FORMAT.scheme)
    name, *values = rows_of(data)[0]
    assert source.name == f"training/{name}" and source.picture.exists()
    np.testing.assert_array_equal(label.landmarks.ravel(), np.array(values, float))
    assert label.mask.all() and np.isnan(label.pose_deg).all()


def test_landmarks_of_the_records_lead_back_to_the_row(data, tmp_path):
    manifest = prepare(config([data], tmp_path / "out", format=("p1",), processes=1))
    expected = {f"training/{name}": np.array(v, float) for name, *v in rows_of(data)}
    for side in SIDES:
        for record in read_records(tmp_path / "out", manifest, side):
            back = np.column_stack([record.landmarks, np.ones(68)]) @ record.affine.T
            assert np.abs(back.ravel() - expected.pop(record.name)).max() < 1e-3
    assert not expected


@pytest.mark.parametrize(
    "name, group",
    [
        ("Luis_Fonsi_21.jpg", "P1_Luis_Fonsi"),
        ("Luis_Fonsi_00.jpg", "P1_Luis_Fonsi"),
        ("Luis_Fonsi_121.jpg", "P1_Luis_Fonsi"),
        ("Cher_30.jpg", "P1_Cher"),
        ("Zafar-ul-Haq_01.jpg", "P1_Zafar-ul-Haq"),
        ("nobody.jpg", "P1_nobody"),
    ],
)
def test_group_is_the_person_and_each_frame_a_photo(tmp_path, name, group):
    write_table(tmp_path, [[name, *range(136)]])
    source = p1.FORMAT.scan(tmp_path)[0]
    assert (source.group, source.photo, source.subset) == (group, f"training/{name}", "P1")


@pytest.mark.parametrize(
    "row, reason",
    [
        (range(135), "point-count"),
        (range(138), "point-count"),
        ([], "point-count"),
        (["left", *range(135)], "not-numbers"),
        (["", *range(135)], "not-numbers"),
        (["nan", *range(135)], "not-finite"),
    ],
)
def test_unusable_rows_have_a_reason(tmp_path, row, reason):
    write_table(tmp_path, [["A_00.jpg", *row]])
    source = p1.FORMAT.scan(tmp_path)[0]
    with pytest.raises(Rejected, match=r"the row of A_00\.jpg") as caught:
        p1.FORMAT.read_label(source, source.row, p1.FORMAT.scheme)
    assert caught.value.reason == reason


def test_bad_rows_and_missing_pictures_are_set_aside(data, tmp_path):
    rows = rows_of(data)
    rows[0] = rows[0][:-1]
    rows[1][5] = "left"
    write_table(data, rows)
    (data / PICTURES / rows[2][0]).unlink()
    options = {"format": ("p1",), "max_rejects": 0.1}
    manifest = prepare(config([data], tmp_path / "out", **options))
    assert sum(side["records"] for side in manifest["sides"].values()) == 77
    with open(tmp_path / "out" / "rejects.csv", newline="") as file:
        found = {row["picture"]: row["reason"] for row in csv.DictReader(file)}
    reasons = ("point-count", "not-numbers", "missing")
    assert found == {f"training/{row[0]}": r for row, r in zip(rows, reasons, strict=False)}


def test_pictures_without_a_row_are_counted(data):
    assert "no row" not in "\n".join(p1.FORMAT.survey(data, p1.FORMAT.scan(data)))
    rows = rows_of(data)
    write_table(data, rows[2:])
    survey = "\n".join(p1.FORMAT.survey(data, p1.FORMAT.scan(data)))
    assert "78 pictures of 20 people" in survey and "2 pictures in training/ have no row" in survey
    assert rows[0][0] in survey


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"a,b,c\n1,2,3\n", "3 columns, not 137"),
        (b"\n", "0 columns"),
        (b"\xff\xfe\x00", "not a csv file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ((",".join(HEADER) + "\n\n").encode(), "contains no picture"),
        (2 * (",".join(HEADER) + "\na.jpg\n").encode() + b"a.jpg\n", "two rows for a.jpg"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / TABLE).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        p1.FORMAT.scan(tmp_path)
    assert str(tmp_path / TABLE) in str(caught.value)


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_the_real_table():
    sources = p1.FORMAT.scan(REAL_DATA / "P1_Facial_Keypoints")
    assert len(sources) == 3462 and len({source.group for source in sources}) == 347
    landmarks = np.array(
        [p1.FORMAT.read_label(source, source.row, p1.FORMAT.scheme).landmarks for source in sources]
    )
    assert landmarks.shape == (3462, 68, 2) and (landmarks == np.round(landmarks)).all()
    corners = landmarks[:, list(p1.FORMAT.scheme.outer_eye_corners), 0]
    assert (corners[:, 0] < corners[:, 1]).all()  # point 36 is at the picture's left


# --- Udacity's repository, and its test part ---


@pytest.fixture
def repository(data, tmp_path):
    """Udacity's repository: the tables in data/, a test part of five people of their own."""
    inside = tmp_path / "P1_Facial_Keypoints" / "data"
    inside.parent.mkdir()
    data.rename(inside)
    other = make_p1(tmp_path / "other", people=5)
    for path in (other / PICTURES).iterdir():
        path.rename(path.with_name(path.name.replace("Some", "Other")))
    rows = [[name.replace("Some", "Other"), *values] for name, *values in rows_of(other)]
    write_table(other, rows)
    (other / TABLE).rename(inside / "test_frames_keypoints.csv")
    (other / PICTURES).rename(inside / "test")
    return inside.parent


def test_the_repository_is_recognised_by_its_root_too(repository):
    assert recognise(repository) == recognise(repository / "data") == "p1"
    of_root, of_folder = (p1.FORMAT.scan(root) for root in (repository, repository / "data"))
    assert [source.picture for source in of_root] == [source.picture for source in of_folder]
    for source in of_root:
        assert source.picture == repository / source.name and source.picture.exists()
    assert {source.name.split("/")[1] for source in of_root} == {"training", "test"}
    survey = p1.FORMAT.survey(repository, of_root)
    assert "100 pictures of 25 people" in survey[0] and len(survey) == 2
    assert "20 of them in the official test part" in survey[1]


def test_the_official_split_tests_on_the_test_table(repository, tmp_path):
    options = {"format": ("p1",), "processes": 1, "split": "official"}
    manifest = prepare(config([repository], tmp_path / "out", **options))
    names = {
        side: [record.name for record in read_records(tmp_path / "out", manifest, side)]
        for side in SIDES
    }
    assert len(names["test"]) == 20 and len(names["train"]) + len(names["val"]) == 80
    assert len(names["val"]) > 0  # 10 % of the other people
    assert all(name.startswith("data/test/") for name in names["test"])


def test_people_in_both_parts_are_refused_by_the_official_split_alone(repository, tmp_path):
    test = repository / "data" / "test_frames_keypoints.csv"
    row = [*rows_of(repository / "data")[0]]
    with open(test, "a", newline="") as file:
        csv.writer(file).writerow(row)
    with pytest.raises(InputError, match="person is in both the official .* --split hash"):
        prepare(config([repository], tmp_path / "out", split="official"))
    manifest = prepare(config([repository], tmp_path / "out"))
    assert manifest["groups_on_two_sides"] == 0


def test_without_a_test_table_there_is_no_official_split(data, tmp_path):
    with pytest.raises(UserError, match="p1 has no official test part"):
        prepare(config([data], tmp_path / "out", split="official"))


# --- several data sets in one record set ---


def test_two_data_sets_share_one_record_set(tree, data, tmp_path):
    both = {"data": [tree, data], "format": ("300w-lp", "p1"), "records_per_shard": 30}
    hashes = set()
    for processes in (1, 3):
        out = tmp_path / str(processes)
        manifest = prepare(config(out=out, processes=processes, **both))
        hashes.add(manifest["records_sha256"])
    assert len(hashes) == 1
    assert [(s["format"], s["labels"], s["pictures"]) for s in manifest["sources"]] == [
        ("300w-lp", "pts_2d", 96),
        ("p1", "p1", 80),
    ]
    assert label_source(manifest) == f"{tree.name} pts_2d, {data.name} p1"
    groups = {}
    for side in SIDES:
        for record in read_records(out, manifest, side):
            assert groups.setdefault(record.group, (side, record.subset)) == (side, record.subset)
    assert len(groups) == 48 + 20
    assert {subset for _, subset in groups.values()} == {"AFW", "P1"}


def test_a_second_data_set_changes_no_record_of_the_first(tree, data, records, tmp_path):
    manifest = prepare(config([data, tree], tmp_path / "out", format=("p1", "300w-lp")))
    alone = read_manifest(records)
    assert manifest["sources"][1] == alone["sources"][0]
    for side in SIDES:
        kept = [r for r in read_records(tmp_path / "out", manifest, side) if r.subset == "AFW"]
        for one, other in zip(kept, read_records(records, alone, side), strict=True):
            assert (one.name, one.picture) == (other.name, other.picture)


def test_a_second_run_finds_nothing_to_do(tree, data, tmp_path, capsys):
    for _ in range(2):
        prepare(config([tree, data], tmp_path / "out", format=("300w-lp", "p1")))
    assert "nothing to do" in capsys.readouterr().out


def test_one_format_serves_all_folders_and_names_must_differ(data, tmp_path):
    other = make_p1(tmp_path / "other", people=1)
    with pytest.raises(InputError, match="must differ") as caught:
        prepare(config([data, other], tmp_path / "out", format=("p1",)))
    name = "training/Some_Body-a_00.jpg"
    assert f"{data / name} and {other / name}" in str(caught.value)


@pytest.mark.parametrize("folders, formats", [(1, 2), (3, 2), (1, 0)])
def test_as_many_formats_as_folders(tree, tmp_path, folders, formats):
    with pytest.raises(UserError, match="one for all, or one for each") as caught:
        prepare(config([tree] * folders, tmp_path / "out", format=("300w-lp",) * formats))
    assert caught.value.exit_code == 2


def test_different_landmarks_do_not_mix(tree, data, tmp_path, monkeypatch):
    monkeypatch.setattr(FORMATS["p1"], "scheme", replace(p1.FORMAT.scheme, name="other68"))
    with pytest.raises(UserError, match="different landmarks.*other68"):
        prepare(config([tree, data], tmp_path / "out", format=("300w-lp", "p1")))


def test_the_command_line_takes_several(tree, data, tmp_path):
    command = ("-m", "data_prep.prepare", "--data", tree, data, "--out", tmp_path / "out")
    result = run_module(*command, "--format", "300w-lp", "p1", "--detector-pictures", "0")
    assert result.returncode == 0, result.stderr
    assert "96 pictures" in result.stdout and "80 pictures of 20 people" in result.stdout
    result = run_module(*command, "--format", "300w-lp", "coco")
    assert_choices(result, "--format", "auto", *FORMATS)
