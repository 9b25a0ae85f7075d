"""The graph's parts: TensorFlow at first use, its patch, the networks, their heads, the losses."""

import math
import sys

import numpy as np
import pytest
from conftest import run_module

from senet_kp import nets
from senet_kp.nets import NETWORKS, build_network, discovered_networks
from senet_kp.nets.layers import expectation
from senet_kp.nets.options import NetOptions, conv_scope
from senet_kp.nets.senet_classic import se_bottleneck
from senet_kp.nets.tf1 import BATCH_NORM_UPDATES, slim, tf
from senet_kp.train.losses import LOSSES, map_loss, sample_loss


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as made:
        yield made


# --- TensorFlow at first use, and its patch ---


def test_tensorflow_is_imported_at_first_use():
    code = """
import sys
import senet_kp.nets, senet_kp.train.checkpoints, senet_kp.train.config, senet_kp.train.graph
from senet_kp.nets.tf1 import slim, tf
from senet_kp.train.config import recipe
recipe("inception")
slow = {"tensorflow", "tf_slim", "scipy", "matplotlib"}
assert not slow & set(sys.modules), slow & set(sys.modules)
assert not tf.executing_eagerly() and slim.conv2d and tf.__version__
"""
    result = run_module("-c", code)
    assert result.returncode == 0, result.stderr


def test_slim_still_needs_its_own_updates_collection():
    """With the default collection slim imports a module that Keras no longer has.

    If this test fails, the project can use tf.GraphKeys.UPDATE_OPS again.
    """
    image = tf.zeros([1, 8, 8, 3])
    with pytest.raises(Exception, match="tf_keras|legacy_tf_layers|keras"):
        slim.batch_norm(image)


def test_slim_trains_with_the_patch():
    net = slim.conv2d(
        tf.random.normal([4, 8, 8, 3]),
        6,
        3,
        normalizer_fn=slim.batch_norm,
        normalizer_params={"updates_collections": BATCH_NORM_UPDATES},
    )
    net = slim.dropout(slim.fully_connected(slim.flatten(slim.max_pool2d(net, 2)), 2))
    train = tf.train.AdamOptimizer().minimize(tf.reduce_mean(net))
    assert len(tf.get_collection(BATCH_NORM_UPDATES)) == 2
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([train, tf.get_collection(BATCH_NORM_UPDATES)])


# --- the networks ---


def test_a_new_network_is_one_new_file(tmp_path, monkeypatch):
    file = tmp_path / "another.py"
    file.write_text(
        "from senet_kp.nets.network import Network\nNETWORK = Network(print, {'steps': 7})\n"
    )
    monkeypatch.setattr(nets, "__path__", [*nets.__path__, str(tmp_path)])
    found = discovered_networks()
    monkeypatch.delitem(sys.modules, "senet_kp.nets.another")
    monkeypatch.delattr(nets, "another")
    assert list(found) == [
        "senet",
        "another",
        "inception",
        "plain_cnn",
        "se_inception",
        "senet_classic",
        "vgg16",
    ]
    assert found["another"].recipe == {"steps": 7}


def test_classic_network_layer_by_layer():
    image = tf.placeholder(tf.float32, [2, 128, 128, 3])
    assert build_network("senet_classic", image, 68, True).landmarks.shape.as_list() == [2, 136]
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


@pytest.mark.parametrize("width", [64, 128])
def test_a_block_without_a_stride_keeps_the_resolution(width):
    """Its shortcut is the input itself, or a 1x1 convolution of it where the width changes."""
    with slim.arg_scope(conv_scope(True, NetOptions())):
        image = tf.placeholder(tf.float32, [2, 32, 32, 64])
        assert se_bottleneck(image, width, "pooled").shape.as_list() == [2, 16, 16, width]
        assert se_bottleneck(image, width, "kept", None).shape.as_list() == [2, 32, 32, width]
    operations = {op.name: op.type for op in tf.get_default_graph().get_operations()}
    assert operations["pooled/pool/AvgPool"] == "AvgPool" and "kept/pool/AvgPool" not in operations
    weights = {v.op.name.partition("/")[2]: v.shape for v in tf.trainable_variables("pooled")}
    same = {v.op.name.partition("/")[2]: v.shape for v in tf.trainable_variables("kept")}
    assert weights == same and ("shortcut/weights" in weights) == (width != 64)


