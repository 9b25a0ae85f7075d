"""Reading 300W-LP, the split, and the whole of preparation."""

import csv
import hashlib
import shutil
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import scipy.io
from conftest import REAL_DATA, assert_one_line_error, make_tree, run_module
from hypothesis import given
from hypothesis import strategies as st
from runs import config as training

from senet_kp.data_prep import split
from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats import lp300w
from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.data_prep.prepare import prepare
from senet_kp.data_prep.split import sides_of
from senet_kp.face.shape_statistics import ENOUGH, ShapeStatistics
from senet_kp.input.crops import load_crops
from senet_kp.tfrecords.errors import CheckError, InputError, UserError
from senet_kp.tfrecords.example import frame
from senet_kp.tfrecords.files import write_json
from senet_kp.tfrecords.schema import encode
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.sides import SIDES
from senet_kp.tfrecords.verify import verify


def config(data, out, **options):
    return PrepareConfig(**{"data": (data,), "out": out, "detector_pictures": 0, **options})


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "data")


def label_of(root, stem="AFW_1000_1_0"):
    return root / "landmarks" / "AFW" / f"{stem}_pts.mat"


def one(root, stem="AFW_1000_1_0", points="pts_2d"):
    return next(s for s in lp300w.FORMAT.scan(root, points=points) if s.picture.stem == stem)


def read(source):
    return lp300w.FORMAT.read_label(source, source.label.read_bytes(), lp300w.FORMAT.scheme)


# --- the format ---


def test_points_are_moved_from_matlabs_first_pixel_to_zero(tree):
    stored = scipy.io.loadmat(label_of(tree))
    label = read(one(tree))
    np.testing.assert_allclose(label.landmarks, stored["pts_2d"] - 1)
    assert label.mask.all()
    np.testing.assert_allclose(read(one(tree, points="pts_3d")).landmarks, stored["pts_3d"] - 1)
    assert read(one(tree, "AFW_1000_1_1")).pose_deg[1] == pytest.approx(20, abs=1e-4)


def test_own_points_serve_for_pose_index_0_alone(copy):
    expected = read(one(copy)).landmarks
    shutil.rmtree(copy / "landmarks")
    np.testing.assert_allclose(read(one(copy)).landmarks, expected)
    with pytest.raises(Rejected, match="points of the unturned photo") as caught:
        read(one(copy, "AFW_1000_1_1"))
    assert caught.value.reason == "no-landmarks"
    survey = "\n".join(lp300w.FORMAT.survey(copy, lp300w.FORMAT.scan(copy)))
    assert "landmarks/AFW is missing" in survey and "official archive: 5,207" in survey


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"other": 1}, "no-points"),
        ({"pts_2d": np.ones((5, 2))}, "point-count"),
        ({"pts_2d": np.full((68, 2), np.nan)}, "not-finite"),
    ],
)
def test_unusable_labels_have_a_reason(copy, values, reason):
    scipy.io.savemat(label_of(copy), values)
    with pytest.raises(Rejected) as caught:
        read(one(copy))
    assert caught.value.reason == reason and "AFW_1000_1_0_pts.mat" in str(caught.value)


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs-pointer"),
        (b"", "empty"),
        (b"no mat file at all", "bad-mat"),
    ],
)
def test_damaged_label_files_have_a_reason(copy, data, reason):
    label_of(copy).write_bytes(data)
    with pytest.raises(Rejected) as caught:
        read(one(copy))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "name, group",
    [
        ("AFW_134212_2_0", "AFW_134212"),
        ("AFW_134212_1_13", "AFW_134212"),
        ("HELEN_100032540_1_0", "HELEN_100032540"),
        ("IBUG_image_008_1_0", "IBUG_image_008"),
        ("LFPW_image_train_0001_3", "LFPW_image_train_0001"),
        ("LFPW_image_test_0001_3", "LFPW_image_test_0001"),
    ],
)
def test_group_is_the_photo(tmp_path, name, group):
    folder = tmp_path / name.split("_")[0]
    folder.mkdir()
    (folder / f"{name}.jpg").touch()
    assert lp300w.FORMAT.scan(tmp_path)[0].group == group


