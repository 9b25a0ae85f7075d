"""The fingerprints of the faces that a model learned from, in the file beside its card."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import REAL_DATA, assert_one_line_error, make_tree, run_module
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.overlap import OverlapConfig, overlap
from senet_kp.data_prep.prepare import prepare
from senet_kp.export.fingerprints import FingerprintsConfig, add_fingerprints
from senet_kp.export.freeze import FreezeConfig, freeze
from senet_kp.inference.model_card import read_card
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.report.__main__ import ReportConfig, write_report
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.scoring.fingerprint_file import packed_faces, read_faces, write_fingerprints
from senet_kp.scoring.lineage import INHERITED, learned_faces, terms_of_training
from senet_kp.tfrecords.errors import CheckError, InputError, ModelError
from senet_kp.tfrecords.fingerprints import (
    HASH_SIDE,
    fingerprints_of,
    pack,
    read_fingerprints,
    unpack,
)
from senet_kp.tfrecords.shards import read_manifest

BITS = HASH_SIDE**2


def prepared(data, out, **options):
    prepare(PrepareConfig(data=(data,), out=out, detector_pictures=0, processes=1, **options))
    return out


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Records of 24 pictures that are also in `records`, but with names of another subset."""
    root = tmp_path_factory.mktemp("twins")
    return prepared(make_tree(root / "data", 24, 1, "HELEN"), root / "records", test_share=0.5)


@pytest.fixture(scope="module")
def tuned(run, model, twins, tmp_path_factory):
    """The run as if it had started from the frozen graph first.pb, which was trained on `twins`.

    first.pb is a copy of `model`; the settings in its card and its fingerprints are those of a
    training on records that are not where they were any more.
    """
    folder = tmp_path_factory.mktemp("tuned")
    graph = Path(shutil.copy(model, folder / "first.pb"))
    card = json.loads(model.with_suffix(".json").read_text())
    first = {"net": "senet", "records": "gone", "records_sha256": sha_of(twins), "before": None}
    faces = learned_faces(first | {"records": str(twins)}, {})
    card |= {"training": {"settings": first}, "terms": f"only on Sundays; {INHERITED}"}
    card |= write_fingerprints(graph, faces)
    graph.with_suffix(".json").write_text(json.dumps(card))
    tuned = shutil.copytree(run, folder / "run")
    settings = json.loads((run / "config.json").read_text())
    before = first | {"graph_sha256": card["sha256"]}
    settings |= {"init_from": str(graph), "before": before}
    (tuned / "config.json").write_text(json.dumps(settings))
    return tuned


@pytest.fixture
def copied(model, tmp_path):
    """A copy of the model, its card and its fingerprints, which a test may change."""
    for path in (model, model.with_suffix(".json"), model.with_suffix(".fingerprints")):
        shutil.copy(path, tmp_path)
    return tmp_path / model.name


# --- the format ---


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.binary(min_size=32, max_size=32))))
def test_packed_fingerprints_survive_a_round_trip(rows):
    names, groups, files, hashes = zip(*rows, strict=True) if rows else ([],) * 4
    bits = np.array([np.unpackbits(np.frombuffer(h, np.uint8)) for h in hashes], np.uint8)
    written = fingerprints_of(names, groups, files, bits.reshape(-1, BITS))
    data = pack(written)
    assert len(data) == 192 + 56 * len(rows), "a header, three keys of 8 bytes, 32 bytes of hash"
    read = unpack(data)
    np.testing.assert_array_equal(read.keys, written.keys)
    np.testing.assert_array_equal(read.hashes, bits.reshape(-1, BITS))
    assert read.names == [""] * len(rows) and pack(read) == data


@pytest.mark.parametrize("data", [b"", b"no array", pack(unpack(pack(
    fingerprints_of(["a"], ["b"], ["c"], np.zeros((1, BITS)))
)))[:-1]])  # fmt: skip
def test_other_bytes_are_not_fingerprints(data):
    with pytest.raises(ValueError):
        unpack(data)