@pytest.mark.parametrize("net", NETWORKS)
def test_every_weight_is_regularised_and_every_batch_norm_updated(net):
    build_network(net, tf.placeholder(tf.float32, [2, 128, 128, 3]), 68, True)
    names = [v.op.name for v in tf.trainable_variables()]
    weights = [name for name in names if name.endswith("weights")]
    norms = [name for name in names if name.endswith("gamma")]
    assert len(tf.losses.get_regularization_losses()) == len(weights) >= 10
    assert len(tf.get_collection(BATCH_NORM_UPDATES)) == 2 * len(norms)
    assert len(norms) > 10 or net in ("vgg16", "plain_cnn")


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
    out = build_network("senet_classic", image, 68, True, NetOptions(dropout_seed=seed)).landmarks
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        a, b, c = (session.run(out, {seed: s}) for s in ((0, 5), (0, 5), (0, 6)))
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(a - c).max() > 1e-3


@pytest.mark.parametrize("side_px", [64, 96, 128])
def test_senet_takes_every_multiple_of_32(side_px):
    image = tf.placeholder(tf.float32, [2, side_px, side_px, 3])
    assert build_network("senet", image, 68, True).landmarks.shape.as_list() == [2, 136]
    assert build_network("senet", image, 68, False).landmarks.shape.as_list() == [2, 136]


# --- the expectation head ---


def run_expectation(maps, offset_x, offset_y, is_training):
    with tf.Session() as session:
        return session.run(expectation(*map(tf.constant, (maps, offset_x, offset_y)), is_training))


@pytest.mark.parametrize("is_training", [True, False])
def test_expectation_by_hand(is_training):
    """Two cells of a 2x4 map share the first landmark 3 to 1; one cell has all of the second."""
    maps = np.full((1, 2, 4, 2), -40.0, np.float32)
    maps[0, 0, 1, 0], maps[0, 1, 3, 0], maps[0, 1, 0, 1] = math.log(3), 0, 0
    offset_x, offset_y = np.zeros_like(maps), np.zeros_like(maps)
    offset_x[0, 0, 1, 0], offset_y[0, 1, 0, 1] = 0.2, -0.9
    points = run_expectation(maps, offset_x, offset_y, is_training)
    first_x = 0.75 * (1.5 / 4 + 0.2) + 0.25 * 3.5 / 4
    first_y = 0.75 * 0.25 + 0.25 * 0.75
    np.testing.assert_allclose(points, [[first_x, first_y, 0.5 / 4, 0.75 - 0.9]], atol=1e-6)