def test_flipped_twins_are_off_by_default_and_in_the_same_group(copy):
    shutil.copytree(copy / "AFW", copy / "AFW_Flip")
    assert {s.subset for s in lp300w.FORMAT.scan(copy)} == {"AFW"}
    both = lp300w.FORMAT.scan(copy, flips=True)
    assert len(both) == 192 and len({s.group for s in both}) == 48


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_genuine_file_of_the_archive():
    source = next(s for s in lp300w.FORMAT.scan(REAL_DATA / "300W_LP") if s.subset == "IBUG")
    label = read(source)
    assert label.landmarks.shape == (68, 2) and np.isfinite(label.landmarks).all()
    np.testing.assert_allclose(label.pose_deg, [-7.58, -44.01, 3.21], atol=0.01)


# --- the split ---


@given(st.sets(st.text(min_size=1)), st.integers(0, 1000))
def test_adding_groups_moves_none(more, seed):
    groups = {f"group{i}" for i in range(200)}  # so many that no side is empty
    before, after = (sides_of(found, seed, 0.2, 0.1) for found in (groups, groups | more))
    assert all(after[group] == side for group, side in before.items())


@given(st.sets(st.text(min_size=1), max_size=9), st.integers(0, 1000))
def test_no_side_of_a_small_set_is_empty_if_its_groups_allow(groups, seed):
    sides = sides_of(groups, seed, 0.2, 0.1)
    wanted = ["train", "test", "val"][: len(groups)] if len(groups) > 1 else list(sides.values())
    assert sides.keys() == groups and set(sides.values()) == set(wanted)
    assert set(sides_of(groups, seed, 1, 0.1).values()) <= {"test"}
    assert set(sides_of(groups, seed, 0.2, 0).values()) <= {"train", "test"}


def test_the_group_with_the_nearest_hash_fills_an_empty_side(monkeypatch):
    places = {"test": {"a": 0.9, "b": 0.3, "c": 0.5}, "val": {"a": 0.2, "b": 0.0, "c": 0.4}}
    monkeypatch.setattr(split, "fraction", lambda group, seed, purpose: places[purpose][group])
    assert sides_of("abc", 0, 0.2, 0.1) == {"b": "test", "a": "val", "c": "train"}
    assert sides_of("abc", 0, 0.2, 0.5) == {"b": "test", "a": "val", "c": "train"}
    assert sides_of("abc", 0, 0.95, 0.1) == {"b": "test", "a": "val", "c": "train"}
    assert sides_of("abc", 0, 0.95, 0) == {"a": "train", "b": "test", "c": "test"}


def test_shares_of_the_split_and_other_seeds():
    groups = [f"group{i}" for i in range(20_000)]
    sides = list(sides_of(groups, 0, 0.2, 0.1).values())
    # Standard deviations are 0.28 and 0.19 %: four of each.
    assert sides.count("test") / 20_000 == pytest.approx(0.2, abs=0.012)
    assert sides.count("val") / 20_000 == pytest.approx(0.08, abs=0.008)
    assert sides_of(groups, 0, 0.2, 0.1) != sides_of(groups, 1, 0.2, 0.1)


# --- the whole ---


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.tfrecord")}


def test_shards_do_not_depend_on_processes_but_on_the_seed(tree, tmp_path):
    for name, options in {"a": {"processes": 1}, "b": {"processes": 3}, "c": {"seed": 1}}.items():
        prepare(config(tree, tmp_path / name, records_per_shard=10, **options))
    assert digests(tmp_path / "a") == digests(tmp_path / "b") != digests(tmp_path / "c")
    assert len(digests(tmp_path / "a")) > 4


