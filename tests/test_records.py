"""The record schema, the framing and the verification."""

import json
import shutil

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from senet_kp.input.crops import load_crops
from senet_kp.tfrecords.errors import CheckError, InputError
from senet_kp.tfrecords.example import BadRecord, frame, read_frames
from senet_kp.tfrecords.schema import (
    LANDMARKS,
    MASK,
    NAME,
    PICTURE,
    Record,
    decode,
    encode,
    face_name,
    parse_op,
    picture_of,
)
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.tfrecords.verify import verify
from senet_kp.train.config import TrainConfig
from senet_kp.train.setup import checked_records

floats = st.floats(-1e6, 1e6, width=32)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def arrays(*shape):
    return hnp.arrays(np.float32, shape, elements=floats)


def records_of(count):
    return st.builds(
        Record,
        picture=st.binary(max_size=200),
        landmarks=arrays(count, 2),
        mask=arrays(count),
        affine=arrays(2, 3),
        pose=arrays(3),
        name=names,
        group=names,
        subset=names,
        tags=st.lists(names, max_size=3).map(tuple),
        encoding=st.sampled_from(["jpeg", "raw"]),
    )


@given(records_of(5))
def test_a_record_comes_back_exactly_and_equal_records_are_equal_bytes(record):
    data = encode(record)
    assert data == encode(record)
    back = decode(data, 5)
    for key, value in vars(record).items():
        np.testing.assert_array_equal(getattr(back, key), value, err_msg=key)


def example():
    rng = np.random.default_rng(0)
    return Record(
        b"\xff\xd8 picture \xff\xd9",
        rng.random((68, 2)).astype(np.float32),
        np.ones(68, np.float32),
        np.eye(2, 3, dtype=np.float32),
        np.array([1, 2, np.nan], np.float32),
        "AFW/é_0.jpg",
        "é",
        "AFW",
        ("pose", "é"),
    )


@pytest.mark.parametrize(
    "picture, number, name",
    [
        ("a/b.jpg", 1, "a/b.jpg"),
        ("a/b.jpg", 12, "a/b.jpg#12"),
        ("no#2.jpg", 3, "no#2.jpg#3"),
    ],
)
def test_face_names_give_the_picture_name_back(picture, number, name):
    assert face_name(picture, number) == name and picture_of(name) == picture


def test_tensorflow_reads_what_we_write(tmp_path):
    from senet_kp.nets.tf1 import tf

    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame(encode(example())) * 3)
    with tf.Graph().as_default(), tf.Session() as session:
        data = tf.data.TFRecordDataset(str(path)).map(lambda s: parse_op(s, 68))
        next_op = tf.data.make_one_shot_iterator(data).get_next()
        for _ in range(3):
            sample = session.run(next_op)
            assert sample[PICTURE["jpeg"]] == example().picture
            assert sample[NAME].decode() == example().name
            np.testing.assert_array_equal(sample[LANDMARKS], example().landmarks)
            np.testing.assert_array_equal(sample[MASK], example().mask)
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(next_op)


def test_tensorflows_writer_makes_the_same_frames(tmp_path):
    from senet_kp.nets.tf1 import tf

    path = tmp_path / "x.tfrecord"
    payloads = [b"", b"one", bytes(range(256)) * 40]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    assert path.read_bytes() == b"".join(map(frame, payloads))
    assert list(read_frames(path)) == payloads


@given(st.data())
def test_any_changed_or_missing_byte_is_found(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("frames") / "x.tfrecord"
    whole = frame(b"first record") + frame(b"second one")
    position = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:position])
        whole_records = position in (0, len(frame(b"first record")))
    else:
        change = data.draw(st.integers(1, 255))
        path.write_bytes(
            whole[:position] + bytes([whole[position] ^ change]) + whole[position + 1 :]
        )
        whole_records = False
    if whole_records:
        assert len(list(read_frames(path))) == (position > 0)
    else:
        with pytest.raises(BadRecord):
            list(read_frames(path))


def test_decode_names_the_feature_that_does_not_fit():
    with pytest.raises(BadRecord, match="'landmarks' has 136 values, not 10"):
        decode(encode(example()), 5)
    with pytest.raises(BadRecord, match="not a tf.train.Example"):
        decode(b"\xff\xff\xff", 5)


@pytest.fixture
def copy(records, tmp_path):
    return shutil.copytree(records, tmp_path / "tfrecords")


def shard(folder, side="train"):
    return next(folder.glob(f"{side}-*.tfrecord"))


def test_verify_accepts_prepared_records(records):
    problems, counted = verify(records)
    assert problems == []
    assert sum(side["records"] for side in counted.values()) == 96
    assert sum(side["groups"] for side in counted.values()) == 48
    result = run_module("-m", "tfrecords.verify", records)
    assert result.returncode == 0 and json.loads(result.stdout) == {"ok": True, **counted}


