"""Shares of subsets and yaws in the batches of a training, and the order of such an epoch."""

from collections import Counter

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import assert_equal_to_the_bit, config

from senet_kp.input.pipeline import InputConfig, training_batch
from senet_kp.input.sampling import Shares, _raked, population, repetitions
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.train.loop import train

SHARES = Shares({"B": 0.5}, (6.0, 1.0, 1.0))


def test_weights_have_the_wanted_shares_of_subsets_and_yaw_bins(two_subsets):
    found = population(two_subsets, read_manifest(two_subsets), ("train",), SHARES)
    records = list(read_records(two_subsets, read_manifest(two_subsets), "train"))
    assert found.subsets.tolist() == [record.subset for record in records]
    yaws = np.array([record.pose[1] for record in records])
    expected = [0 if yaw <= 30 else 1 if yaw <= 60 else 2 for yaw in np.abs(yaws)]
    assert found.bins.tolist() == expected
    assert found.weights.sum() == pytest.approx(len(records))
    share = found.weights / len(records)
    assert share[found.subsets == "B"].sum() == pytest.approx(0.5, abs=1e-6)
    for bin, wanted in enumerate((0.75, 0.125, 0.125)):
        assert share[found.bins == bin].sum() == pytest.approx(wanted, abs=1e-6)
    assert "B" in found.lines()[1] and " 50.0% of a batch" in found.lines()[1]


def test_faces_of_one_subset_and_yaw_have_one_weight_which_is_a_product():
    """Hand-computed: four cells of 40, 20, 30 and 10 faces whose shares shall all be a half."""
    subsets = np.array(["a"] * 60 + ["b"] * 40)
    bins = np.array([0] * 40 + [1] * 20 + [0] * 30 + [1] * 10)
    weights = _raked(subsets, bins, np.ones(100), Shares({"a": 0.5}, (1.0, 1.0, 0.0)))
    cells = [set(weights[(subsets == s) & (bins == b)].round(9)) for s in "ab" for b in (0, 1)]
    assert [len(cell) for cell in cells] == [1] * 4
    w = [cell.pop() for cell in cells]
    # Raking keeps the odds ratio of the cells: x² / (50 - x)² is (40 x 10) / (20 x 30) = 2 / 3.
    x = 50 * np.sqrt(2 / 3) / (1 + np.sqrt(2 / 3))
    np.testing.assert_allclose(w, [x / 40, (50 - x) / 20, (50 - x) / 30, x / 10], rtol=1e-6)


def test_a_face_of_unknown_yaw_keeps_its_share():
    bins = np.array([0] * 6 + [2] * 2 + [3] * 2)
    weights = _raked(np.array(["a"] * 10), bins, np.ones(10), Shares({}, (1.0, 0.0, 1.0)))
    np.testing.assert_allclose(weights, [4 / 6] * 6 + [2] * 2 + [1] * 2)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (Shares({"C": 0.5}, ()), "there is no face of C to train on"),
        (Shares({"A": 0.5, "B": 0.4}, ()), "they name all subsets"),
        (Shares({"A": 1.0, "B": 0.0}, (0.0, 0.0, 1.0)), "no batch can have all these shares"),
    ],
)
def test_shares_that_no_face_can_have_are_refused(two_subsets, shares, message):
    with pytest.raises(UserError, match=message):
        population(two_subsets, read_manifest(two_subsets), ("train",), shares)


def test_shares_out_of_range_are_one_line(two_subsets, tmp_path):
    command = ("-m", "senet_kp.train", "--records", two_subsets, "--run", tmp_path / "run")
    for flags, words in (
        (("--subset-shares", "A", "1.5"), "--subset-shares must be between 0 and 1"),
        (("--yaw-shares", "1", "1"), "--yaw-shares needs 3 numbers"),
        (("--yaw-shares", "0", "0", "0"), "--yaw-shares must be at least 0"),
    ):
        assert_one_line_error(run_module(*command, *flags), 2, words)


@settings(max_examples=25)
@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=50).filter(lambda w: sum(w) > 0.1),
    st.integers(0, 1000),
)
def test_an_epoch_draws_each_record_as_often_as_its_weight_rounded(weights, epoch):
    count = len(weights)
    weights = np.array(weights) * (count / sum(weights))
    with tf.Graph().as_default(), tf.Session() as session:
        drawn = session.run(repetitions(weights, 7, tf.constant(epoch, tf.int64)))
    assert drawn.sum() == count
    assert (np.abs(drawn - weights) < 1 + 1e-6).all()


def drawn_batches(records, start: int, count: int, threads: int = 2):
    """Names and pictures of `count` batches of 8 from step `start` on, with SHARES."""
    manifest = read_manifest(records)
    weights = population(records, manifest, ("train",), SHARES).weights
    with tf.Graph().as_default():
        inputs = InputConfig(records, batch_size=8, seed=3, threads=threads, weights=weights)
        batch, initialise = training_batch(inputs, manifest, start)
        with tf.Session() as session:
            session.run(initialise)
            return [session.run((batch.name, batch.image)) for _ in range(count)]


def test_batches_with_shares_depend_on_seed_and_step_alone(two_subsets):
    whole = drawn_batches(two_subsets, 0, 30)
    part = drawn_batches(two_subsets, 17, 13, threads=1)
    for there, here in zip(whole[17:], part, strict=True):
        np.testing.assert_array_equal(there[0], here[0])
        np.testing.assert_array_equal(there[1], here[1])


def test_an_epoch_repeats_faces_with_another_augmentation(two_subsets):
    manifest = read_manifest(two_subsets)
    count = manifest["sides"]["train"]["records"]
    batches = drawn_batches(two_subsets, 0, count // 8)
    names = np.concatenate([batch[0] for batch in batches])
    pictures = np.concatenate([batch[1] for batch in batches])
    share = np.mean([name.startswith(b"B/") for name in names])
    assert share == pytest.approx(0.5, abs=8 / count)
    (name, times), *_ = Counter(names).most_common(1)
    assert times >= 2
    first, second = pictures[names == name][:2]
    assert (first != second).any()


def test_a_training_with_shares_resumes_to_the_bit(two_subsets, tmp_path):
    options = {"subset_shares": {"B": 0.5}, "yaw_shares": [6.0, 1.0, 1.0]}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options |= {"schedule": "constant", "validate_every_steps": 100}
    assert train(config(two_subsets, whole, steps=14, **options)) == 0
    assert train(config(two_subsets, parts, steps=9, **options)) == 0
    assert train(config(two_subsets, parts, steps=14, **options)) == 0
    assert_equal_to_the_bit(whole, parts)