def test_sides_share_no_group_and_records_lead_back_to_the_source(tree, records):
    manifest = read_manifest(records)
    assert manifest["groups_on_two_sides"] == 0
    groups = {}
    for side in SIDES:
        for record in read_records(records, manifest, side):
            assert groups.setdefault(record.group, side) == side
            source = next(s for s in lp300w.FORMAT.scan(tree) if s.name == record.name)
            homogeneous = np.column_stack([record.landmarks, np.ones(68)])
            back = homogeneous @ record.affine.T
            assert np.abs(back - read(source).landmarks).max() < 1e-3
            assert 0.07 < record.landmarks.min() < 0.1 and 0.9 < record.landmarks.max() < 0.93
    with open(records / "split.csv", newline="") as file:
        assert {row["group"]: row["side"] for row in csv.DictReader(file)} == groups


def test_landmarks_lie_on_the_dots_of_the_stored_crop(records):
    crops = load_crops(records, read_manifest(records), "train")
    for image, landmarks in zip(crops.images[:8], crops.landmarks, strict=False):
        pixels = np.round(landmarks * 128 - 0.5).astype(int)
        values = image[pixels[:, 1], pixels[:, 0]].max(axis=1)
        assert (values < 100).mean() > 0.9, "the dots are dark, the background is not"


def test_mean_and_spread_are_those_of_the_train_sides_known_points(records):
    manifest = read_manifest(records)
    shapes = np.array([r.landmarks for r in read_records(records, manifest, "train")])
    np.testing.assert_allclose(manifest["mean_shape"], shapes.mean(0), atol=1e-6)
    np.testing.assert_allclose(manifest["shape_spread"], shapes.std(0), atol=1e-6)


