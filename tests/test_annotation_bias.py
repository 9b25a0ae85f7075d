"""Annotation bias: what training learns of it, and where labels are corrected for it."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from runs import config, variables

from senet_kp.face.known_schemes import IBUG68
from senet_kp.input.augment import AugmentConfig, Augmenter
from senet_kp.nets.tf1 import tf
from senet_kp.train import subset_offsets
from senet_kp.train.loop import train
from senet_kp.train.mirror_offsets import NAME, bucket_of, mirror_offsets

MIRROR, QUARTER = np.diag([-1.0, 1.0]), np.array([[0.0, -1.0], [1.0, 0.0]])
MANIFEST = {"scheme": IBUG68.facts(), "box": {"size_px": 128}, "detector_box": None}


def batch_of(turns, subsets):
    return SimpleNamespace(turn=tf.constant(np.float32(turns)), subset=tf.constant(subsets))


def test_an_offset_goes_with_its_point_its_subset_and_the_turn_of_a_mirrored_picture():
    turns = [np.eye(2), MIRROR, 2 * QUARTER @ MIRROR, MIRROR]
    with tf.Graph().as_default(), tf.Session() as session:
        found = mirror_offsets(batch_of(turns, ["a", "a", "a", "b"]), IBUG68)
        (variable,) = tf.trainable_variables()
        session.run(tf.global_variables_initializer())
        assert not session.run(found).any()
        of_a = session.run(tf.strings.to_hash_bucket_fast("a", variable.shape[0]))
        value = np.zeros(variable.shape, np.float32)
        value[of_a] = np.tile([0.02, 0.0], 68)
        value[of_a, 2 * 36 : 2 * 36 + 2] = 0.03, 0.01  # a corner of the right eye
        variable.load(value, session)
        still, mirrored, turned, other = session.run(found)
    assert not still.any() and not other.any()
    np.testing.assert_allclose(mirrored[[0, 45]], [[-0.02, 0], [-0.03, 0.01]], atol=1e-7)
    np.testing.assert_allclose(turned[[0, 45]], [[0, -0.04], [-0.02, -0.06]], atol=1e-7)


@pytest.mark.parametrize("offset", [(0.012, 0.0), (-0.004, 0.003)])
def test_the_offset_of_a_set_of_labels_is_learned_from_mirrored_pictures(offset):
    """From a network that predicts the labels' bias, but cannot see which picture is mirrored."""
    config = AugmentConfig(flip=0.5, rotation_deg=20.0)
    truth = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2))
    turns, labels, answers = [], [], []
    for epoch in range(64):
        matrix = Augmenter(MANIFEST, 1, config).change(b"face", epoch)
        turn, order = np.linalg.inv(matrix), range(68)
        upright = turn.copy()
        if np.linalg.det(turn) < 0:  # the network sees a face like any other, biased likewise
            upright, order = turn @ MIRROR, list(IBUG68.flip)
        turns.append(turn)
        labels.append((truth + offset)[order] @ turn.T)
        answers.append(truth[order] @ turn.T + offset @ upright.T)
    with tf.Graph().as_default(), tf.Session() as session:
        allowed = np.float32(labels) - mirror_offsets(batch_of(turns, ["a"] * 64), IBUG68)
        loss = tf.reduce_mean(tf.abs(allowed - np.float32(answers)))
        step = tf.train.AdamOptimizer(
            tf.train.exponential_decay(3e-3, tf.train.get_or_create_global_step(), 1, 0.97)
        ).minimize(loss, tf.train.get_global_step())
        session.run(tf.global_variables_initializer())
        before = session.run(loss)
        for _ in range(200):
            session.run(step)
        after = session.run(loss)
    assert before > 0.2 * abs(offset[0]) and after < 0.02 * before


@pytest.mark.parametrize(
    ("options", "there"),
    [
        ({}, True),
        ({"mirror_offsets": False}, False),
        ({"augment": AugmentConfig(flip=0.0)}, False),
    ],
)
def test_training_learns_them_where_pictures_are_mirrored(records, tmp_path, options, there):
    run = tmp_path / "run"
    assert train(config(records, run, steps=2, **options)) == 0
    kept = variables(run)
    assert (NAME in kept) == there
    if there:
        assert np.abs(kept[NAME]).max() > 1e-5
        assert_printed(kept[NAME], run, records)
    else:
        command = ("-m", "senet_kp.train.label_offsets", run, "--records", records)
        assert_one_line_error(run_module(*command), 4, "run: trained without mirrored pictures")