def test_verify_names_a_truncated_shard(copy):
    path = shard(copy)
    path.write_bytes(path.read_bytes()[:-100])
    result = run_module("-m", "tfrecords.verify", copy)
    assert_one_line_error(result, 5, copy, "problems")
    assert f"{path.name}: truncated in record" in result.stdout


def test_verify_names_an_altered_shard_and_the_record(copy):
    path = shard(copy, "test")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    problems, _ = verify(copy)
    assert any(p.startswith(f"{path.name}: altered: its SHA-256") for p in problems)
    assert any("fails its checksum" in p for p in problems)


def test_verify_names_a_missing_shard_and_a_group_on_two_sides(copy):
    shard(copy, "test").unlink()
    problems, _ = verify(copy)
    assert any("test-00000-of-00001.tfrecord: missing" in p for p in problems)
    shutil.copy(shard(copy, "train"), copy / "test-00000-of-00001.tfrecord")
    problems, _ = verify(copy)
    assert any("groups are in both test and train" in p for p in problems)


def test_verify_names_an_altered_or_missing_split(copy):
    path = copy / "split.csv"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:-1], rows[-1].replace("AFW_", "AFV_")]) + "\n")
    assert verify(copy)[0] == ["split.csv: altered: its SHA-256 is not the manifest's"]
    path.unlink()
    assert verify(copy)[0] == ["split.csv: missing"]


def test_verify_finds_values_out_of_range(copy):
    path = shard(copy, "val")
    first = decode(next(read_frames(path)), 68)
    far = first.landmarks.copy()
    far[0] = 9
    changed = Record(**{**vars(first), "landmarks": far, "picture": b"nothing"})
    path.write_bytes(frame(encode(changed)))
    problems, _ = verify(copy)
    assert any("more than 2 box sizes away" in p for p in problems)
    assert any("not a complete JPEG" in p for p in problems)


def test_a_folder_without_manifest_is_refused(tmp_path):
    assert_one_line_error(run_module("-m", "tfrecords.verify", tmp_path), 3, "manifest.json")


def test_names_that_are_not_utf_8_come_back(tmp_path):
    import os

    from senet_kp.tfrecords.files import fraction, read_csv, sha256_of_lines, write_csv

    name = os.fsdecode(b"M\xfcller.jpg")
    write_csv(tmp_path / "a.csv", ("picture",), [(name,)])
    assert b"M\xfcller.jpg" in (tmp_path / "a.csv").read_bytes()
    assert read_csv(tmp_path / "a.csv") == [{"picture": name}]
    assert 0 <= fraction(name, 0, "test") < 1 and len(sha256_of_lines([name])) == 64


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("scheme", None, "scheme is no object"),
        ("box", {"size_px": 128}, "box has no source"),
        ("sides", {"train": {"records": 3}}, "sides.train has no complete, groups, shards"),
        ("sides", {"more": {}}, "sides has the unknown key more"),
        ("detector_box", {}, "detector_box has no shift_x"),
        ("mean_shape", [[0, 0]], "mean_shape does not have"),
        ("stored_px", 64, "stored_px is smaller than"),
        ("encoding", "png", "encoding is 'png', not 'jpeg' or 'raw'"),
    ],
)
def test_a_damaged_manifest_is_named_with_the_place(copy, key, value, said):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(InputError, match=r"manifest.json: a damaged manifest \(") as caught:
        read_manifest(copy)
    assert said in str(caught.value)
    path.write_text(json.dumps({k: v for k, v in manifest.items() if k != key}))
    if key != "encoding":  # which older manifests do not have
        with pytest.raises(InputError, match=f"has no {key}"):
            read_manifest(copy)


def test_a_shard_outside_the_folder_is_not_read(copy):
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"train-', '"../train-', 1))
    with pytest.raises(InputError, match="not the name of a file"):
        read_manifest(copy)


def test_a_manifest_without_a_train_side_is_refused_by_training(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["sides"]["train"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=f"{copy}: no face on the train side to train on"):
        checked_records(TrainConfig(records=copy))


def test_a_wrong_mirror_table_is_named_with_the_records(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["scheme"]["flip_pairs"].remove([36, 45])
    path.write_text(json.dumps(manifest))
    with pytest.raises(CheckError, match=f"{copy}: landmarks 36 and 45 change places"):
        checked_records(TrainConfig(records=copy))


def test_a_manifest_that_is_nested_too_deeply_is_named(copy):
    (copy / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="manifest.json: not readable .*nested too deeply"):
        read_manifest(copy)


def test_verify_names_a_manifest_whose_hashes_contradict_each_other(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"records_sha256": "0" * 64}))
    assert verify(copy)[0] == [
        "manifest.json: altered: its records_sha256 is not that of its shards"
    ]


def test_a_manifest_of_another_size_of_pictures_is_not_believed(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"stored_px": manifest["stored_px"] + 2}))
    with pytest.raises(InputError, match="by the manifest it is 194 px wide"):
        load_crops(copy, read_manifest(copy), "test")
