"""The benchmarks' tables, and that those in the documentation are what the commands wrote."""

import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from benchmarks import (
    bench_detection,
    bench_inference,
    bench_training,
    bench_video,
    certainty,
    compare,
    looks,
    measure,
    profile_layers,
    profile_step,
    scale,
    training_levers,
    turned,
)
from benchmarks.measure import (
    RESULTS,
    pages,
    read_result,
    report,
    report_table,
    with_numbers,
    with_table,
)
from benchmarks.training_step import WITHOUT, StepConfig, timed_steps, training_step
from senet_kp.input import augment
from senet_kp.nets.gradients import NAME
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import UserError

TABLES = {
    "compare": compare.table,
    "detection": bench_detection.table,
    "looks": looks.table,
    "rolls": looks.table,
    "turned": turned.table,
    "certainty": certainty.table,
    "video": bench_video.table,
    "inference": bench_inference.table,
    "training": bench_training.table,
    "levers": training_levers.table,
    "layers": profile_layers.table,
    "step": profile_step.table,
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_in_the_documentation_are_what_the_commands_wrote(name):
    texts = [page.read_text() for page in pages()]
    holding = [text for text in texts if f"<!-- {name}:begin -->" in text]
    assert len(holding) == 1
    assert with_table(holding[0], name, TABLES[name](read_result(name))) == holding[0]


def test_rows_that_are_not_measured_again_stay_and_say_so():
    old = json.loads((RESULTS / "training.json").read_text())
    again = old | {
        "trainings": [
            row | {"peak_mb": {"max": 1}} for row in old["trainings"] if row["net"] == "senet"
        ]
    }
    both = bench_training.with_older_rows(again, old)["trainings"]
    names = [
        [(row["net"], row["batch_size"], row["input"]) for row in rows]
        for rows in (both, old["trainings"])
    ]
    assert names[0] == names[1]
    assert all((row["net"] != "senet") == row.get("earlier", False) for row in both)
    other = again | {"conditions": again["conditions"] | {"size_px": 1}}
    with pytest.raises(UserError, match="another size_px; measure all of them again"):
        bench_training.with_older_rows(other, old)

    first, second = ({"file": name, "engine": "opencv", "nme": 0.05} for name in "ab")
    older = {"conditions": {}, "rows": [first, second]}
    newer = {"conditions": {}, "rows": [second | {"nme": 0.04}]}
    both = bench_inference.with_older_rows(newer, older)["rows"]
    assert both == [second | {"nme": 0.04}, first | {"earlier": True}]
    assert bench_inference.with_older_rows(older, {"conditions": {}, "rows": both}) == older


def test_numbers_are_refreshed_in_the_form_that_they_have(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"x": [{"ms": 1234.56}], "share": 0.0345}))
    old = (
        "in <!-- a:x.0.ms -->9 ms, <!-- a:x.0.ms -->0.1, <!-- a:share -->0.0 %, <!-- a:share -->1%"
    )
    new = (
        "in <!-- a:x.0.ms -->1,235 ms, <!-- a:x.0.ms -->1,234.6, <!-- a:share -->3.5 %,"
        " <!-- a:share -->3%"
    )
    assert with_numbers(old, tmp_path) == new
    for page in pages():
        text = page.read_text()
        assert with_numbers(text) == text


