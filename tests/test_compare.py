"""The comparison of systems: training, scores, timing and the table."""

import json

import pytest
from conftest import run_module

from benchmarks import compare as compare_module
from benchmarks.compare import CompareConfig, compare, plot, table, with_older_rows
from benchmarks.measure import with_table
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.shards import read_manifest

ROW = {
    "nme": {"value": 0.0512, "low": 0.05, "high": 0.053},
    "latency_ms": {"median": 3.21},
    "bytes": 4_400_000,
}
RESULT = {
    "conditions": {"images": 20_000},
    "systems": {
        "dlib": ROW | {"nme": {"value": 0.0634, "low": None, "high": None}},
        "senet": ROW | {"weights": 1_060_863, "mflop": 234.4, "images_per_s": {"median": 101.6}},
    },
}


def test_the_table_has_the_most_accurate_first_and_empty_cells_for_trees():
    rows = table(RESULT).splitlines()[2:]
    assert rows == [
        "| `senet` | 5.12% (5.00% to 5.30%) | 3.2 | 1.06 M | 234 | 4.4 MB | 102 |",
        "| `dlib` | 6.34% | 3.2 |  |  | 4.4 MB |  |",
    ]


def test_some_systems_are_measured_again_beside_the_older_rows():
    again = {"conditions": RESULT["conditions"], "systems": {"senet": ROW | {"bytes": 3}}}
    both = with_older_rows(again, RESULT)
    dlib = RESULT["systems"]["dlib"] | {"earlier": True}
    assert both["systems"] == {"dlib": dlib, "senet": ROW | {"bytes": 3}}
    lines = table(RESULT | {"systems": RESULT["systems"] | {"dlib": dlib}}).splitlines()
    assert lines[2].startswith("| `senet` |") and lines[3].startswith("| `dlib` \\* |")
    assert lines[-1].startswith("\\* measured in an earlier run")
    assert with_older_rows(RESULT, both) == RESULT
    other = {"conditions": {"images": 10}, "systems": again["systems"]}
    with pytest.raises(UserError, match="another images; measure all of them again"):
        with_older_rows(other, RESULT)


def test_the_readme_keeps_the_rest_of_its_text():
    readme = "before\n<!-- compare:begin -->\nold\n<!-- compare:end -->\nafter"
    new = with_table(readme, "compare", "| new |\n")
    assert new == "before\n<!-- compare:begin -->\n| new |\n<!-- compare:end -->\nafter"
    assert with_table(new, "compare", "| new |\n") == new


def test_the_plot_is_a_picture(tmp_path):
    plot(RESULT, tmp_path / "compare.png")
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_systems_are_trained_once_and_measured(records, tmp_path, monkeypatch):
    calls = []
    real = compare_module._call
    monkeypatch.setattr(compare_module, "SPEED_ROUNDS", 1)
    monkeypatch.setattr(
        compare_module, "_call", lambda module, flags: (calls.append(module), real(module, flags))
    )
    config = CompareConfig(
        records=records,
        out=tmp_path,
        systems=("senet_classic",),
        images=16,
        batch_size=8,
        repeats=3,
        speed_s=0.1,
    )
    row = compare(config)["systems"]["senet_classic"]
    assert row["weights"] == 1_022_796 and row["nme"]["low"] <= row["nme"]["value"]
    assert row["bytes"] == (tmp_path / "senet_classic.pb").stat().st_size
    assert row["latency_ms"]["min"] > 0 and row["images_per_s"]["min"] > 0
    assert calls == ["senet_kp.train.loop", "senet_kp.export.freeze"]
    frozen = (tmp_path / "senet_classic.pb").read_bytes()
    compare_module._trained("senet_classic", config, read_manifest(records))
    assert calls[2:] == ["senet_kp.train.loop"]  # it finds nothing to do
    assert (tmp_path / "senet_classic.pb").read_bytes() == frozen


def test_dlib_sees_as_many_pictures(records, tmp_path, monkeypatch):
    """The number of faces times that of starting shapes is the number of pictures."""
    train = json.loads((records / "manifest.json").read_text())["sides"]["train"]["records"]
    given = {}

    def call(module, flags):
        given.update(flags, module=module)
        raise UserError("far enough")

    monkeypatch.setattr(compare_module, "_call", call)
    with pytest.raises(UserError, match="far enough"):
        compare(CompareConfig(records=records, out=tmp_path, systems=("dlib",), images=10 * train))
    assert given["module"] == "benchmarks.dlib_baseline"
    assert given["trees.oversampling-amount"] == 10


def test_an_unknown_system_is_refused(records):
    result = run_module("-m", "benchmarks.compare", "--records", records, "--systems", "mtcnn")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "mtcnn" in result.stderr and "dlib" in result.stderr
