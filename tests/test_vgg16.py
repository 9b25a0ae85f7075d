"""Transfer learning with vgg16: the public weights of the trunk, and training on its features.

The networks here are narrow; tests/test_nets.py tests the shapes of the real one.
"""

import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from runs import assert_equal_to_the_bit, config, rows, variables

from senet_kp.cluster.spec import read_tf_config
from senet_kp.cluster.train_cluster import ClusterConfig, train_on_cluster
from senet_kp.export.freeze import FreezeConfig, freeze
from senet_kp.face.metrics import nme, normalised_errors
from senet_kp.face.scheme import scheme_of
from senet_kp.input.augment import NO_AUGMENTATION, AugmentConfig
from senet_kp.input.crops import load_crops
from senet_kp.nets import build_network, build_trunk, vgg16
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError, ModelError, UserError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train import feature_cache
from senet_kp.train.checkpoints import (
    checkpoint_prefix,
    read_settings,
    restored_session,
    run_images,
)
from senet_kp.train.config import effective, recipe
from senet_kp.train.keras_weights import vgg16_trunk
from senet_kp.train.loop import train


@pytest.fixture(scope="module", autouse=True)
def narrow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg16, "STACKS", ((2, 4), (2, 4), (3, 8), (3, 8), (3, 8)))
        patch.setattr(vgg16, "HEAD", 16)
        yield


