"""Train/test overlap between record folders, and refusing to score a model on training data."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import (
    REAL_DATA,
    assert_one_line_error,
    face_points,
    make_picture,
    make_tree,
    run_module,
    write_view,
)
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import crop_with_context, perceptual_hash
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats.lp300w import FORMAT
from senet_kp.data_prep.overlap import OverlapConfig, overlap, table
from senet_kp.data_prep.prepare import prepare
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import read_picture
from senet_kp.report.__main__ import ReportConfig, write_report
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.scoring.lineage import UNKNOWN, trained_records
from senet_kp.tfrecords.errors import CheckError, InputError, UserError
from senet_kp.tfrecords.files import read_csv
from senet_kp.tfrecords.fingerprints import (
    ALIKE_BITS,
    HASH_SIDE,
    Fingerprints,
    fingerprints_of,
    hash_text,
    meetings,
    read_fingerprints,
)
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.sides import SIDES

RULE = CropRule(BoxRule(), 1.5, 95, IBUG68)
BITS = HASH_SIDE**2


def make_fingerprints(*rows, hashes=None) -> Fingerprints:
    """Fingerprints of (name, group, file) rows; by default hashes differ in half of the bits."""
    names, groups, files = zip(*rows, strict=True)
    if hashes is None:
        hashes = np.random.default_rng(len(rows)).integers(0, 2, (len(rows), BITS))
    return fingerprints_of(names, groups, files, np.asarray(hashes, np.uint8))


def bits_of(text: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))


def apart(first: str, second: str) -> int:
    return int((bits_of(first) != bits_of(second)).sum())


def hash_of(picture, points) -> str:
    """Return the perceptual hash of an RGB crop."""
    stored = crop_with_context(picture, face_box(points, RULE.box), RULE)
    return perceptual_hash(np.ascontiguousarray(stored[..., ::-1]))


# --- matching of records ---


def test_every_kind_of_match_by_hand():
    trained = make_fingerprints(("a", "A", "1"), ("b", "B", "2"), ("c", "C", "3"), ("d", "D", "4"))
    hashes = np.random.default_rng(9).integers(0, 2, (5, BITS), np.uint8)
    hashes[2] = trained.hashes[2]
    hashes[2, :ALIKE_BITS] ^= 1
    rows = [("a", "Z", "9"), ("x", "Z", "2"), ("y", "Z", "9"), ("z", "D", "9"), ("w", "Z", "9")]
    found = meetings(make_fingerprints(*rows, hashes=hashes), trained)
    assert [(m.name, m.other, m.by) for m in found] == [
        ("a", "a", "name"),
        ("x", "b", "file"),
        ("y", "c", "picture"),
        ("z", "d", "group"),
    ]
    assert found[2].bits == ALIKE_BITS
    hashes[2, ALIKE_BITS] ^= 1  # one bit above the limit: a different picture
    left = meetings(make_fingerprints(*rows, hashes=hashes), trained)
    assert [m.name for m in left] == ["a", "x", "z"]


def test_without_faces_there_is_no_match():
    some, none = (
        make_fingerprints(("a", "A", "1")),
        fingerprints_of([], [], [], np.zeros((0, BITS))),
    )
    assert meetings(some, none) == meetings(none, some) == []


@given(st.lists(st.booleans(), min_size=BITS, max_size=BITS))
def test_hashes_survive_a_round_trip_through_text(bits):
    assert bits_of(hash_text(bits)).tolist() == bits
    assert len(hash_text(bits)) == BITS / 4


def test_the_nearest_of_many_is_found_across_blocks():
    rng = np.random.default_rng(0)
    many = make_fingerprints(*((f"n{i}", f"g{i}", f"f{i}") for i in range(2500)))
    order = rng.permutation(2500)
    noisy = many.hashes[order].copy()
    for row in noisy:
        row[rng.choice(BITS, 30, replace=False)] ^= 1
    rows = [(f"m{i}", f"h{i}", f"e{i}") for i in range(2500)]
    found = meetings(make_fingerprints(*rows, hashes=noisy), many)
    assert [m.other for m in found] == [f"n{i}" for i in order]
    assert {(m.by, m.bits) for m in found} == {("picture", 30)}


# --- the perceptual hash ---


def recompressed(picture, quality: int, factor: float = 1.0):
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def check_hash(picture, points):
    """JPEG compression and resizing change at most ALIKE_BITS bits of the hash of a picture."""
    expected = hash_of(picture, points)
    assert apart(expected, hash_of(recompressed(picture, 20), points)) <= ALIKE_BITS
    half = (points + 0.5) / 2 - 0.5
    assert apart(expected, hash_of(recompressed(picture, 70, 0.5), half)) <= ALIKE_BITS
    return expected


def test_hashes_match_edited_copies_and_no_other_pictures():
    views = [render_identity(5, identity, 1)[0] for identity in range(6)]
    hashes = [check_hash(np.ascontiguousarray(v.image[..., ::-1]), v.points_2d) for v in views]
    between = [apart(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(between) > ALIKE_BITS


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_300w_lps_copies_of_real_photos_are_found():
    """AFW at full size, with iBUG's own points, matches the 450 px copies in 300W-LP."""
    copies = {
        s.picture.stem.removeprefix("AFW_").removesuffix("_0"): s
        for s in FORMAT.scan(REAL_DATA / "300W_LP")
        if s.subset == "AFW"
    }
    originals, known = {}, {}
    for path in sorted((REAL_DATA / "300W_pts").glob("*.pts")):
        points = np.loadtxt(path.read_text().split("{")[1].split("}")[0].strip().splitlines()) - 1
        originals[path.stem] = check_hash(read_picture(path.with_suffix(".jpg")), points)
        source = copies[path.stem]
        label = FORMAT.read_label(source, source.label.read_bytes(), IBUG68)
        known[path.stem] = hash_of(read_picture(source.picture), label.landmarks)
    assert len(known) == 12
    for stem, original in originals.items():
        assert apart(original, known[stem]) <= 20
        assert min(apart(original, other) for s, other in known.items() if s != stem) > 60


