"""The head pose as an auxiliary task: its targets, its loss, and what it does not change."""

import csv
import dataclasses

import cv2
import numpy as np
import pytest
from conftest import face_points
from runs import assert_equal_to_the_bit, config, rows, variables

from senet_kp.export.freeze import frozen_graph
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pose import angle_between_deg, head_rotation, rotation_of
from senet_kp.input import pose_targets
from senet_kp.input.augment import AugmentConfig, Augmenter
from senet_kp.input.crops import load_crops
from senet_kp.input.pipeline import InputConfig, training_batch
from senet_kp.input.pose_targets import PoseTargets, require_poses
from senet_kp.nets import NETWORKS, build_network
from senet_kp.nets.pose_head import FRONTAL, orthonormal
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.train.checkpoints import checkpoint_prefix, read_settings
from senet_kp.train.config import check
from senet_kp.train.loop import train
from senet_kp.train.losses import pose_loss
from senet_kp.train.run_folder import RunFolder

POSED = ("senet", "senet_classic", "vgg16")  # networks that can learn head poses
UNKNOWN = np.full(3, np.nan)
HEAD = "pose/columns/biases"
MANIFEST = {"scheme": IBUG68.facts(), "box": {"size_px": 128}, "detector_box": None}


def test_targets_are_the_poses_of_the_augmented_points():
    """With mirroring, rotation and box jitter; without stretching, which is not a rotation."""
    augmenter = Augmenter(MANIFEST, 5, AugmentConfig(stretch=0.0, rotation_deg=20.0))
    targets = PoseTargets(augmenter)
    jpeg = cv2.imencode(".jpg", np.zeros((192, 192, 3), np.uint8))[1].tobytes()
    points, mask = face_points((0.5, 0.5), 0.8, 35), np.ones(68, np.float32)
    for epoch in range(40):
        _, moved, known, _ = augmenter.sample(jpeg, points, mask, b"face", epoch)
        target = targets.sample(UNKNOWN, points, mask, b"face", epoch)
        assert angle_between_deg(target, head_rotation(moved, known, IBUG68)) < 1.5
    assert targets.sample((0, 0, 0), points, mask, b"posed", 0)[2, 2] == pytest.approx(1)


def test_a_batch_holds_the_rotations_and_is_otherwise_the_same(records):
    manifest = read_manifest(records)
    plain, posed = (_batch(records, manifest, poses) for poses in (False, True))
    for there, here in zip(plain, posed[:4], strict=True):
        np.testing.assert_array_equal(there, here)
    poses = {r.name.encode(): r.pose for r in read_records(records, manifest, "train")}
    still = [rotation_of(poses[name]) for name in posed[3]]  # yaw 0 or 20 degrees in the labels
    turns = angle_between_deg(posed[4], still)
    assert posed[4].shape == (8, 3, 3) and 1 < turns.max() < 90
    np.testing.assert_allclose(np.linalg.det(posed[4]), 1, atol=1e-5)
    # An in-plane rotation does not change how far the head looks away from the camera.
    np.testing.assert_allclose(posed[4][:, 2, 2], [r[2, 2] for r in still], atol=1e-6)


def _batch(records, manifest, poses):
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = InputConfig(records, batch_size=8, seed=1, poses=poses)
        batch, start = training_batch(inputs, manifest)
        session.run(start)
        fetches = [batch.image, batch.landmarks, batch.mask, batch.name]
        return session.run([*fetches, batch.rotation] if poses else fetches)


def test_without_any_pose_the_records_are_named(records, monkeypatch):
    """Without a labelled pose, it is estimated from the 68 landmarks, and from no other scheme."""
    manifest = read_manifest(records)
    faces = [
        dataclasses.replace(record, pose=UNKNOWN)
        for record in read_records(records, manifest, "train", 2)
    ]
    monkeypatch.setattr(pose_targets, "read_records", lambda *_: faces)
    require_poses(records, manifest, ("train",))
    other = manifest | {"scheme": manifest["scheme"] | {"name": "others"}}
    with pytest.raises(
        UserError, match="tfrecords: --pose-weight needs head poses, but no record has one"
    ):
        require_poses(records, other, ("train",))