def write_checkpoint(path, seed: int):
    """Write a trunk as the public vgg_16.ckpt: one file in the old format, with other variables."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        build_trunk("vgg16", tf.zeros([1, 128, 128, 3]))
        names = {v.op.name.removeprefix("vgg16/"): v for v in tf.model_variables()}
        names["vgg_16/fc8/weights"] = tf.get_variable("fc8", [1, 1, 4, 10])
        names["global_step"] = tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(names, write_version=tf.train.SaverDef.V1)
        saver.save(session, str(path), write_meta_graph=False, write_state=False)
    assert path.is_file()
    return path


@pytest.fixture(scope="module")
def checkpoint(narrow, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("slim") / "vgg_16.ckpt", seed=5)


def values_of(checkpoint) -> dict:
    """{name: value} of the trunk in a checkpoint of slim's, without the scope's name."""
    reader = tf.train.load_checkpoint(str(checkpoint))
    names = [name for name in reader.get_variable_to_shape_map() if "vgg_16/conv" in name]
    return {name.removeprefix("vgg_16/"): reader.get_tensor(name) for name in names}


def trunk_of(run) -> dict:
    return {
        name.removeprefix("vgg16/vgg_16/"): value
        for name, value in variables(run).items()
        if name.startswith("vgg16/vgg_16/") and "Adam" not in name
    }


def assert_same(found: dict, expected: dict):
    assert len(found) == 26 and found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def options(checkpoint, **more):
    return {"net": "vgg16", "init_from": str(checkpoint), "steps": 2, **more}


# --- public weights ---


@pytest.fixture(scope="module")
def run(records, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vgg") / "run"
    assert train(config(records, folder, **options(checkpoint))) == 0
    return folder


def test_the_trunk_is_restored_and_stays_as_it_was_to_the_bit(run, checkpoint):
    assert_same(trunk_of(run), values_of(checkpoint))
    names = set(variables(run))
    assert "vgg16/head/weights/Adam" in names
    assert not any("vgg_16" in name and "Adam" in name for name in names)
    before = json.loads((run / "config.json").read_text())["before"]
    assert len(before["trunk_sha256"]) == 64


def test_training_from_a_run_can_train_its_trunk_too(run, records, tmp_path, capsys):
    more = {"init_from": str(run), "train_trunk": True, "learning_rate": 1e-6, "steps": 1}
    assert train(config(records, tmp_path / "run", net="vgg16", **more)) == 0
    assert f"the trunk comes from {run} and is trained as well" in capsys.readouterr().out
    old, new = variables(run, "best"), variables(tmp_path / "run")
    for name in ("vgg16/vgg_16/conv5/conv5_3/weights", "vgg16/head/weights"):
        assert 0 < np.abs(new[name] - old[name]).max() < 2e-6  # one step of Adam


def test_the_log_says_whether_the_trunk_is_trained_or_kept(records, checkpoint, tmp_path, capsys):
    assert train(config(records, tmp_path / "scratch", net="vgg16", steps=1)) == 0
    assert "vgg16: the trunk starts from random weights and is trained" in capsys.readouterr().out
    assert "vgg16/vgg_16/conv1/conv1_1/weights/Adam" in variables(tmp_path / "scratch")
    assert train(config(records, tmp_path / "kept", **options(checkpoint, steps=1))) == 0
    out = capsys.readouterr().out
    assert f"the trunk comes from {checkpoint} and is frozen" in out
    # 3 x 3 x 8 to 16, one cell of 16 to 16, 16 to 136.
    assert f"{9 * 8 * 16 + 16 + 16 * 16 + 16 + 16 * 136 + 136:,} weights" in out


def test_other_networks_and_other_checkpoints_are_refused(records, checkpoint, tmp_path):
    with pytest.raises(ModelError, match="plain_cnn has no trunk .* use --net vgg16"):
        train(config(records, tmp_path / "a", net="plain_cnn", init_from=str(checkpoint)))
    other = tmp_path / "other.ckpt"
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.get_variable("other", [3]).initializer)
        tf.train.Saver().save(session, str(other))
    with pytest.raises(ModelError, match="other.ckpt: the checkpoint does not exist or is of"):
        train(config(records, tmp_path / "b", net="vgg16", init_from=str(other)))
    with pytest.raises(ModelError, match="none: not a training run"):
        train(config(records, tmp_path / "c", net="vgg16", init_from=str(tmp_path / "none")))


# --- Keras's files ---

LAYOUTS = {
    "Keras 1": ("{layer}/{layer}_W_1:0", "{layer}/{layer}_b_1:0"),
    "Keras 2": ("{layer}/{layer}/kernel:0", "{layer}/{layer}/bias:0"),
    "a model": ("model_weights/{layer}/{layer}/kernel", "model_weights/{layer}/{layer}/bias"),
    "a model in a model": (
        "model_weights/vgg16/{layer}/kernel",
        "model_weights/vgg16/{layer}/bias",
    ),
}


def write_keras(path, values: dict, layout: str):
    """Write the values of a trunk as Keras lays them out, for pictures in blue, green, red."""
    kernel, bias = LAYOUTS[layout]
    with h5py.File(path, "w") as file:
        file.create_group("block1_pool")
        file["optimizer_weights/adam/block1_conv1/kernel"] = np.zeros((3, 3, 3, 4))
        file["fc1/fc1_W_1:0"] = np.zeros((4, 4))
        for name, value in values.items():
            _, layer, part = name.split("/")
            layer = layer.replace("conv", "block").replace("_", "_conv")
            if layer == "block1_conv1" and part == "weights":
                value = value[:, :, [2, 1, 0]]
            file[(kernel if part == "weights" else bias).format(layer=layer)] = value
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keras_files_give_the_same_trunk(layout, checkpoint, tmp_path):
    values = values_of(checkpoint)
    assert_same(vgg16_trunk(write_keras(tmp_path / "vgg.h5", values, layout)), values)


def test_training_starts_from_a_keras_file(records, checkpoint, tmp_path):
    file = write_keras(tmp_path / "vgg.h5", values_of(checkpoint), "Keras 1")
    assert train(config(records, tmp_path / "run", **options(file, steps=1))) == 0
    assert_same(trunk_of(tmp_path / "run"), values_of(checkpoint))


def test_files_that_hold_no_vgg16_are_named(records, checkpoint, tmp_path):
    def refused(name):
        with pytest.raises(ModelError) as caught:
            train(config(records, tmp_path / "run", **options(tmp_path / name)))
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
        shutil.rmtree(tmp_path / "run")
        return str(caught.value)

    (tmp_path / "text.h5").write_text("no HDF5")
    assert "not a complete HDF5 file" in refused("text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/kernel:0"] = np.zeros((2, 2))
    assert "names no layer of VGG16" in refused("other.h5")
    values = values_of(checkpoint)
    lacking = {name: value for name, value in values.items() if "conv4_2" not in name}
    write_keras(tmp_path / "lacking.h5", lacking, "Keras 2")
    assert "has no vgg16/vgg_16/conv4/conv4_2/weights of shape" in refused("lacking.h5")


KERAS = """
import sys, h5py, keras, numpy as np
from keras.applications import vgg16
model = vgg16.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
model.save(sys.argv[1])
image = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
np.savez(sys.argv[2], image=image, features=model.predict(vgg16.preprocess_input(image.copy())))
"""


def test_the_trunk_computes_what_keras_computes(tmp_path, monkeypatch):
    """The real network, with Keras's own preparation of the pictures: means and channel order."""
    monkeypatch.undo()
    monkeypatch.setattr(vgg16, "STACKS", ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)))
    files = tmp_path / "keras.h5", tmp_path / "expected.npz"
    result = run_module("-c", KERAS, *files)
    assert result.returncode == 0, result.stderr
    expected = np.load(files[1])
    with tf.Graph().as_default(), tf.Session() as session:
        features = build_trunk("vgg16", tf.constant(expected["image"]))
        values = vgg16_trunk(files[0])
        for variable in tf.model_variables():
            variable.load(values[variable.op.name.removeprefix("vgg16/vgg_16/")], session)
        found = session.run(features)
    spread = expected["features"].std()
    assert spread > 0
    np.testing.assert_allclose(found, expected["features"], atol=1e-3 * spread)