# --- record folders ---


def test_split_csv_fingerprints_every_record(records):
    rows = {row["picture"]: row for row in read_csv(records / "split.csv")}
    manifest, seen = read_manifest(records), 0
    for side in SIDES:
        for record in read_records(records, manifest, side):
            row = rows[record.name]
            assert (row["side"], row["group"]) == (side, record.group)
            assert row["sha256"] == hashlib.sha256(record.picture).hexdigest()
            stored = cv2.imdecode(np.frombuffer(record.picture, np.uint8), cv2.IMREAD_COLOR_BGR)
            assert apart(row["phash"], perceptual_hash(stored)) <= 8  # after one JPEG compression
            seen += 1
    assert seen == len(rows) == 96


def prepared(data, out, **options):
    prepare(PrepareConfig(data=(data,), out=out, detector_pictures=0, processes=1, **options))
    return out


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Records of 24 pictures that are also in `records`, but with names of another subset."""
    root = tmp_path_factory.mktemp("twins")
    return prepared(make_tree(root / "data", 24, 1, "HELEN"), root / "records", test_share=0.5)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Records of 16 faces that are not in `records`."""
    root = tmp_path_factory.mktemp("strangers")
    for photo in range(16):
        points = face_points((225, 230), 200 + photo, seed=9000 + photo)
        # Inverted, because the hashes of all pictures with dots on a background are similar.
        picture = 255 - make_picture(points, seed=7000 + photo)
        write_view(root / "data", "LFPW", f"LFPW_image_test_{photo:04d}_0", points, picture)
    return prepared(root / "data", root / "records", test_share=0.5)


def test_the_same_file_under_another_name_is_found(records, twins):
    found = overlap(OverlapConfig(twins, records, training_sides=SIDES))
    assert len(found) == read_manifest(twins)["sides"]["test"]["records"] > 4
    assert {(m.by, m.bits) for m in found} == {("file", 0)}
    assert all(m.name.replace("HELEN", "AFW") == m.other for m in found)
    assert "HELEN_1" in table(found) and "trained on" in table(found)


def test_the_sides_of_one_folder_share_nothing(records):
    assert not [m for m in overlap(OverlapConfig(records, records)) if m.by != "picture"]
    everything = overlap(OverlapConfig(records, records, sides=("train",)))
    assert {m.by for m in everything} == {"name"}
    assert len(everything) == read_manifest(records)["sides"]["train"]["records"]
    result = run_module("-m", "data_prep.overlap", records, records, "--sides", "tests")
    assert result.returncode == 2 and "tests" in result.stderr


def test_the_overlap_command(records, twins, strangers):
    command = ("-m", "data_prep.overlap", twins, records, "--training-sides", *SIDES)
    result = run_module(*command)
    assert_one_line_error(result, 5, "faces are in", "by file", "--allow-overlap")
    assert result.stdout.count("HELEN/HELEN_") == read_manifest(twins)["sides"]["test"]["records"]
    allowed = run_module(*command, "--allow-overlap")
    assert allowed.returncode == 0 and "by file" in allowed.stdout
    none = run_module("-m", "data_prep.overlap", strangers, records)
    assert none.returncode == 0 and "none of its faces is in" in none.stdout, none.stderr
    assert_one_line_error(run_module("-m", "data_prep.overlap", strangers, "gone"), 3, "gone")


def test_folders_that_crop_differently_are_not_compared(tree, records, tmp_path):
    plain = prepared(tree, tmp_path / "plain", context=1.0)
    with pytest.raises(InputError, match="context 1.00 and .* context 1.50"):
        overlap(OverlapConfig(plain, records))


def test_records_without_fingerprints_are_refused_and_can_be_made_again(tree, tmp_path):
    out = prepared(tree, tmp_path / "out")
    split = out / "split.csv"
    whole = split.read_text().splitlines()
    split.write_text("\n".join(line.rsplit(",", 2)[0] for line in whole) + "\n")
    with pytest.raises(InputError, match="no fingerprints.*make the records again"):
        read_fingerprints(out, SIDES)
    split.write_text("\n".join(whole[:-1]) + "\n")
    with pytest.raises(InputError, match="names 95 records, not 96"):
        read_fingerprints(out, SIDES)
    prepared(tree, out)
    assert len(read_fingerprints(out, SIDES)) == 96


