"""The comparison of training runs: settings, scores, table, picture and errors."""

import json
import shutil

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module

from senet_kp.compare_runs.__main__ import (
    OTHER_LOSSES,
    OTHER_RECORDS,
    CompareRunsConfig,
    compare_runs,
)
from senet_kp.compare_runs.figure import draw_curves
from senet_kp.compare_runs.settings import differing_settings
from senet_kp.compare_runs.table import aligned, table
from senet_kp.face.pictures import read_picture
from senet_kp.report.bootstrap import paired
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate
from senet_kp.tfrecords.errors import CheckError, InputError, ModelError, UserError
from senet_kp.train.training_curve import COLUMNS

BLUE, ORANGE = (31, 119, 180), (255, 127, 14)  # the first two of Matplotlib's colours


def copied(run, folder, **settings):
    """A copy of a run folder in which some of the settings are different."""
    copy = shutil.copytree(run, folder)
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return copy


def pixels(picture, colour) -> int:
    return int((np.abs(picture - np.int16(colour)).max(axis=2) < 10).sum())


@pytest.fixture(scope="module")
def config(run, uninterrupted, records, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "runs.png"
    return CompareRunsConfig(runs=(run, uninterrupted), records=records, out=out)


@pytest.fixture(scope="module")
def numbers(config):
    return compare_runs(config)


def test_a_pair_by_hand():
    """The first one is better by 0.1 on two faces and worse by 0.05 on one, each of its own."""
    result = paired([0.1, 0.2, 0.35], [0.2, 0.3, 0.3], ["a", "b", "c"])
    assert result["difference"]["value"] == pytest.approx(-0.05)
    assert result["better"]["value"] == pytest.approx(2 / 3)
    assert result["difference"]["low"] == pytest.approx(-0.1)
    assert result["difference"]["high"] == pytest.approx(0.05)


def test_scores_are_those_of_evaluate_and_pairs_their_difference(config, numbers):
    results = numbers["results"]
    expected = [
        evaluate(EvaluateConfig(model=run, records=config.records, side="val"))[0]["nme"]
        for run in config.runs
    ]
    assert [run["nme"]["value"] for run in results["runs"]] == pytest.approx(expected)
    (pair,) = results["comparisons"]
    assert pair["difference"]["value"] == pytest.approx(expected[0] - expected[1])
    assert pair["difference"]["low"] <= pair["difference"]["value"] <= pair["difference"]["high"]
    checkpoints = [run["checkpoint"].partition("best/")[2] for run in results["runs"]]
    best = [json.loads((run / "best/best.json").read_text())["step"] for run in config.runs]
    assert checkpoints == [f"ckpt-{step}" for step in best]


def test_the_files_have_the_curves_and_the_settings(config, numbers):
    saved = json.loads(config.out.with_suffix(".json").read_text())
    assert [curve["step"] for curve in saved["curves"]] == [[12, 24], [4, 8, 12]]
    assert set(saved["curves"][0]) == {"run", *COLUMNS}
    assert saved["settings"]["net"] == ["senet", "senet_classic"]
    assert not {"run", "records", "augment.flip"} & saved["settings"].keys()
    assert saved["notes"] == [OTHER_LOSSES]  # l1 and mse
    picture = read_picture(config.out)
    assert picture.shape == (1000, 1100, 3)
    assert pixels(picture, BLUE) > 300 and pixels(picture, ORANGE) > 300


def test_the_command_prints_the_table(config, numbers, tmp_path):
    arguments = [*config.runs, "--records", config.records, "--out", tmp_path / "runs.png"]
    result = run_module("-m", "senet_kp.compare_runs", *arguments)
    assert result.returncode == 0, result.stderr
    assert table(numbers) in result.stdout and OTHER_LOSSES in result.stdout
    assert (tmp_path / "runs.png").read_bytes() == config.out.read_bytes()


def test_the_table_by_hand():
    end = dict.fromkeys(COLUMNS)
    runs = [
        {"name": "adam", "end": end | {"step": 1200.0, "minutes": 3.14159, "val_mae": 0.0125}},
        {"name": "b", "end": end},
    ]
    score = {"value": 0.05, "low": 0.04, "high": 0.0625}
    results = {
        "conditions": {"side": "val", "faces": 1500, "groups": 20},
        "runs": [{"nme": score}, {"nme": {"value": 0.1, "low": None, "high": None}}],
        "comparisons": [
            {
                "first": "adam",
                "other": "b",
                "difference": {"value": -0.05, "low": -0.06, "high": 0.01},
                "better": {"value": 0.75},
            }
        ],
    }
    settings = {"optimiser": ["adam", None]}
    shown = table({"runs": runs, "settings": settings, "results": results}).splitlines()
    assert shown[0].split() == ["adam", "b"]
    assert shown[1].split() == ["optimiser", "adam", "-"]
    assert shown[2].split() == ["steps", "1,200", "-"]
    assert "minutes          3.1                     -" in shown
    assert "validation MAE   1.250%                  -" in shown
    assert shown[-2] == "best, val NME    5.00% (4.00% to 6.25%)  10.00%"
    assert shown[-1] == (
        "adam minus b: NME -5.00% (-6.00% to +1.00%), better on 75% of 1,500 faces in 20 groups"
    )
    without = table({"runs": runs, "settings": {}, "results": None})
    assert "NME" in without and "minus" not in without
    assert aligned([("a", "bb"), ("ccc",)]) == "a    bb\nccc"


def test_settings_that_differ_by_hand():
    first = {"run": "x", "seed": 0, "augment": {"flip": 0.5, "blur": 1}, "init_from": "p"}
    other = {"run": "y", "seed": 1, "augment": {"flip": 0.0, "blur": 1}, "init_from": "p"}
    expected = {"seed": [0, 1], "augment.flip": [0.5, 0.0]}
    assert differing_settings([first, other]) == expected
    weights = {"region_weights": {"eyes": 2}}
    assert differing_settings([first, first | weights]) == {"region_weights": [None, {"eyes": 2}]}
    assert differing_settings([first, first]) == {}
    before = {"before": {"net": "a", "run": "z"}}, {"before": {"net": "b", "run": "w"}}
    assert differing_settings([first | before[0], first | before[1]]) == {"before.net": ["a", "b"]}
    tuned = first | {"init_from": ""} | before[1]
    assert differing_settings([first | before[0], tuned]) == {"init_from": ["p", ""]}


def test_older_runs_are_drawn_with_what_they_have(tmp_path):
    new = {name: [1.0, 2.0] for name in COLUMNS}
    old = {name: [1.0, 2.0] if name in ("step", "loss") else [None, None] for name in COLUMNS}
    draw_curves(tmp_path / "one.png", ["_$new", "old"], [new, old], ["A note."])
    picture = read_picture(tmp_path / "one.png")
    halves = picture[100:, :550], picture[100:, 550:]
    assert pixels(halves[0], ORANGE) > 20 and pixels(halves[1], ORANGE) == 0  # has no minutes
    assert all(pixels(half, BLUE) > 100 for half in halves)


def test_runs_of_other_records_are_refused_or_compared_without_scores(config, run, tmp_path):
    other = copied(run, tmp_path / "other", records_sha256="0" * 64)
    runs = {"runs": (run, other), "out": tmp_path / "runs.png"}
    with pytest.raises(InputError, match="trained on different records.*pass --curves-only"):
        compare_runs(CompareRunsConfig(records=config.records, **runs))
    numbers = compare_runs(CompareRunsConfig(records=tmp_path / "gone", curves_only=True, **runs))
    assert numbers["results"] is None and numbers["notes"] == [OTHER_RECORDS]
    assert numbers["settings"] == {
        "records_sha256": [numbers["settings"]["records_sha256"][0], "0" * 64]
    }
    assert (tmp_path / "runs.png").is_file()


def test_a_run_that_was_trained_on_the_faces_is_refused(config, run, tmp_path):
    trained = copied(run, tmp_path / "trained", train_on_val=True)
    options = {"runs": (run, trained), "records": config.records, "out": tmp_path / "runs.png"}
    with pytest.raises(CheckError, match="trained was trained on .* of the val side"):
        compare_runs(CompareRunsConfig(**options))
    numbers = compare_runs(CompareRunsConfig(side="test", **options))
    assert numbers["results"]["comparisons"][0]["difference"]["value"] == 0


def test_what_cannot_be_used_is_named(config, run, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    no_table = copied(run, tmp_path / "no-table")
    (no_table / "metrics.csv").unlink()
    for error, words, options in (
        (UserError, "two or more run folders", {"runs": (run,)}),
        (UserError, "each of them once", {"runs": (run, run)}),
        (UserError, "must end in .png", {"out": tmp_path / "runs.pdf"}),
        (ModelError, "empty: not a training run", {"runs": (run, empty)}),
        (InputError, "metrics.csv: no training metrics", {"runs": (run, no_table)}),
        (InputError, "manifest.json", {"records": empty}),
    ):
        with pytest.raises(error, match=words):
            compare_runs(CompareRunsConfig(**vars(config) | {"out": tmp_path / "x.png"} | options))
    assert not list(tmp_path.glob("*.png")) and not list(tmp_path.glob("*.json"))
    result = run_module("-m", "senet_kp", "compare-runs", run)
    assert_one_line_error(result, 2, "two or more run folders")