# --- training on stored features ---


def cached(records, run, checkpoint, **more):
    return config(records, run, **options(checkpoint, cache_features=True, **more))


@pytest.fixture(scope="module")
def own_records(records, tmp_path_factory):
    """A copy of the records, beside which features may be stored."""
    return shutil.copytree(records, tmp_path_factory.mktemp("own") / "tfrecords")


@pytest.fixture(scope="module")
def cached_run(own_records, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cached") / "run"
    assert train(cached(own_records, folder, checkpoint, steps=8)) == 0
    return folder


def stored(records, side):
    (path,) = (records / "features").glob(f"vgg16-{side}-*.npy")
    return path


@pytest.mark.parametrize("side", ["train", "val"])
def test_stored_features_are_those_of_the_pictures(side, cached_run, own_records, checkpoint):
    crops = load_crops(own_records, read_manifest(own_records), side)
    found = np.load(stored(own_records, side))
    assert found.shape == (len(crops), 4, 4, 8) and found.dtype == np.float32
    assert len(crops) > 2 and np.ptp(found, axis=0).max() > 1e-3
    with tf.Graph().as_default(), tf.Session() as session:
        features = build_trunk("vgg16", tf.constant(crops.images, tf.float32))
        saver = tf.train.Saver({v.op.name.removeprefix("vgg16/"): v for v in tf.model_variables()})
        saver.restore(session, str(checkpoint))
        expected = session.run(features)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_training_on_features_equals_training_on_pictures(
    cached_run, own_records, checkpoint, tmp_path
):
    plain = config(
        own_records, tmp_path / "run", **options(checkpoint, steps=8, augment=NO_AUGMENTATION)
    )
    assert train(plain) == 0
    one, other = variables(cached_run), variables(tmp_path / "run")
    assert one.keys() == other.keys()
    start = np.abs(one["vgg16/head/weights/Adam"]).max()
    assert start > 0
    for name, value in one.items():
        scale = max(np.abs(value).max(), 1e-6)
        np.testing.assert_allclose(other[name], value, atol=1e-3 * scale, err_msg=name)


def test_the_checkpoint_holds_the_whole_network(cached_run, own_records, checkpoint, tmp_path):
    assert_same(trunk_of(cached_run), values_of(checkpoint))
    manifest, settings = read_manifest(own_records), read_settings(cached_run)
    val = load_crops(own_records, manifest, "val")
    prefix = checkpoint_prefix(cached_run, "latest")
    with restored_session(settings, manifest, prefix) as session:
        predicted = run_images(session, val.images, prefix)
    errors = normalised_errors(
        predicted, val.landmarks, val.mask, scheme_of(manifest), "inter-ocular"
    )
    assert float(rows(cached_run)[-1]["val_nme"]) == pytest.approx(nme(errors).mean(), abs=2e-6)
    card = freeze(FreezeConfig(run=cached_run, records=own_records, out=tmp_path / "vgg.pb"))
    assert card["network"] == "vgg16" and card["gate"]["faces"] >= 64


def test_the_settings_say_that_augmentation_was_off(cached_run):
    settings = read_settings(cached_run)
    strengths = {k: value for k, value in settings["augment"].items() if k != "rotation"}
    assert settings["cache_features"] and set(strengths.values()) == {0}


def test_stopped_and_resumed_equals_uninterrupted(cached_run, own_records, checkpoint, tmp_path):
    for steps in (3, 8):
        assert train(cached(own_records, tmp_path / "run", checkpoint, steps=steps)) == 0
    assert_equal_to_the_bit(tmp_path / "run", cached_run)


def test_features_are_computed_once_for_each_trunk(
    cached_run, own_records, checkpoint, tmp_path, monkeypatch, capsys
):
    copy = shutil.copytree(own_records, tmp_path / "tfrecords")
    before = {path.name for path in (copy / "features").iterdir()}
    assert len(before) == 2
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "_write", None)  # calling it would be an error
        assert train(cached(copy, tmp_path / "again", checkpoint, train_on_val=True)) == 0
    assert "without augmentation" in capsys.readouterr().out
    other = write_checkpoint(tmp_path / "other.ckpt", seed=6)
    assert train(cached(copy, tmp_path / "other", other)) == 0
    after = {path.name for path in (copy / "features").iterdir()}
    assert len(after) == 2 and not after & before
    assert "computing the features of" in capsys.readouterr().out