def test_a_result_is_written_to_every_page_that_shows_it(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    texts = {
        "README.md": "<!-- a:ms -->1.0 ms",
        "docs/one.md": "<!-- a:begin -->\nold\n<!-- a:end -->\nin <!-- a:ms -->1 ms",
        "docs/two.md": "nothing of it",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(measure, "pages", lambda: pages(tmp_path))
    monkeypatch.setattr(measure, "RESULTS", tmp_path)

    report_table("a", {"ms": 2.5}, "new\n", write=False)
    assert {name: (tmp_path / name).read_text() for name in texts} == texts
    report_table("a", {"ms": 2.5}, "new\n", write=True)
    assert read_result("a", tmp_path) == {"ms": 2.5}
    assert (tmp_path / "README.md").read_text() == "<!-- a:ms -->2.5 ms"
    one = "<!-- a:begin -->\nnew\n<!-- a:end -->\nin <!-- a:ms -->2 ms"
    assert (tmp_path / "docs/one.md").read_text() == one
    report("a", {"ms": 4}, write=True)
    assert (tmp_path / "README.md").read_text() == "<!-- a:ms -->4.0 ms"
    assert (tmp_path / "docs/two.md").read_text() == texts["docs/two.md"]


def test_layers_are_counted_and_add_up():
    result = profile_layers.profile(profile_layers.Config(runs=20))
    kinds = {row["kind"]: row["layers"] for row in result["kinds"]}
    # 40 convolutions and two depthwise ones
    assert kinds["Convolution"] == 42 and result["layers"][0]["ms"] > 0
    assert sum(row["ms"] for row in result["kinds"]) == pytest.approx(result["layers_ms"])


def test_a_step_counts_three_forward_passes():
    """2 GFLOP forward at 10 pictures per second are 60 GFLOP/s of training, half of 120."""
    step = StepConfig(None, "senet", 32, True, 2)
    runs = [{"images_per_s": 10.0, "wait_share": 0.01, "peak_mb": 900.0}]
    row = bench_training._row(step, runs, (1_060_863, 2000.0), 120.0)
    assert row["gflop_per_s"] == 60.0 and row["share_of_product"] == 0.5


def test_batches_whose_steps_would_be_too_long_are_left_out():
    small, large = (StepConfig(None, "vgg16", size, False, 2) for size in (16, 128))
    found = {small: [{"images_per_s": 5.0}], large: []}
    assert bench_training._too_long(large, found, longest_s=20)
    assert not bench_training._too_long(large, found, longest_s=26)
    assert not bench_training._too_long(small, {small: [], large: []}, longest_s=1)


@pytest.mark.parametrize("real_input", [False, True])
def test_a_step_to_measure_trains(records, real_input):
    with training_step(StepConfig(records, "senet_classic", 4, real_input, 1)) as run:
        steps, took_s, waited_s = timed_steps(run, seconds=0.2, warmup_steps=1)
    assert steps >= 1 and took_s >= 0.2
    assert (waited_s > 0) == real_input


@pytest.mark.parametrize("without", ["", *WITHOUT])
def test_a_step_can_be_measured_without_each_optimisation(records, without):
    with training_step(StepConfig(records, "senet_classic", 4, True, 1, without=without)) as run:
        run()
        ops = tf.get_default_graph().get_operations()
        kept = augment.DECODED_MB > 0
    quick = any(op.node_def.attr["_gradient_op_type"].s.decode() == NAME for op in ops)
    fused = any(op.type == "FusedBatchNormV3" for op in ops)
    assert {"quick gradients": quick, "fused batch norm": fused, "kept pictures": kept} == {
        name: name != without for name in WITHOUT
    }


def test_a_steps_ops_are_counted_by_kind_and_half(records, tmp_path):
    trace = tmp_path / "trace.json"
    config = profile_step.Config(records, "senet_classic", batch_size=2, steps=1, out=trace)
    result = profile_step.profile(config)
    ms = {(row["op"], row["half"]): row["ms"] for row in result["ops"]}
    assert min(ms["Conv2D", half] for half in ("forward", "backward")) > 0
    assert ms["FusedBatchNormGradV3", "backward"] > 0
    assert json.loads(trace.read_text())["traceEvents"]


@pytest.mark.parametrize(
    "name, label, expected",
    [
        ("net/conv", "net/conv = Conv2D(a, b)", ("Conv2D", "forward")),
        ("net/conv", "net/conv = _MklNativeConv2D(a, b)", ("Conv2D", "forward")),
        (
            "gradients/bn",
            "gradients/bn = _MklNativeFusedBatchNormGradV3(a)",
            ("FusedBatchNormGradV3", "backward"),
        ),
        (
            "gradients/bn",
            "gradients/bn = _MklFusedBatchNormGradV3(a)",
            ("FusedBatchNormGradV3", "backward"),
        ),
        ("_SOURCE", "", ("other", "forward")),
    ],
)
def test_onednns_ops_count_as_those_that_they_replace(name, label, expected):
    assert profile_step.op_and_half(name, label) == expected


def test_a_steps_table_leaves_nothing_out():
    ops = [{"op": f"Op{n}", "half": "forward", "ms": 4.0 - n} for n in range(4)]
    lines = profile_step.table({"ops": ops}, rows=1).splitlines()[2:]
    assert lines == [
        "| Op0 | forward | 4.0 | 40.0% |",
        "| all else |  | 6.0 | 60.0% |",
        "| a step |  | 10.0 |  |",
    ]


KNOWN = {
    "prepare_pictures_per_s": 1000.0,
    "processes": 2,
    "train_images_per_s": 100.0,
    "size_px": 96,
    "batch_size": 32,
    "variables": 1_000_000,
    "record_bytes": 13_000.0,
    "records_per_shard": 1024,
}


def test_estimates_for_a_data_set_by_hand():
    row = scale.data_set(61_225, KNOWN)
    assert row["shards"] == 60
    assert row["gigabytes"] == pytest.approx(0.795925)
    assert row["prepare_hours"] == pytest.approx(61.225 / 3600)
    assert row["epoch_hours"] == pytest.approx(612.25 / 3600)


def test_a_link_is_saturated_if_the_transfer_takes_as_long_as_the_step():
    """Steps of 0.32 s with 4 MB per worker each way: 125 MB/s suffice for 10 workers."""
    assert scale.most_workers(125e6, KNOWN) == pytest.approx(10)
    assert scale.most_workers(125e6, KNOWN, servers=2) == pytest.approx(20)


def test_the_page_on_scale_is_what_the_command_wrote():
    known = json.loads((RESULTS / "scale.json").read_text())
    assert scale.PAGE.read_text() == scale.page(known)


# A benchmark of two measurements of a second each, the first of which is quick.
INTERRUPTED = """
import sys, time
from benchmarks.measure import Record, interleaved_s
from senet_kp.tfrecords.errors import exit_code_of

def slow():
    print("slow", flush=True)
    time.sleep(600)

def main():
    interleaved_s({"quick": lambda: None, "slow": slow}, 1, warmup=0, record=Record("some"))

sys.exit(exit_code_of(main))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_keeps_its_measurements(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "slow\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "out/benchmarks/some.json" in stderr and "quick: seconds" in stderr
    assert "Traceback" not in stderr and "error: interrupted" in stderr
    kept = json.loads((tmp_path / "out/benchmarks/some.json").read_text())
    assert [row["measured"] for row in kept["measurements"]] == ["quick"]
    assert kept["measurements"][0]["seconds"] >= 0 and kept["conditions"]["cores"]


def test_trainings_in_turn_are_recorded_one_by_one(tmp_path, monkeypatch, capsys):
    speeds = iter([10.0, 20.0])

    def alone(step, seconds, environment):
        if (speed := next(speeds, None)) is None:
            raise KeyboardInterrupt
        return {"images_per_s": speed, "wait_share": 0.0, "peak_mb": 1.0}

    monkeypatch.setattr(bench_training, "alone", alone)
    record = measure.Record("levers", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        bench_training.in_turn({"a": None, "b": None}, 2, 1.0, {}, record)
    kept = json.loads((tmp_path / "levers.json").read_text())["measurements"]
    assert [(row["measured"], row["images_per_s"]) for row in kept] == [("a", 10.0), ("b", 20.0)]
    assert "a: images_per_s 10, wait_share 0, peak_mb 1" in capsys.readouterr().err