def test_mean_and_spread_by_hand():
    """The first point is known twice, at 0.2 and 0.6; the second once, the third never."""
    statistics = ShapeStatistics()
    statistics.add([[0.2, 0.5], [0.7, 0.8], [9, 9]], [True, True, False])
    statistics.add([[0.6, 0.5], [9, 9], [9, 9]], [1, 0, 0])
    np.testing.assert_allclose(statistics.mean(), [[0.4, 0.5], [0.7, 0.8], [0.5, 0.5]])
    np.testing.assert_allclose(statistics.spread(), [[0.2, 0], [0, 0], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("complete, mean", [(ENOUGH, 0.5), (ENOUGH - 1, 0.4)])
def test_the_mean_shape_is_that_of_whole_faces_if_there_are_enough(complete, mean):
    statistics = ShapeStatistics()
    for _ in range(complete):
        statistics.add([[0.5, 0.5], [0.6, 0.6]], [True, True])
    for _ in range(complete):
        statistics.add([[0.3, 0.5], [9, 9]], [True, False])
    np.testing.assert_allclose(statistics.mean(), [[mean, 0.5], [0.6, 0.6]])
    assert statistics.spread()[0, 0] == pytest.approx(0.0 if complete == ENOUGH else 0.1)


def test_context_1_stores_the_plain_crop(tree, tmp_path):
    manifest = prepare(config(tree, tmp_path / "out", context=1.0))
    assert manifest["stored_px"] == 128
    record = next(read_records(tmp_path / "out", manifest, "train"))
    shape = cv2.imdecode(np.frombuffer(record.picture, np.uint8), cv2.IMREAD_COLOR).shape
    assert shape == (128, 128, 3)


@pytest.fixture(scope="module")
def plain(tree, tmp_path_factory):
    """One file per split, of raw 128x128 pictures."""
    out = tmp_path_factory.mktemp("plain") / "records"
    flags = ("--shards", 1, "--encoding", "raw", "--context", 1, "--val-share", 0)
    result = run_module("-m", "senet_kp.data_prep.prepare", "--data", tree, "--out", out, *flags)
    assert result.returncode == 0, result.stderr
    return out


def test_plain_records_are_one_file_per_split_of_raw_pictures(plain, tree, tmp_path):
    """The pixels are those from which JPEG files would have been made."""
    assert sorted(p.name for p in plain.glob("*.tfrecords")) == [
        "test.tfrecords",
        "train.tfrecords",
    ]
    manifest = read_manifest(plain)
    assert manifest["sides"]["val"]["records"] == 0 and not verify(plain)[0]
    jpeg = prepare(config(tree, tmp_path / "jpeg", context=1.0, val_share=0, jpeg_quality=100))
    for side in ("train", "test"):
        raw = load_crops(plain, manifest, side)
        lossy = load_crops(tmp_path / "jpeg", jpeg, side)
        assert raw.names == lossy.names and len(raw) > 5
        record = next(read_records(plain, manifest, side))
        assert record.picture == raw.images[0].tobytes()
        np.testing.assert_array_equal(raw.landmarks, lossy.landmarks)
        assert np.abs(raw.images.astype(int) - lossy.images).mean() < 2


def test_plain_records_are_trained_on_by_the_same_code(plain, tmp_path):
    from senet_kp.train.loop import train

    assert train(training(plain, tmp_path / "run")) == 0
    assert len(load_crops(plain, read_manifest(plain), "test", 1)) == 1


def test_plain_records_are_checked(plain, tmp_path):
    copy = shutil.copytree(plain, tmp_path / "copy")
    manifest = read_manifest(copy)
    record = next(read_records(copy, manifest, "test"))
    cut = frame(encode(replace(record, picture=record.picture[:-3])))
    other = frame(encode(replace(record, encoding="jpeg")))
    (copy / "test.tfrecords").write_bytes(cut + other)
    problems = "\n".join(verify(copy)[0])
    assert "the picture has 49,149 bytes, not 49,152" in problems
    assert "the picture is jpeg, not raw as in the manifest" in problems


def test_records_of_before_a_setting_existed_are_up_to_date(tree, tmp_path, capsys):
    made = prepare(config(tree, tmp_path / "out"))
    for key in ("encoding", "shards"):
        del made["settings"][key]
    write_json(tmp_path / "out" / "manifest.json", made)
    prepare(config(tree, tmp_path / "out"))
    assert "nothing to do" in capsys.readouterr().out


def test_a_second_run_finds_nothing_to_do_until_something_changes(copy, tmp_path, capsys):
    prepare(config(copy, tmp_path / "out"))
    before = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    prepare(config(copy, tmp_path / "out"))
    assert "nothing to do" in capsys.readouterr().out
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == before
    label_of(copy).touch()
    prepare(config(copy, tmp_path / "out"))
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns > before


def test_records_of_other_settings_are_replaced_only_with_overwrite(copy, tmp_path, capsys):
    out = tmp_path / "out"
    prepare(config(copy, out, jpeg_quality=90))
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(UserError, match=r"--jpeg-quality 90, now 80; --seed 0, now 1\)"):
        prepare(config(copy, out, jpeg_quality=80, seed=1))
    assert (out / "manifest.json").read_bytes() == before
    made = prepare(config(copy, out, jpeg_quality=80, seed=1, overwrite=True))
    assert (
        made["settings"]["seed"] == 1
        and "other settings and are replaced" in capsys.readouterr().out
    )
    label_of(copy).touch()
    prepare(config(copy, out, jpeg_quality=80, seed=1))
    assert "other pictures or labels and are replaced" in capsys.readouterr().out


def test_identical_points_of_two_views_are_explained(copy):
    shutil.copy(label_of(copy), label_of(copy, "AFW_1000_1_1"))
    with pytest.raises(InputError, match="two views of one photo with identical landmarks"):
        prepare(config(copy, copy.parent / "out"))
    assert not (copy.parent / "out").exists()


def break_pictures(root):
    """Seven pictures that cannot be used, by reason."""
    pictures = sorted((root / "AFW").glob("*_0.jpg"))
    pictures[0].write_bytes(pictures[0].read_bytes()[:-3000])
    pictures[1].write_bytes(b"")
    pictures[2].write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    pictures[3].write_bytes(b"no picture")
    scipy.io.savemat(label_of(root, pictures[4].stem), {"pts_2d": np.ones((5, 2))})
    scipy.io.savemat(label_of(root, pictures[5].stem), {"pts_2d": np.full((68, 2), np.nan)})
    spread = np.arange(136).reshape(68, 2) * 1.0
    scipy.io.savemat(label_of(root, pictures[6].stem), {"pts_2d": spread + 5000})
    scipy.io.savemat(label_of(root, pictures[7].stem), {"pts_2d": spread / 50 + 200})
    return {
        p.name: reason
        for p, reason in zip(
            pictures,
            (
                "truncated",
                "empty",
                "git-lfs-pointer",
                "unreadable",
                "point-count",
                "not-finite",
                "outside",
                "tiny-face",
            ),
            strict=False,
        )
    }


def test_unusable_pictures_are_set_aside_with_their_reason(copy, tmp_path):
    broken = break_pictures(copy)
    manifest = prepare(config(copy, tmp_path / "out", max_rejects=0.5))
    assert manifest["rejects"] == 8
    assert sum(side["records"] for side in manifest["sides"].values()) == 88
    with open(tmp_path / "out" / "rejects.csv", newline="") as file:
        rows = {row["picture"].split("/")[1]: row for row in csv.DictReader(file)}
    assert {name: row["reason"] for name, row in rows.items()} == broken
    assert all(name.split(".")[0] in row["message"] for name, row in rows.items())


def test_too_many_of_them_end_the_run_and_keep_the_list(copy, tmp_path):
    break_pictures(copy)
    result = run_module("-m", "data_prep.prepare", "--data", copy, "--out", tmp_path / "out")
    assert_one_line_error(result, 5, "8 of 96 pictures cannot be used", "out-rejects.csv")
    assert not (tmp_path / "out").exists()
    assert len((tmp_path / "out-rejects.csv").read_text().splitlines()) == 9


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda root: None, ["no such file or folder"]),
        (lambda root: root.mkdir(), ["no labelled picture found", "AFW/"]),
        (lambda root: make_tree(root, 1), ["groups of pictures is on the", "side"]),
        (
            lambda root: (
                root.mkdir(),
                cv2.imwrite(f"{root}/a.jpg", np.zeros((9, 9, 3), np.uint8)),
            ),
            ["contains pictures itself"],
        ),
    ],
)
def test_unusable_folders_are_named(tmp_path, make, words):
    make(tmp_path / "data")
    with pytest.raises((InputError, CheckError)) as caught:
        prepare(config(tmp_path / "data", tmp_path / "out", format=("300w-lp",)))
    for word in [str(tmp_path / "data"), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "flags",
    [
        ["--box.padding", "mirror"],
        ["--context", "0.5"],
        ["--context", "1.51"],
        ["--points", "p"],
        ["--format", "coco"],
        ["--test-share", "1.1"],
        ["--split", "even"],
        ["--no-such-flag", "1"],
    ],
)
def test_senseless_flags_exit_with_2(tree, tmp_path, flags):
    result = run_module("-m", "data_prep.prepare", "--data", tree, "--out", tmp_path / "o", *flags)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert not (tmp_path / "o").exists()


def test_without_a_detected_face_the_manifest_says_so(tree, tmp_path):
    manifest = prepare(config(tree, tmp_path / "out", detector_pictures=4))
    assert manifest["detector_box"] is None  # dots on a soft background are no faces to dlib


@pytest.mark.parametrize("name", ["", "notes.txt"])
def test_somebody_elses_folder_is_not_replaced(tree, tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        prepare(config(tree, tmp_path / "mine" / name))
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    assert len(list(tmp_path.rglob("*"))) == 2


def test_without_dlib_preparation_says_so_before_the_first_picture(tree, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(UserError, match="dlib cannot be imported .* --detector-pictures 0"):
        prepare(config(tree, tmp_path / "out", detector_pictures=4))
    assert list(tmp_path.iterdir()) == []
    assert prepare(config(tree, tmp_path / "out", detector_pictures=0))["detector_box"] is None
