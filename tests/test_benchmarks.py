"""The benchmarks' tables, and that the README's are those that the commands wrote."""

import json

import pytest
from conftest import ROOT

from benchmarks import bench_inference, bench_training, compare, training_levers
from benchmarks.measure import RESULTS, with_table
from benchmarks.training_step import StepConfig, timed_steps, training_step

TABLES = {
    "compare": compare.table,
    "inference": bench_inference.table,
    "training": bench_training.table,
    "levers": training_levers.table,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_readmes_tables_are_what_the_commands_wrote(name):
    result = json.loads((RESULTS / f"{name}.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert with_table(readme, name, TABLES[name](result)) == readme


def test_a_step_counts_three_forward_passes():
    """2 GFLOP forward at 10 pictures a second: 60 GFLOP/s of training, half of 120."""
    step = StepConfig(None, "senet", 32, True, 2)
    runs = [{"images_per_s": 10.0, "wait_share": 0.01, "peak_mb": 900.0}]
    row = bench_training._row(step, runs, bench_training.FORWARD_AND_BACKWARD * 2.0, 120.0)
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