# --- training data of a model ---


def test_data_of_the_initial_checkpoint_count_as_training_data():
    first = {"records_sha256": "a", "train_on_val": True, "before": None}
    second = {"records_sha256": "b", "train_on_val": False, "before": first}
    again = {"records_sha256": "a", "before": second}
    assert trained_records(again) == {"a": ("train", "val"), "b": ("train",)}
    graph = {"records_sha256": "a", "before": {"net": "senet", "graph_sha256": "f"}}
    assert trained_records(graph) == {"a": ("train",), UNKNOWN: ("train",)}
    assert trained_records({}) == trained_records(None) == {}
    trunk = {"records_sha256": "a", "before": {"trunk_sha256": "c"}}  # weights of VGG16
    assert trained_records(trunk) == {"a": ("train",)}


def test_scoring_on_the_test_side_of_the_training_records_is_clean(model, run, records):
    for path in (model, run):
        overlap = evaluate(EvaluateConfig(model=path, records=records))[0]["overlap"]
        assert overlap["faces"] == 0 and overlap["not_compared_with"] == []
        assert overlap["compared_with"] == [read_manifest(records)["records_sha256"]]


def test_scoring_on_the_trained_side_is_refused(model, records):
    config = EvaluateConfig(model=model, records=records, side="train")
    count = read_manifest(records)["sides"]["train"]["records"]
    with pytest.raises(CheckError, match=f"trained on {count} of the {count} faces of the train"):
        evaluate(config)
    overlap = evaluate(replace(config, allow_overlap=True))[0]["overlap"]
    assert overlap["faces"] == count and overlap["by"] == {"name": count}
    assert len(overlap["first"]) == 3


@pytest.fixture(scope="module")
def bare(model, tmp_path_factory):
    """The model without the fingerprints of its training faces."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copy(model.with_suffix(".json"), folder)
    return Path(shutil.copy(model, folder))


def test_scoring_on_other_records_with_its_pictures_is_refused(bare, records, twins, tmp_path):
    scored = (
        "-m",
        "senet_kp.scoring.evaluate",
        "--model",
        bare,
        "--records",
        twins,
        "--json",
        "-",
        "--ced",
        tmp_path / "ced.png",
    )
    result = run_module(*scored, "--trained-on", records)
    assert_one_line_error(result, 5, "was trained on", "HELEN/HELEN_1", "(AFW/AFW_1", "--allow")
    assert not (tmp_path / "ced.png").exists()
    allowed = run_module(*scored, "--trained-on", records, "--allow-overlap")
    assert allowed.returncode == 0, allowed.stderr
    said = json.loads(allowed.stdout)["overlap"]
    assert said["faces"] == said["by"]["file"] > 2 and said["alike_bits"] == ALIKE_BITS
    unchecked = run_module(*scored)
    assert unchecked.returncode == 0 and "--trained-on" in unchecked.stderr
    said = json.loads(unchecked.stdout)["overlap"]
    assert said["not_compared_with"] == [read_manifest(records)["records_sha256"]]
    assert said["faces"] == 0 and said["compared_with"] == []


def test_new_faces_are_scored_and_wrong_training_records_refused(model, records, strangers, twins):
    config = EvaluateConfig(model=model, records=strangers, trained_on=(records,))
    said = evaluate(config)[0]["overlap"]
    assert said["faces"] == 0 and said["not_compared_with"] == []
    with pytest.raises(UserError, match="not the records that the model was trained on"):
        evaluate(replace(config, trained_on=(twins,)))


def test_the_report_refuses_overlap_and_states_the_check(bare, records, twins, tmp_path):
    config = ReportConfig(models=(bare,), records=twins, box_faces=2, out=tmp_path / "report.html")
    with pytest.raises(CheckError, match="was trained on"):
        write_report(replace(config, trained_on=(records,)))
    assert not config.out.exists()
    numbers = write_report(replace(config, trained_on=(records,), allow_overlap=True))
    faces = numbers["models"][0]["overlap"]["faces"]
    assert faces > 2 and f"was trained on {faces} of these faces" in config.out.read_text()
    write_report(config)
    assert "were not available to this report (--trained-on)" in config.out.read_text()


def test_a_model_without_a_card_needs_the_training_records_as_a_flag(records, strangers, tmp_path):
    from benchmarks.dlib_baseline import BaselineConfig, TreeConfig, train_baseline

    path = tmp_path / "tiny.dat"
    trees = TreeConfig(cascade_depth=1, num_trees_per_cascade_level=2)
    train_baseline(BaselineConfig(records=records, out=path, faces=4, trees=trees, threads=1))
    shutil.move(path.with_suffix(".json"), tmp_path / "card.json")
    config = EvaluateConfig(model=path, records=strangers)
    said = evaluate(config)[0]["overlap"]
    assert said["not_compared_with"] == [UNKNOWN]
    said = evaluate(replace(config, trained_on=(records,)))[0]["overlap"]
    assert said["not_compared_with"] == [] and said["faces"] == 0