def test_the_key_depends_on_weights_size_and_records(own_records):
    manifest = read_manifest(own_records)
    sides = manifest["sides"]
    larger = manifest | {"box": manifest["box"] | {"size_px": 160}}
    changed = json.loads(json.dumps(manifest))
    changed["sides"]["train"]["shards"][0]["sha256"] = "0"
    settings = config(own_records, None, net="vgg16")
    paths = [
        feature_cache._path(settings, *arguments)
        for arguments in (
            (manifest, "train", "a"),
            (manifest, "train", "b"),
            (manifest, "val", "a"),
            (larger, "train", "a"),
            (changed, "train", "a"),
        )
    ]
    assert len({*paths}) == 5 and len(sides) == 3


def test_an_interrupted_computation_leaves_no_file(records, checkpoint, tmp_path, monkeypatch):
    copy = shutil.copytree(records, tmp_path / "tfrecords", ignore=shutil.ignore_patterns("feat*"))
    pictures = feature_cache._pictures

    def interrupted(*arguments):
        for number, picture in enumerate(pictures(*arguments)):
            if number == 40:
                raise KeyboardInterrupt
            yield picture

    monkeypatch.setattr(feature_cache, "_pictures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(cached(copy, tmp_path / "run", checkpoint))
    assert not list((copy / "features").iterdir())


def test_a_damaged_file_is_named(cached_run, own_records, checkpoint, tmp_path):
    copy = shutil.copytree(own_records, tmp_path / "tfrecords")
    path = stored(copy, "train")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        InputError, match="stored features are damaged .* delete the file"
    ) as caught:
        train(cached(copy, tmp_path / "run", checkpoint))
    assert str(path) in str(caught.value)


# --- flags that do not fit together ---


def test_augmentation_beside_stored_features_is_refused():
    base = dataclasses.replace(recipe("vgg16"), cache_features=True, init_from="vgg_16.ckpt")
    assert effective(base).augment == NO_AUGMENTATION
    assert effective(effective(base)) == effective(base)
    off = dataclasses.replace(base, augment=dataclasses.replace(base.augment, flip=0.0))
    assert effective(off).augment == NO_AUGMENTATION
    wanted = dataclasses.replace(base, augment=AugmentConfig(rotation_deg=30.0, scale=0.1))
    with pytest.raises(UserError, match="--augment.rotation-deg, --augment.scale would have no"):
        effective(wanted)
    plain = dataclasses.replace(wanted, cache_features=False)
    assert effective(plain) == plain


@pytest.mark.parametrize(
    "more",
    [{"init_from": ""}, {"train_trunk": True}, {"net": "plain_cnn"}],
)
def test_stored_features_need_a_trunk_that_stays_fixed(more, records, checkpoint, tmp_path):
    settings = dataclasses.replace(cached(records, tmp_path / "run", checkpoint), **more)
    with pytest.raises(UserError, match="--cache-features needs a trunk that stays fixed"):
        train(settings)
    assert not (tmp_path / "run").exists()


def test_stored_features_are_for_one_machine():
    jobs = {"chief": ["b:2"], "ps": ["a:1"]}
    cluster = read_tf_config(json.dumps({"cluster": jobs, "task": {"type": "ps", "index": 0}}))
    with pytest.raises(UserError, match="--cache-features works in a training on one machine"):
        train_on_cluster(ClusterConfig(cache_features=True), cluster)


def test_the_command_refuses_them_in_one_line(records, tmp_path):
    flags = ("--net", "vgg16", "--records", records, "--run", tmp_path / "run", "--cache-features")
    result = run_module("-m", "senet_kp.train", *flags)
    assert_one_line_error(result, 2, "--cache-features needs a trunk", "--init-from")


def test_a_pose_head_learns_from_stored_features(own_records, cached_run, checkpoint, tmp_path):
    assert train(cached(own_records, tmp_path / "run", checkpoint, pose_weight=0.1)) == 0
    assert float(rows(tmp_path / "run")[-1]["val_pose_deg"]) > 0
    with tf.Graph().as_default():
        assert build_network("vgg16", tf.zeros([1, 128, 128, 3]), 68, False).features is not None