def assert_printed(offsets, run, records):
    """The command prints half of the mean mirror offset of each subset."""
    result = run_module("-m", "senet_kp.train.label_offsets", run, "--records", records)
    assert result.returncode == 0, result.stderr
    printed = dict(line.split() for line in result.stdout.splitlines()[1:])
    (learned,) = (100 * value / 2 for value in offsets[:, ::2].mean(1) if value)
    assert printed == {"AFW": f"{learned:+.2f}"}  # the records have no other subset


# --- a subset beside a reference subset ---


def rotation(angle_deg: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[cos, -sin], [sin, cos]])


def faces_of(shape, offset, count: int = 64, seed: int = 0):
    """Labels and answers [count, 68, 2] of rolled faces: the labels lie beside the answers."""
    random, labels, answers = np.random.default_rng(seed), [], []
    for _ in range(count):
        turn = random.uniform(0.8, 1.2) * rotation(random.uniform(-60, 60))
        place = random.uniform(0.3, 0.7, 2)
        answers.append((shape - shape.mean(0)) @ turn.T + place)
        labels.append(
            answers[-1] + offset @ rotation(np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))).T
        )
    return np.float32(labels), np.float32(answers)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, -100.0])
def test_the_roll_of_a_face_is_that_of_its_labelled_landmarks(angle_deg):
    shape = np.random.default_rng(1).uniform(0, 1, (68, 2))
    labels = np.float32([0.7 * shape @ rotation(angle_deg).T + 0.1] * 2)
    mask = np.ones((2, 68), np.float32)
    mask[1, 10:] = 0
    labels[1, 10:] = 9.0  # not labelled, so it does not count
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(subset_offsets.roll_of(tf.constant(labels), tf.constant(mask), shape))
    np.testing.assert_allclose(found, [rotation(angle_deg)] * 2, atol=1e-5)


def test_the_offset_of_a_subset_beside_the_reference_is_learned_in_the_frame_of_the_face():
    """The network answers as the reference is labelled; the other subset's labels lie beside it."""
    shape = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2))
    offset = np.zeros((68, 2))
    offset[36], offset[:17] = (-0.015, 0.0), (0.0, 0.02)
    labels, answers = faces_of(shape, offset)
    same, same_answers = faces_of(shape, 0 * offset, seed=1)
    with tf.Graph().as_default(), tf.Session() as session:
        batch = SimpleNamespace(
            landmarks=tf.constant(np.concatenate([labels, same])),
            mask=tf.ones([128, 68]),
            subset=tf.constant(["other"] * 64 + ["reference"] * 64),
        )
        found = subset_offsets.subset_offsets(batch, IBUG68, shape, "reference")
        truth = np.concatenate([answers, same_answers])
        loss = tf.reduce_mean(tf.abs(batch.landmarks - found - truth))
        step = tf.train.AdamOptimizer(
            tf.train.exponential_decay(3e-3, tf.train.get_or_create_global_step(), 1, 0.97)
        ).minimize(loss, tf.train.get_global_step())
        session.run(tf.global_variables_initializer())
        for _ in range(200):
            session.run(step)
        row = session.run(bucket_of(["other"]))[0]
        learned = session.run(tf.trainable_variables()[0])[row].reshape(68, 2)
        assert not session.run(found)[64:].any()
    # The labels' roll is measured from labels that the offset itself has moved.
    np.testing.assert_allclose(learned, offset, atol=1e-3)


def test_training_learns_the_offsets_and_prints_them(two_subsets, tmp_path):
    run = tmp_path / "run"
    settings = config(two_subsets, run, steps=4, reference_subset="A", learning_rate=1e-2)
    assert train(settings) == 0
    kept = variables(run)[subset_offsets.NAME]
    assert np.abs(kept).max() > 1e-5
    result = run_module("-m", "senet_kp.train.label_offsets", run, "--records", two_subsets)
    assert result.returncode == 0, result.stderr
    below = result.stdout.split("landmarks beside those of A (right, down), in % of the face box:")
    assert below[1].split()[:2] == ["B", "jaw"]


def test_a_reference_that_no_face_belongs_to_is_refused(two_subsets, records, tmp_path):
    for folder, name, found in ((two_subsets, "C", "A, B"), (records, "AFW", "AFW")):
        command = ("-m", "senet_kp.train", "--records", folder, "--run", tmp_path / "run")
        result = run_module(*command, "--reference-subset", name)
        assert_one_line_error(result, 2, f"have the subsets {found}; name one of several")