def test_the_loss_and_the_rotation_of_six_numbers_by_hand():
    quarter = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    truth = np.array([quarter, np.eye(3), np.full((3, 3), np.nan)], np.float32)
    right, up = (np.tile(np.float32(v), (3, 1)) for v in ([2, 0, 0], [3, 5, 0]))
    with tf.Graph().as_default(), tf.Session() as session:
        right, up = tf.constant(right), tf.constant(up)
        rotation = orthonormal(right, up)
        loss = pose_loss(rotation, truth)
        values = session.run([rotation, loss, *tf.gradients(loss, [right, up])])
    np.testing.assert_allclose(values[0], np.tile(np.eye(3), (3, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(values[1], [4 / 9, 0, 0], atol=1e-6)
    assert all(np.isfinite(gradient).all() and not gradient[2].any() for gradient in values[2:])


@pytest.mark.parametrize("net", POSED[1:])  # the tests below train senet
def test_networks_that_can_learn_poses_return_features(net):
    with tf.Graph().as_default():
        features = build_network(net, tf.zeros([2, 128, 128, 3]), 68, False).features
        assert len(features.shape) == 4
    check(config(None, None, net=net, pose_weight=0.1), IBUG68)


@pytest.mark.parametrize("net", sorted(NETWORKS.keys() - POSED))
def test_others_name_those_that_can(net):
    message = f"{net} has no features .* use --net senet or senet_classic or vgg16$"
    with pytest.raises(UserError, match=message):
        check(config(None, None, net=net, pose_weight=0.1), IBUG68)


@pytest.fixture(scope="module")
def posed(run, records, tmp_path_factory):
    """A run of two steps with the pose head, started from the weights of a run without it."""
    folder = tmp_path_factory.mktemp("posed") / "run"
    assert train(posed_config(records, folder, run)) == 0
    return folder


def posed_config(records, folder, before, **options):
    return config(
        records, folder, net="senet", steps=2, pose_weight=0.1, init_from=str(before), **options
    )


def test_a_run_with_the_head_logs_the_error_of_its_poses(posed):
    (row,) = rows(posed)
    logged = [
        value.simple_value
        for events in posed.glob("events.*")
        for event in tf.train.summary_iterator(str(events))
        for value in event.summary.value
        if value.tag == "val/pose_deg"
    ]
    assert float(row["val_pose_deg"]) == pytest.approx(logged[0], abs=1e-3)
    assert 1 < logged[0] < 40  # initially every prediction is frontal; the labels' yaw is 0 or 20


def test_it_starts_from_a_run_without_the_head_and_resumes_to_the_bit(
    posed, run, records, tmp_path
):
    """The first step of the warm-up moves no weight by more than 1e-5, its learning rate."""
    part = tmp_path / "run"
    assert train(posed_config(records, part, run, max_minutes=1e-4)) == 0
    assert checkpoint_prefix(part, "latest").endswith("ckpt-1")
    first, before, name = variables(part), variables(run, "best"), "senet/maps/weights"
    average = before[f"{name}/ExponentialMovingAverage"]
    np.testing.assert_allclose(first[name], average, atol=2e-5)
    np.testing.assert_allclose(first[HEAD], FRONTAL, atol=2e-5)
    assert HEAD not in before
    assert train(posed_config(records, part, run)) == 0
    assert_equal_to_the_bit(part, posed)


def test_the_frozen_graph_is_the_same_with_and_without_it(posed, run, records):
    manifest = read_manifest(records)
    images = load_crops(records, manifest, "train", 2).images
    made = []
    for folder in (posed, run):
        prefix = checkpoint_prefix(folder, "latest")
        data, _ = frozen_graph(read_settings(folder), manifest, prefix, images)
        definition = tf.GraphDef.FromString(data)
        made.append(
            [
                (n.name, n.op, n.attr["value"].tensor.tensor_shape.SerializeToString())
                for n in definition.node
            ]
        )
    assert made[0] == made[1] and not any("pose" in name for name, *_ in made[0])


def test_a_run_without_it_has_no_trace_of_it(run):
    with open(run / "metrics.csv", newline="") as file:
        assert "val_pose_deg" not in next(csv.reader(file))
    assert not any(name.startswith("pose/") for name in variables(run))


def test_a_run_older_than_the_setting_resumes_without_it(tmp_path):
    old = {"schedule": "cosine", "steps": 9}
    RunFolder(tmp_path).open(old)
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "ckpt-4.index").touch()
    with pytest.raises(UserError, match=r"pose_weight is None, not 0.1"):
        RunFolder(tmp_path).open(old | {"pose_weight": 0.1})
    RunFolder(tmp_path).open(old | {"pose_weight": 0.0})
