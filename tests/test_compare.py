"""The comparison of systems: training, scores, timing and the table."""

import json
import shutil
import sys

import pytest
from conftest import run_module

from benchmarks import compare as compare_module
from benchmarks.compare import CompareConfig, compare, plot, table, with_older_rows
from benchmarks.compare_checks import training_of
from benchmarks.measure import with_table
from senet_kp.tfrecords.errors import InputError, OutputError, UserError
from senet_kp.tfrecords.files import write_json
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.setup import run_settings

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


# --- checks before the first training ---


def refused(monkeypatch, words, kind=UserError, **changes):
    """The comparison stops with these words, and no training was started."""

    def call(module, flags):
        raise AssertionError(f"{module} was started")

    monkeypatch.setattr(compare_module, "_call", call)
    with pytest.raises(kind, match=words):
        compare(CompareConfig(**changes))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"systems": ()}, "--systems"),
        ({"images": 0}, "--images"),
        ({"repeats": 0}, "--repeats"),
        ({"speed_s": 0.0}, "--speed-s"),
    ],
)
def test_flags_that_make_no_comparison(records, tmp_path, monkeypatch, changes, words):
    refused(monkeypatch, words, records=records, out=tmp_path, **changes)


def changed_records(records, folder, change):
    """A copy of a record folder with a changed manifest."""
    shutil.copytree(records, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("side", ["train", "test"])
def test_both_sides_are_needed(records, tmp_path, monkeypatch, side):
    empty = {"records": 0, "complete": 0, "groups": 0, "shards": []}
    folder = changed_records(records, tmp_path / "r", lambda m: m["sides"].update({side: empty}))
    refused(monkeypatch, f"no faces on the {side} side", InputError, records=folder, out=tmp_path)


def test_manifests_of_older_versions_are_refused(records, tmp_path, monkeypatch):
    folder = changed_records(records, tmp_path / "r", lambda m: m.pop("shape_spread"))
    refused(monkeypatch, "no shape_spread", InputError, records=folder, out=tmp_path)


def test_dlib_needs_faces_with_all_landmarks(records, tmp_path, monkeypatch):
    def change(manifest):
        manifest["sides"]["train"]["complete"] = 0

    folder = changed_records(records, tmp_path / "r", change)
    refused(monkeypatch, "leave dlib out", InputError, records=folder, out=tmp_path)
    monkeypatch.setitem(sys.modules, "dlib", None)
    refused(monkeypatch, "install dlib-bin", records=records, out=tmp_path)
    systems = ("senet_classic",)
    refused(monkeypatch, "started", AssertionError, records=records, out=tmp_path, systems=systems)


def test_the_output_must_be_writable(records, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    refused(monkeypatch, "file", OutputError, records=records, out=tmp_path / "file" / "out")


def test_rows_to_keep_must_be_comparable(records, tmp_path, monkeypatch):
    config = {"records": records, "out": tmp_path, "systems": ("senet_classic",), "write": True}
    refused(monkeypatch, "measured with another", **config)


def test_a_run_with_other_settings_is_found_before_others_are_trained(
    records, tmp_path, monkeypatch
):
    config = CompareConfig(records=records, out=tmp_path, systems=("senet", "senet_classic"))
    training = training_of("senet_classic", config)
    training.run.mkdir()
    settings = run_settings(training, read_manifest(records))
    write_json(training.run / "config.json", settings)
    refused(monkeypatch, "started", AssertionError, **vars(config))
    refused(monkeypatch, "steps is 625, not 313", **vars(config) | {"images": 10_000})


def test_a_model_of_other_records_is_found(model, records, tmp_path, monkeypatch):
    shutil.copy(model, tmp_path / "senet.pb")
    card = json.loads(model.with_suffix(".json").read_text())
    card["training"]["settings"]["records_sha256"] = "0" * 64
    (tmp_path / "senet.json").write_text(json.dumps(card))
    refused(
        monkeypatch, "trained on other records", records=records, out=tmp_path, systems=("senet",)
    )
