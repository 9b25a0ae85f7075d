"""Cross-validation: groups to folds, the records of a fold, the table, resuming after a stop."""

import csv
import json

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.scoring.crossval import CrossvalConfig, crossval, fold_of, fold_records, fold_table
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.verify import verify
from senet_kp.train.config import recipe


def config(records, out, **options):
    small = {
        "records": records,
        "out": out,
        "folds": 2,
        "steps": 2,
        "batch_size": 4,
        "bn_decay": 0.8,
        "validate_every_steps": 1,
        "log_every_steps": 1,
    }
    return CrossvalConfig(**vars(recipe("senet_classic")) | small | options)


def records_of(folder, *sides):
    manifest = read_manifest(folder)
    return [record for side in sides for record in read_records(folder, manifest, side)]


# --- groups to folds ---


@given(st.text(), st.integers(0, 1000), st.integers(2, 20))
def test_a_group_has_one_fold_of_those_there_are(group, seed, folds):
    assert fold_of(group, seed, folds) == fold_of(group, seed, folds) in range(folds)


def test_folds_have_similar_sizes_and_depend_on_the_seed():
    groups = [f"photo{number}" for number in range(2000)]
    folds = np.array([fold_of(group, 0, 5) for group in groups])
    counts = np.bincount(folds, minlength=5)
    assert counts.sum() == 2000 and counts.min() > 340 and counts.max() < 460
    again = np.array([fold_of(group, 1, 5) for group in groups])
    assert 0.15 < (folds == again).mean() < 0.25  # one in five by chance


@pytest.mark.parametrize(
    ("fold_test_side", "sides"),
    [
        (False, ("train", "val")),
        (True, ("train", "val", "test")),
    ],
)
def test_folds_cover_everything_once_and_split_no_group(records, tmp_path, fold_test_side, sides):
    settings = config(records, tmp_path, folds=3, fold_test_side=fold_test_side)
    every = sorted(record.name for record in records_of(records, *sides))
    validated = []
    for fold in range(3):
        folder = tmp_path / f"fold-{fold}"
        manifest = fold_records(settings, fold, folder)
        train, val = records_of(folder, "train"), records_of(folder, "val")
        assert sorted(record.name for record in train + val) == every
        assert not {r.group for r in train} & {r.group for r in val}
        assert all(fold_of(r.group, 0, 3) == fold for r in val)
        assert verify(folder)[0] == [] and manifest["groups_on_two_sides"] == 0
        assert list(manifest["sides"]) == ["train", "val"]
        shapes = np.array([r.landmarks for r in train])
        np.testing.assert_allclose(manifest["mean_shape"], shapes.mean(0), atol=1e-6)
        np.testing.assert_allclose(manifest["shape_spread"], shapes.std(0), atol=1e-6)
        validated += [record.name for record in val]
    assert sorted(validated) == every


def test_records_come_out_as_they_went_in_and_are_written_once(records, tmp_path):
    settings, folder = config(records, tmp_path), tmp_path / "fold"
    fold_records(settings, 0, folder)
    before = {record.name: record for record in records_of(records, "train", "val")}
    for record in records_of(folder, "train", "val"):
        assert record.picture == before[record.name].picture
        np.testing.assert_array_equal(record.landmarks, before[record.name].landmarks)
    written = (folder / "manifest.json").stat().st_mtime_ns
    fold_records(settings, 0, folder)
    assert (folder / "manifest.json").stat().st_mtime_ns == written
    fold_records(config(records, tmp_path, fold_seed=1), 0, folder)
    assert (folder / "manifest.json").stat().st_mtime_ns != written


def test_more_folds_than_groups_are_refused(records, tmp_path):
    with pytest.raises(UserError, match="side of fold .* has no group; use fewer --folds"):
        for fold in range(1000):
            fold_records(config(records, tmp_path, folds=1000), fold, tmp_path / str(fold))
    assert not list(tmp_path.glob(".*.tmp"))


# --- the whole of it ---


def test_it_stops_goes_on_and_writes_the_table(records, tmp_path, capsys):
    out = tmp_path / "crossval"
    assert crossval(config(records, out, max_minutes=1e-4)) == 0
    assert "fold 0 is not complete; run the same command to resume" in capsys.readouterr().out
    assert not (out / "folds.csv").exists() and not (out / "fold-1" / "run").exists()
    assert crossval(config(records, out)) == 0
    printed = capsys.readouterr().out
    assert "from step 1" in printed  # where the time was up
    result = json.loads((out / "crossval.json").read_text())
    assert [row["val_faces"] + row["train_faces"] for row in result["folds"]] == [
        len(records_of(records, "train", "val"))
    ] * 2
    first, second = (row["nme"] for row in result["folds"])
    assert result["nme_mean"] == pytest.approx((first + second) / 2)
    assert result["nme_standard_deviation"] == pytest.approx(abs(first - second) / 2**0.5)
    assert all(
        row["side"] == "val" and row["normaliser"] == "inter-ocular" for row in result["folds"]
    )
    with open(out / "folds.csv", newline="") as file:
        assert [float(row["nme"]) for row in csv.DictReader(file)] == [first, second]
    assert f"NME {result['nme_mean']:.2%} mean" in printed
    assert crossval(config(records, out)) == 0  # nothing is trained again
    assert capsys.readouterr().out.count("nothing to do") == 2
    assert json.loads((out / "crossval.json").read_text()) == result


def test_the_table_by_hand():
    rows = [
        {
            "fold": fold,
            "train_faces": 4000,
            "val_faces": 1000,
            "val_groups": 300,
            "nme": nme,
            "nme_median": 0.03,
            "failure_rate": 0.025,
        }
        for fold, nme in enumerate((0.03, 0.04, 0.05))
    ]
    lines = fold_table(rows).splitlines()
    assert lines[1].split() == ["0", "4,000", "1,000", "300", "3.00%", "3.00%", "2.5%"]
    assert lines[-1] == "NME 4.00% mean, 1.00% standard deviation"


@pytest.mark.parametrize(
    "flags, word",
    [
        (["--folds", "1"], "--folds must be at least 2"),
        (["--train-on-val"], "--train-on-val cannot be used"),
    ],
)
def test_senseless_flags_exit_with_2(records, tmp_path, flags, word):
    result = run_module(
        "-m", "senet_kp.scoring.crossval", "--records", records, "--out", tmp_path, *flags
    )
    assert_one_line_error(result, 2, word)