def test_the_card_says_which_rows_are_of_which_records(records, twins):
    both = learned_faces({"records": records, "records_sha256": sha_of(records), "before": {
        "records": twins, "records_sha256": sha_of(twins), "train_on_val": True}}, {})  # fmt: skip
    data, entry = packed_faces(both)
    sides = [read_manifest(folder)["sides"] for folder in (records, twins)]
    faces = [sides[0]["train"]["records"], sum(sides[1][s]["records"] for s in ("train", "val"))]
    assert [folder["faces"] for folder in entry["records"]] == faces
    assert [folder["sides"] for folder in entry["records"]] == [("train",), ("train", "val")]
    assert entry["bytes"] == len(data) == 192 + 56 * sum(faces)


def sha_of(folder) -> str:
    return read_manifest(folder)["records_sha256"]


# --- the file beside a graph ---


def test_freeze_writes_the_faces_of_the_train_side(model, records):
    (faces,) = read_faces(model, read_card(model)).values()
    expected = read_fingerprints(records, ("train",))
    assert faces.sides == ("train",) and len(expected) > 50
    np.testing.assert_array_equal(faces.fingerprints.keys, expected.keys)
    np.testing.assert_array_equal(faces.fingerprints.hashes, expected.hashes)


def test_a_graph_is_not_scored_on_its_training_faces(model, twins, tmp_path):
    """Without the records that it was trained on, and under other names of the pictures."""
    with pytest.raises(CheckError, match=r"was trained on \d+ of the \d+ faces.*HELEN/HELEN_1"):
        evaluate(EvaluateConfig(model=model, records=twins))
    config = ReportConfig(models=(model,), records=twins, box_faces=2, out=tmp_path / "r.html")
    with pytest.raises(CheckError, match="was trained on"):
        write_report(config)
    said = evaluate(EvaluateConfig(model=model, records=twins, allow_overlap=True))[0]["overlap"]
    assert said["faces"] == said["by"]["file"] > 2 and said["not_compared_with"] == []


def test_the_overlap_command_takes_a_model(model, records, twins):
    result = run_module("-m", "senet_kp.data_prep.overlap", twins, model)
    assert_one_line_error(result, 5, "of its faces are in", model.name, "by file")
    by_folder = overlap(OverlapConfig(twins, records))
    by_model = overlap(OverlapConfig(twins, model))
    assert [(m.name, m.by, m.bits) for m in by_model] == [(m.name, m.by, m.bits) for m in by_folder]
    assert {m.other for m in by_model} == {""}, "the file holds no names"


def test_a_copy_without_the_file_warns(copied, twins, capsys):
    copied.with_suffix(".fingerprints").unlink()
    said = evaluate(EvaluateConfig(model=copied, records=twins))[0]["overlap"]
    assert said["faces"] == 0 and len(said["not_compared_with"]) == 1
    assert "were not checked for the scored faces" in capsys.readouterr().err
    with pytest.raises(ModelError, match="not all faces .* are known"):
        overlap(OverlapConfig(twins, copied))


def test_an_altered_file_is_refused_and_a_renamed_one_found(copied, twins):
    path = copied.with_suffix(".fingerprints")
    moved = path.rename(path.with_name("other.fingerprints"))
    assert len(overlap(OverlapConfig(twins, copied))) > 2
    path.write_bytes(moved.read_bytes()[:-1] + b"x")
    moved.unlink()
    with pytest.raises(ModelError, match=r"senet.fingerprints: altered"):
        evaluate(EvaluateConfig(model=copied, records=twins))


def test_faces_that_were_cropped_differently_are_compared_by_name(model, tree, tmp_path, capsys):
    plain = prepared(tree, tmp_path / "plain", context=1.0, test_share=0.5)
    config = EvaluateConfig(model=model, records=plain, allow_overlap=True)
    said = evaluate(config)[0]["overlap"]
    assert set(said["by"]) == {"name"} and said["faces"] > 5
    assert said["compared_by_name_only"] == said["compared_with"]
    assert "by name, not by picture" in capsys.readouterr().err
    with pytest.raises(InputError, match="crop faces differently"):
        overlap(OverlapConfig(plain, model))


