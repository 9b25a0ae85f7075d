"""inception, vgg16 and plain_cnn: sizes, grey, standardised labels, freezing."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from runs import config, variables

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.prepare import prepare
from senet_kp.export.freeze import frozen_graph
from senet_kp.export.parity import LIMIT_PX
from senet_kp.face.facebox import BoxRule
from senet_kp.inference.backends import OpenCVBackend, TensorFlowBackend
from senet_kp.input.pipeline import Batch
from senet_kp.nets import build_network, build_trunk
from senet_kp.nets.layers import unstandardised
from senet_kp.nets.options import NetOptions
from senet_kp.nets.tf1 import BATCH_NORM_UPDATES, slim, tf
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.graph import build_training_graph, predict, weight_count
from senet_kp.train.loop import train


@pytest.fixture(scope="module")
def small_records(tree, tmp_path_factory):
    """The records of the tree's faces at 64 px."""
    out = tmp_path_factory.mktemp("small") / "records"
    prepare(PrepareConfig(data=(tree,), out=out, box=BoxRule(size_px=64), detector_pictures=0))
    return out


def pictures(count, size_px, seed=0):
    """Random pictures [count, S, S, 3] uint8 of different brightness."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, size_px, size_px, 3))
    return (images / np.linspace(1, 3, count)[:, None, None, None]).astype(np.uint8)


def make_lively(session, net, size_px, count):
    """Initialise the network in the default graph so that its output differs between pictures.

    Batch norm gets the statistics of random pictures, which an update with decay 0 leaves.
    """
    random = np.random.default_rng(1)
    tf.set_random_seed(1)
    options = NetOptions(
        bn_decay=0.0,
        label_mean=random.uniform(0.2, 0.8, 2 * count),
        label_spread=random.uniform(0.01, 0.1, 2 * count),
    )
    build_network(net, pictures(4, size_px, 7).astype(np.float32), count, True, options)
    session.run(tf.global_variables_initializer())
    session.run(tf.get_collection(BATCH_NORM_UPDATES))
    if net != "plain_cnn":
        last = next(v for v in tf.model_variables() if v.op.name == f"{net}/points/weights")
        larger = 4 if net == "vgg16" else 30  # otherwise its sigmoid saturates
        last.load(larger * session.run(last), session)


# --- layers ---


@pytest.mark.parametrize(
    ("net", "side_px"),
    [(net, px) for net in ("inception", "plain_cnn") for px in (64, 128)]
    + [("vgg16", px) for px in (128, 150, 160)],
)
def test_networks_take_every_size_and_number_of_points(net, side_px):
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [2, side_px, side_px, 3])
        assert build_network(net, image, 15, False).landmarks.shape.as_list() == [2, 30]


@pytest.mark.parametrize(
    ("net", "weights"),
    [
        # Blocks up to Mixed_4f, 4,992 batch norms, 832 x 64 narrowed, 6 x 6 x 64 cells to 136.
        ("inception", 3_257_664 + 2 * 4_992 + 832 * 64 + 2 * 64 + 6 * 6 * 64 * 136 + 136),
        # The same, and gates of the widths of the blocks that reduce them to a sixteenth.
        (
            "se_inception",
            3_257_664
            + 2 * 4_992
            + 832 * 64
            + 2 * 64
            + 6 * 6 * 64 * 136
            + 136
            + sum(
                2 * width * (width // 16) + width // 16 + width
                for width in (256, 480, 512, 512, 512, 528, 832)
            ),
        ),
        (
            "plain_cnn",
            288
            + 32
            + 9216
            + 32
            + 18432
            + 64
            + 36864
            + 64
            + 73728
            + 128
            + 147456
            + 128
            + 294912
            + 256
            + 589824
            + 256
            + 6 * 6 * 256 * 256
            + 256
            + 256 * 136
            + 136,
        ),
    ],
)
def test_weights_at_96_px(net, weights):
    with tf.Graph().as_default():
        build_network(net, tf.placeholder(tf.float32, [1, 96, 96, 3]), 68, True)
        assert weight_count(net) == weights


@pytest.mark.parametrize(
    ("side_px", "cells", "head"),
    [
        # 7 x 7 cells; the convolution leaves 5 x 5, the pooling 2 x 2 of 512 channels.
        (224, 2048, 3_478_664),
        # 4 x 4 cells, then 2 x 2, then one.
        (128, 512, 3_478_664 - 3 * 512 * 512),
    ],
)
def test_the_weights_of_vgg16s_head(side_px, cells, head):
    assert head == (9 * 512 * 512 + 512) + (cells * 512 + 512) + (512 * 136 + 136)
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [1, side_px, side_px, 3])
        build_network("vgg16", image, 68, True, NetOptions(train_trunk=False))
        assert weight_count("vgg16") == head
    with tf.Graph().as_default():
        build_network("vgg16", tf.placeholder(tf.float32, [1, side_px, side_px, 3]), 68, True)
        assert weight_count("vgg16") == 14_714_688 + head


def test_vgg16s_trunk_has_the_variables_of_slims_network():
    with tf.Graph().as_default():
        slim.nets.vgg.vgg_16(tf.placeholder(tf.float32, [1, 224, 224, 3]))
        theirs = {v.op.name: v.shape.as_list() for v in tf.model_variables()}
    with tf.Graph().as_default():
        build_trunk("vgg16", tf.placeholder(tf.float32, [1, 224, 224, 3]))
        ours = {v.op.name.removeprefix("vgg16/"): v.shape.as_list() for v in tf.model_variables()}
    assert len(ours) == 26  # weights and biases of 13 convolutions
    assert ours.items() <= theirs.items()
    assert all("/fc" in name for name in theirs.keys() - ours.keys())


def test_pictures_too_small_for_a_network_are_refused(small_records, tmp_path):
    with tf.Graph().as_default(), pytest.raises(ValueError, match="at least 128 px.* have 96 px"):
        build_network("vgg16", tf.zeros([1, 96, 96, 3]), 68, False)
    with pytest.raises(InputError, match="records: vgg16 needs pictures of at least 128 px") as e:
        train(config(small_records, tmp_path / "run", net="vgg16"))
    assert "--box.size-px 128" in str(e.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("net", ["inception", "se_inception", "plain_cnn"])
def test_a_colour_picture_and_its_grey_version_give_the_same_points(net):
    colour = pictures(3, 64).astype(np.float32)
    grey = np.repeat(colour @ np.float32((0.299, 0.587, 0.114))[:, None], 3, axis=3)
    with tf.Graph().as_default(), tf.Session() as session:
        make_lively(session, net, 64, 5)
        image = tf.placeholder(tf.float32, [3, 64, 64, 3])
        points = build_network(net, image, 5, False).landmarks
        of_colour, of_grey, of_swapped = (
            session.run(points, {image: x}) for x in (colour, grey, colour[..., ::-1])
        )
    np.testing.assert_allclose(of_colour, of_grey, atol=1e-4)
    assert np.abs(of_colour - of_swapped).max() > 1e-3


# --- frozen ---


@pytest.mark.parametrize(("net", "side_px"), [("inception", 64), ("vgg16", 128), ("plain_cnn", 64)])
def test_frozen_graph_agrees_in_tensorflow_and_opencv(net, side_px, records, tmp_path):
    manifest = read_manifest(records)
    manifest["box"]["size_px"] = side_px
    with tf.Graph().as_default(), tf.Session() as session:
        make_lively(session, net, side_px, 68)
        saver = tf.train.Saver(tf.model_variables())
        prefix = saver.save(session, str(tmp_path / "ckpt"), 1)
    images = pictures(4, side_px)
    graph, trained = frozen_graph({"net": net, "average_decay": 0}, manifest, prefix, images)
    assert np.ptp(trained, axis=0).max() * side_px > 1  # pixels: the output depends on the picture
    for backend in (TensorFlowBackend, OpenCVBackend):
        engine = backend(graph)
        points = np.array([engine(image) for image in images])
        assert np.abs(points - trained).max() * side_px < LIMIT_PX


# --- standardised labels ---


def test_standardised_points_come_back_by_hand():
    options = NetOptions(label_mean=[0.5, 0.4, 0.1, 0.9], label_spread=[0.1, 0.2, 0.05, 0.3])
    with tf.Graph().as_default(), tf.Session() as session:
        points, spread = unstandardised(tf.constant([[1.0, -2.0, 0.0, 0.5]]), options)
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run(points), [[0.6, 0.0, 0.1, 1.05]], atol=1e-6)
        np.testing.assert_allclose(session.run(spread), options.label_spread, atol=1e-6)


def test_the_loss_is_that_of_the_standardised_labels():
    """A spread of 0.002 counts as 0.01, so that no landmark outweighs all others."""
    random = np.random.default_rng(0)
    mean, spread = random.uniform(0.3, 0.7, (5, 2)), random.uniform(0.02, 0.1, (5, 2))
    spread[3, 1] = 0.002
    truth = random.uniform(0, 1, (2, 5, 2)).astype(np.float32)
    images = pictures(2, 64)
    manifest = {"mean_shape": mean, "shape_spread": spread, "box": {"size_px": 64}}
    settings = dataclasses.replace(
        config(None, None, net="plain_cnn"), dropout_keep=1.0, mirror_offsets=False
    )
    with tf.Graph().as_default(), tf.Session() as session:
        known = (images, truth, np.ones((2, 5), np.float32))
        batch = Batch(*map(tf.constant, known), turn=None, name=None, subset=None, wait_s=0)
        graph = build_training_graph(batch, settings, manifest)
        session.run(tf.global_variables_initializer())
        points, loss = predict(session, graph.val, images)[0], session.run(graph.sample_loss)
    spread[3, 1] = 0.01
    expected = (((points - truth) / spread) ** 2).mean((1, 2))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_checkpoint_holds_the_labels_mean_and_spread(small_records, tmp_path):
    manifest, run = read_manifest(small_records), tmp_path / "run"
    assert train(config(small_records, run, net="plain_cnn", steps=2)) == 0
    kept = variables(run)
    np.testing.assert_allclose(
        kept["plain_cnn/label_mean"], np.ravel(manifest["mean_shape"]), atol=1e-6
    )
    spread = np.maximum(np.ravel(manifest["shape_spread"]), 0.01)
    np.testing.assert_allclose(kept["plain_cnn/label_spread"], spread, atol=1e-6)


def test_records_without_the_labels_spread_are_refused(small_records, tmp_path):
    copy = shutil.copytree(small_records, tmp_path / "records")
    manifest = read_manifest(copy)
    del manifest["shape_spread"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="records: the manifest was written by an older version"):
        train(config(copy, tmp_path / "run", net="plain_cnn"))
