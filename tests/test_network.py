"""The graph's parts: the slim patch, the network, the loss, augmentation, the input's order."""

import dataclasses

import numpy as np
import pytest
from conftest import make_picture

from senet_kp.augment import DRAWS, AugmentConfig, augment
from senet_kp.inputs import training_batch
from senet_kp.losses import mse
from senet_kp.nets import NETWORKS, build_network
from senet_kp.nets.options import NetOptions
from senet_kp.scheme import IBUG68
from senet_kp.tf1 import BATCH_NORM_UPDATES, slim, tf
from tfrecords.shards import read_manifest

NONE = AugmentConfig(**{field.name: 0.0 for field in dataclasses.fields(AugmentConfig)})


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as made:
        yield made


# --- the patch ---


def test_slim_still_needs_its_own_updates_collection():
    """With the default collection slim imports a module that left Keras; if this test fails, the
    project can go back to tf.GraphKeys.UPDATE_OPS."""
    image = tf.zeros([1, 8, 8, 3])
    with pytest.raises(Exception, match="tf_keras|legacy_tf_layers|keras"):
        slim.batch_norm(image)


def test_slim_trains_with_the_patch():
    net = slim.conv2d(
        tf.random.normal([4, 8, 8, 3]), 6, 3, normalizer_fn=slim.batch_norm,
        normalizer_params={"updates_collections": BATCH_NORM_UPDATES},
    )  # fmt: skip
    net = slim.dropout(slim.fully_connected(slim.flatten(slim.max_pool2d(net, 2)), 2))
    train = tf.train.AdamOptimizer().minimize(tf.reduce_mean(net))
    assert len(tf.get_collection(BATCH_NORM_UPDATES)) == 2
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([train, tf.get_collection(BATCH_NORM_UPDATES)])


# --- the network ---