def test_older_graphs_get_their_file_by_a_command(copied, records, twins):
    card = copied.with_suffix(".json")
    whole, file = json.loads(card.read_text()), copied.with_suffix(".fingerprints")
    bytes_before = file.read_bytes()
    file.unlink()
    card.write_text(json.dumps({k: v for k, v in whole.items() if k != "fingerprints"}))
    # Without the records of the training, which the settings name, nothing is written.
    moved = json.loads(card.read_text())
    moved["training"]["settings"]["records"] = "gone"
    card.write_text(json.dumps(moved))
    command = ("-m", "senet_kp.export.fingerprints", "--model", copied, "--trained-on")
    assert_one_line_error(run_module(*command, twins), 5, sha_of(records)[:12], "--trained-on")
    assert not file.exists()
    result = run_module(*command, records)
    assert result.returncode == 0 and f"{sha_of(records)}: " in result.stdout, result.stderr
    assert file.read_bytes() == bytes_before
    assert json.loads(card.read_text())["fingerprints"] == whole["fingerprints"]


# --- trainings that were initialised from others ---


def test_a_fine_tuned_graph_knows_the_faces_of_its_initial_graph(
    tuned, records, twins, tmp_path, capsys
):
    out = tmp_path / "tuned.pb"
    card = freeze(FreezeConfig(run=tuned, records=records, out=out))
    assert "warning" not in capsys.readouterr().err
    faces = read_faces(out, read_card(out))
    assert {*faces} == {sha_of(records), sha_of(twins)}
    counts = [len(part.fingerprints) for part in faces.values()]
    assert sorted(counts) == sorted(
        read_manifest(folder)["sides"]["train"]["records"] for folder in (records, twins)
    )
    own = read_manifest(records)["sources"][0]["terms"]
    assert card["terms"] == f"{own}; only on Sundays; {INHERITED}"


def test_models_are_not_scored_on_faces_of_their_initial_graph(tuned, records):
    """The test side of `records` contains pictures that `twins` trained first.pb on."""
    with pytest.raises(CheckError, match=r"AFW/AFW_1\d+_1_0"):
        evaluate(EvaluateConfig(model=tuned, records=records))


def test_an_initial_graph_that_is_gone_is_named(tuned, records, twins, tmp_path, capsys):
    settings = json.loads((tuned / "config.json").read_text()) | {"init_from": "gone.pb"}
    run = shutil.copytree(tuned, tmp_path / "run")
    (run / "config.json").write_text(json.dumps(settings))
    config = FreezeConfig(run=run, records=records, out=tmp_path / "tuned.pb")
    card = freeze(config)
    assert sha_of(twins)[:12] in capsys.readouterr().err
    assert f"the records {sha_of(twins)[:12]} are not known" in card["terms"]
    card = freeze(replace(config, trained_on=(twins,)))
    assert "warning" not in capsys.readouterr().err and "not known" not in card["terms"]
    assert len(card["fingerprints"]["records"]) == 2


def test_without_terms_none_are_known():
    assert terms_of_training({"before": None}, {}) == "none known"


# --- the included graph ---


def test_the_included_graph_knows_all_its_training_faces():
    faces = read_faces(PRETRAINED, read_card(PRETRAINED))
    assert [len(part.fingerprints) for part in faces.values()] == [3317 + 342, 3317, 24404 + 2892]
    assert all(part.crop == "box scale 1.2, shift 0, 0, context 1.50" for part in faces.values())


@pytest.mark.skipif(not REAL_DATA.exists(), reason="needs the real faces beside the project")
def test_the_included_graph_is_not_scored_on_its_training_faces(tmp_path):
    """iBUG's own files of AFW: full-size pictures of photos whose copies it was trained on."""
    out = prepared(REAL_DATA / "300W_pts", tmp_path / "records", test_share=1)
    command = ("-m", "senet_kp.scoring.evaluate", "--model", PRETRAINED, "--records", out)
    assert_one_line_error(run_module(*command), 5, "was trained on 5 of the 12 faces")
    assert {m.by for m in overlap(OverlapConfig(out, Path(PRETRAINED)))} == {"picture"}


def test_fingerprints_are_only_for_graphs(tmp_path):
    (tmp_path / "senet.onnx").touch()
    with pytest.raises(Exception, match="not a frozen graph"):
        add_fingerprints(FingerprintsConfig(model=tmp_path / "senet.onnx"))


def test_an_altered_split_is_refused(records, tmp_path):
    folder = shutil.copytree(records, tmp_path / "records")
    path = folder / "split.csv"
    assert len(read_fingerprints(folder, ("test",)))
    text = path.read_text()
    path.write_text(text.replace("AFW_10", "AFW_20", 1))
    with pytest.raises(InputError, match="split.csv: missing, or altered since the records were"):
        read_fingerprints(folder, ("test",))
