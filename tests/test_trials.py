"""The table of trials: rows of run folders, and older rows."""

import csv

import pytest

from benchmarks.trials import add_rows, network_size, trial_row
from senet_kp.tfrecords.files import read_csv
from senet_kp.tfrecords.shards import read_manifest


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_has_settings_cost_and_accuracy(run, records):
    row = trial_row(run, records, "a note")
    assert row["trial"] == "run" and row["net"] == "senet"
    assert row["settings"] == "a note; steps 24; batch_size 8; bn_decay 0.8"
    assert (
        row["images"] == "192"
        and row["weights"] == network_size("senet", read_manifest(records))[0]
    )
    best = min(float(line["val_nme"]) for line in read_csv(run / "metrics.csv"))
    assert float(row["val_nme"]) == pytest.approx(best, abs=1e-4)
    assert float(row["latency_ms"]) > 0 and "val_nme_AFW" in row


def test_rows_replace_those_of_the_same_name_and_keep_the_others(tmp_path):
    table = tmp_path / "trials.csv"
    add_rows(table, [{"trial": "a", "val_nme": "0.1"}, {"trial": "b", "val_nme": "0.2"}])
    add_rows(table, [{"trial": "a", "val_nme": "0.3", "val_nme_P1": "0.4"}])
    assert read_table(table) == [
        {"trial": "b", "val_nme": "0.2", "val_nme_P1": ""},
        {"trial": "a", "val_nme": "0.3", "val_nme_P1": "0.4"},
    ]


def test_operations_are_counted_twice_for_multiply_and_add(records):
    weights, mflop = network_size("senet_classic", read_manifest(records))
    assert weights == 1_022_796 and 70 < mflop < 90