def test_classic_network_layer_by_layer():
    image = tf.placeholder(tf.float32, [2, 128, 128, 3])
    assert build_network("senet_classic", image, 68, True).shape.as_list() == [2, 136]
    shapes = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
    assert shapes["senet_classic/stem/weights"] == [3, 3, 3, 32]
    width = 32
    for number, out in enumerate((64, 128, 128, 256, 512), 1):
        block = f"senet_classic/block{number}"
        assert shapes[f"{block}/reduce/weights"] == [1, 1, width, width // 4]
        assert shapes[f"{block}/conv/weights"] == [3, 3, width // 4, width // 4]
        assert shapes[f"{block}/expand/weights"] == [1, 1, width // 4, out]
        assert (f"{block}/shortcut/weights" in shapes) == (width != out)
        assert shapes[f"{block}/gate/down/weights"] == [out, out // 16]
        assert shapes[f"{block}/gate/up/weights"] == [out // 16, out]
        assert shapes[f"{block}/expand/BatchNorm/gamma"] == [out]
        width = out
    assert shapes["senet_classic/dense/weights"] == [512, 1024]
    assert shapes["senet_classic/points/weights"] == [1024, 136]
    assert sum(np.prod(shape) for shape in shapes.values()) == 1_022_796


@pytest.mark.parametrize("net", NETWORKS)
def test_every_weight_is_regularised_and_every_batch_norm_updated(net):
    build_network(net, tf.placeholder(tf.float32, [2, 128, 128, 3]), 68, True)
    names = [v.op.name for v in tf.trainable_variables()]
    weights = [name for name in names if name.endswith("weights")]
    norms = [name for name in names if name.endswith("gamma")]
    assert len(tf.losses.get_regularization_losses()) == len(weights) > 10
    assert len(tf.get_collection(BATCH_NORM_UPDATES)) == 2 * len(norms) > 10


def test_l2_is_half_the_squares_times_its_weight():
    build_network("senet_classic", tf.zeros([1, 128, 128, 3]), 68, True, NetOptions(1e-5))
    weights = [v for v in tf.trainable_variables() if v.op.name.endswith("weights")]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values, loss = session.run([weights, tf.losses.get_regularization_loss()])
    assert loss == pytest.approx(1e-5 * sum((v**2).sum() for v in values) / 2, rel=1e-5)


def test_dropout_depends_on_its_seed_alone():
    image = tf.random.stateless_uniform([2, 128, 128, 3], (0, 0), 0, 255)
    seed = tf.placeholder(tf.int64, [2])
    out = build_network("senet_classic", image, 68, True, NetOptions(dropout_seed=seed))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        a, b, c = (session.run(out, {seed: s}) for s in ((0, 5), (0, 5), (0, 6)))
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(a - c).max() > 1e-3


def test_mse_by_hand():
    truth = np.zeros((2, 4, 2), np.float32)
    predicted = np.zeros((2, 8), np.float32)
    predicted[0] = [3, 4, 0, 0, 0, 0, 9, 9]
    mask = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.float32)
    with tf.Session() as session:
        loss = session.run(mse(predicted, truth, mask))
    np.testing.assert_allclose(loss, [25 / 6, 0])


# --- augmentation ---


def sample(seed=0):
    """A stored picture [1, 192, 192, 3] with dots on its points, and the points in the box."""
    points = np.random.default_rng(seed).uniform(0.2, 0.8, (1, 68, 2)).astype(np.float32)
    pixels = points[0] * 128 + 32 - 0.5
    return make_picture(pixels, (192, 192), seed)[None], points, np.ones((1, 68), np.float32)


def run_augment(stored, points, mask, draws, config):
    with tf.Session() as session:
        constants = [tf.constant(value) for value in (stored, points, mask)]
        draws = tf.constant(np.array([draws], np.float32))
        return session.run(augment(*constants, draws, 128, IBUG68, config))


def test_without_strengths_it_is_the_central_crop_to_the_bit():
    stored, points, mask = sample()
    draws = np.random.default_rng(0).normal(size=DRAWS)
    image, landmarks, _ = run_augment(stored, points, mask, draws, NONE)
    np.testing.assert_array_equal(image, stored[:, 32:160, 32:160])
    np.testing.assert_allclose(landmarks, points, atol=1e-6)


def test_flip_mirrors_picture_points_and_mask():
    stored, points, mask = sample()
    mask[0, 36] = 0
    config = dataclasses.replace(NONE, flip=1.0)
    image, landmarks, masks = run_augment(stored, points, mask, np.zeros(DRAWS), config)
    np.testing.assert_array_equal(image, stored[:, 32:160, 32:160][:, :, ::-1])
    np.testing.assert_allclose(landmarks, IBUG68.mirror(points), atol=1e-6)
    assert masks[0, 45] == 0 and masks.sum() == 67


@pytest.mark.parametrize("seed", range(5))
def test_points_stay_on_their_dots(seed):
    stored, points, mask = sample(seed)
    config = dataclasses.replace(AugmentConfig(), flip=0.5, brightness=0.0, contrast=0.0)
    draws = np.random.default_rng(seed).normal(size=DRAWS).clip(-1.5, 1.5)
    image, landmarks, _ = run_augment(stored, points, mask, draws, config)
    pixels = np.round(landmarks[0] * 128 - 0.5).astype(int)
    inside = ((pixels >= 0) & (pixels < 128)).all(1)
    values = image[0][pixels[inside, 1], pixels[inside, 0]].max(axis=1)
    assert inside.sum() > 40 and (values < 60).all()


# --- the input's order ---


def batches(records, start, count, threads=2, seed=3):
    batch, initialise = training_batch(
        records, read_manifest(records), 8, start, seed, AugmentConfig(), threads
    )
    with tf.Session() as session:
        session.run(initialise)
        fetch = (batch.name, batch.image, batch.landmarks, batch.wait_s)
        return [session.run(fetch) for _ in range(count)]


def test_batches_depend_on_seed_and_step_alone(records):
    whole = batches(records, 0, 12)
    part = batches(records, 9, 3, threads=1)
    for there, here in zip(whole[9:], part, strict=True):
        for a, b in zip(there[:3], here[:3], strict=True):
            np.testing.assert_array_equal(a, b)
    assert (batches(records, 0, 1, seed=4)[0][0] != whole[0][0]).any()
    assert all(wait >= 0 for *_, wait in whole)


def test_every_epoch_holds_every_picture_once_in_another_order(records):
    count = read_manifest(records)["sides"]["train"]["records"]
    names = np.concatenate([batch[0] for batch in batches(records, 0, 2 * count // 8 + 1)])
    first, second = names[:count], names[count : 2 * count]
    assert len(set(first)) == len(set(second)) == count
    assert (first != second).any()