@pytest.mark.parametrize("is_training", [True, False])
def test_offsets_of_blocks_by_hand(is_training):
    """A 2x4 map with an offset for each half; the left half has three quarters of the softmax."""
    maps = np.full((1, 2, 4, 1), -40.0, np.float32)
    maps[0, 0, 1, 0], maps[0, 1, 3, 0] = math.log(3), 0
    offset_x, offset_y = (np.float32(votes).reshape(1, 1, 2, 1) for votes in ([0.2, 1], [0, -0.4]))
    points = run_expectation(maps, offset_x, offset_y, is_training)
    x = 0.75 * (1.5 / 4 + 0.2) + 0.25 * (3.5 / 4 + 1)
    y = 0.75 * 0.25 + 0.25 * (0.75 - 0.4)
    np.testing.assert_allclose(points, [[x, y]], atol=1e-6)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_expectation_is_the_same_in_training_and_inference(block):
    random = np.random.default_rng(0)
    maps, x, y = (
        random.normal(0, scale, (3, side, side, 68)).astype(np.float32)
        for scale, side in ((5, 16), (0.1, 16 // block), (0.1, 16 // block))
    )
    trained = run_expectation(maps, x, y, True)
    assert trained.std() > 0.1
    np.testing.assert_allclose(run_expectation(maps, x, y, False), trained, atol=2e-6)


# --- the losses ---


def run_loss(name, predicted, truth, mask, weights=None):
    with tf.Session() as session:
        return session.run(sample_loss(name, predicted, truth, mask, weights))


def test_masked_and_weighted_losses_by_hand():
    truth = np.zeros((2, 4, 2), np.float32)
    predicted = np.zeros((2, 8), np.float32)
    predicted[0] = [3, -4, 0, 0, 0, 0, 9, 9]
    mask = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(run_loss("mse", predicted, truth, mask), [25 / 6, 0])
    np.testing.assert_allclose(run_loss("l1", predicted, truth, mask), [7 / 6, 0])
    weights = np.array([3, 1, 0, 5], np.float32)
    np.testing.assert_allclose(run_loss("l1", predicted, truth, mask, weights), [21 / 8, 0])


def test_a_loss_can_be_measured_in_each_labels_own_spread():
    """Errors of 3 and -4 are 1.5 of a spread of 2 and -0.5 of a spread of 8."""
    predicted, truth = np.array([[3, -4]], np.float32), np.zeros((1, 1, 2), np.float32)
    mask, unit = np.ones((1, 1), np.float32), np.array([[2, 8]], np.float32)
    with tf.Session() as session:
        loss = session.run(sample_loss("mse", predicted, truth, mask, unit=unit))
    np.testing.assert_allclose(loss, [(1.5**2 + 0.5**2) / 2])


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        ("mse", 0.05, 0.0025),
        ("l1", -0.05, 0.05),
        ("smooth_l1", 0.005, 0.005**2 / 0.02),
        ("smooth_l1", -0.05, 0.045),
        ("wing", 0.02, 0.1 * math.log(2)),
        ("wing", -0.3, 0.3 - 0.1 + 0.1 * math.log(6)),
    ],
)
def test_losses_of_one_error(name, error, expected):
    predicted = np.full((1, 2), error, np.float32)
    loss = run_loss(name, predicted, np.zeros((1, 1, 2), np.float32), np.ones((1, 1), np.float32))
    np.testing.assert_allclose(loss, [expected], rtol=1e-4)


@pytest.mark.parametrize(("name", "joint"), [("smooth_l1", 0.01), ("wing", 0.1)])
def test_pieces_of_a_loss_meet(name, joint):
    below, above = (np.array([joint * factor], np.float32) for factor in (1 - 1e-5, 1 + 1e-5))
    with tf.Session() as session:
        low, high = session.run([LOSSES[name](below), LOSSES[name](above)])
    np.testing.assert_allclose(low, high, rtol=1e-4)


def test_map_loss_by_hand():
    """Uniform maps cost log(cells) nats; at the Gaussian itself the gradient is 0."""
    truth = np.array([[[0.3, 0.6], [1.2, 0.5], [0.5, 0.5]]], np.float32)  # the second is outside
    mask = np.array([[1, 1, 0]], np.float32)
    centres = (np.arange(8) + 0.5) / 8
    x, y = ((truth[0, 0, axis] - centres) * 8 for axis in (0, 1))
    best = np.zeros((1, 8, 8, 3), np.float32)
    best[0, :, :, 0] = -(x[None, :] ** 2 + y[:, None] ** 2) / 2
    maps = tf.placeholder(tf.float32, best.shape)
    loss = map_loss(maps, tf.constant(truth), tf.constant(mask))
    gradient = tf.gradients(loss, maps)[0]
    with tf.Session() as session:
        even, _ = session.run([loss, gradient], {maps: np.zeros_like(best)})
        least, slope = session.run([loss, gradient], {maps: best})
    np.testing.assert_allclose(even, [math.log(64)], rtol=1e-5)
    assert least[0] < 3.0  # a Gaussian of one cell: log(2 pi e) = 2.84 nats
    np.testing.assert_allclose(slope, 0, atol=1e-6)
