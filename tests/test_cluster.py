"""Distributed training: agreement with one process, lost tasks, and invalid configurations."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import ROOT
from runs import config, rows, variables

from senet_kp.cluster.liveness import Watch, wait_until_reachable
from senet_kp.cluster.local_cluster import free_ports
from senet_kp.cluster.spec import Task, read_tf_config
from senet_kp.cluster.train_cluster import ClusterConfig, _join_generation, train_on_cluster
from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.prepare import prepare
from senet_kp.export.freeze import FreezeConfig, freeze
from senet_kp.face.facebox import BoxRule
from senet_kp.input.pipeline import InputConfig, training_batch
from senet_kp.nets import NETWORKS
from senet_kp.nets.network import Network, Outputs
from senet_kp.nets.options import conv_scope
from senet_kp.nets.tf1 import slim, tf
from senet_kp.tfrecords.errors import CheckError, InputError, UserError
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.config import recipe
from senet_kp.train.loop import train


@pytest.fixture(scope="module")
def small(tree, tmp_path_factory):
    """Records of faces of 32 px."""
    out = tmp_path_factory.mktemp("small") / "records"
    options = {"detector_pictures": 0, "processes": 1, "box": BoxRule(size_px=32)}
    prepare(PrepareConfig(data=(tree,), out=out, **options))
    return out


# --- TF_CONFIG ---

JOBS = {"ps": ["a:1"], "chief": ["b:2"], "worker": ["c:3", "d:4"]}


def tf_config(jobs, job="worker", index=0):
    return json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})


def test_chief_comes_first_and_is_worker_0_where_none_is_named():
    cluster = read_tf_config(tf_config(JOBS, "worker", 1))
    assert [str(task) for task in cluster.replicas] == [
        "chief 0 (b:2)",
        "worker 0 (c:3)",
        "worker 1 (d:4)",
    ]
    assert cluster.me == Task("worker", 1, "d:4") and cluster.me.device == "/job:worker/task:1"
    assert cluster.addresses() == JOBS
    assert str(read_tf_config(tf_config({"ps": ["a:1"], "worker": ["c:3"]})).chief) == (
        "worker 0 (c:3)"
    )


@pytest.mark.parametrize(
    "text, wrong",
    [
        (None, "TF_CONFIG is not set"),
        ("{", "TF_CONFIG is not JSON: Expecting"),
        ("[]", "there is no object 'cluster'"),
        ('{"cluster": {"ps": ["a:1"]}}', "there is no object 'task'"),
        (
            tf_config(JOBS | {"evaluator": ["e:5"]}),
            "'evaluator' is not a job; the jobs are ps, chief, worker",
        ),
        (tf_config({"chief": ["b:2"]}), "a parameter server ('ps' task) is missing"),
        (tf_config({"ps": ["a:1"]}), "a 'chief' or 'worker' task is missing"),
        (tf_config(JOBS | {"worker": []}), "'worker' must be a list of addresses"),
        (tf_config(JOBS | {"worker": ["c"]}), "the address of worker 0 is 'c', not host:port"),
        (tf_config(JOBS | {"worker": ["c:70000"]}), "not host:port"),
        (tf_config(JOBS | {"worker": ["a:1"]}), "the address a:1 is listed twice"),
        (tf_config(JOBS | {"chief": ["b:2", "e:5"]}), "more than one chief"),
        (
            tf_config(JOBS, "worker", 2),
            "the cluster does not list the task of type 'worker' and index 2",
        ),
    ],
)
def test_a_mistake_in_tf_config_is_described_in_one_line(text, wrong):
    with pytest.raises(UserError, match=re.escape(wrong)) as caught:
        read_tf_config(text)
    assert "\n" not in str(caught.value)


# --- tasks that cannot be reached ---


def absent(job="worker", index=1):
    return Task(job, index, f"127.0.0.1:{free_ports(1)[0]}")


def test_a_task_that_does_not_start_is_named():
    task = absent()
    with pytest.raises(InputError, match=rf"worker 1 \({task.address}\) did not answer within 0"):
        wait_until_reachable([task], 0)


def test_a_task_that_stops_answering_is_reported_until_patience_ends(capsys):
    task = absent()
    with pytest.raises(InputError, match=r"did not answer for 0.4 s, so this task stops waiting"):
        watch = Watch([task], 0.4)
        while True:
            watch.check()
    assert f"waiting for {task}, which does not answer" in capsys.readouterr().out


def test_a_chief_whose_cluster_does_not_start_ends(small, tmp_path):
    settings = cluster_config(small, tmp_path, start_timeout_s=0.1)
    with pytest.raises(InputError, match=r"ps 0 \(.*\) and worker 0 \(.*\) did not answer within"):
        train_on_cluster(settings, tasks_of_a_cluster()["chief"])


# --- replicas that train together ---


def test_the_shares_of_the_replicas_are_the_batch_step_by_step(small):
    """From step 2 to the next epoch; the start of one share is a tensor."""
    manifest = read_manifest(small)

    def batch(share, start):
        return training_batch(
            InputConfig(small, batch_size=4, seed=3, share=share), manifest, start
        )

    with tf.Graph().as_default(), tf.Session() as session:
        whole = batch((0, 1), 2)
        shares = [batch((0, 2), 2), batch((1, 2), tf.constant(2, tf.int64))]
        session.run([start for _, start in (whole, *shares)])
        for _ in range(manifest["sides"]["train"]["records"] // 4):
            one, *two = session.run([[b.image, b.landmarks, b.name] for b, _ in (whole, *shares)])
            for part, parts in zip(one, zip(*two, strict=True), strict=True):
                np.testing.assert_array_equal(part, np.stack(parts, 1).reshape(part.shape))


def cluster_config(records, run, start_timeout_s=60.0, **options):
    settings = vars(config(records, run, **options))
    return ClusterConfig(**settings, start_timeout_s=start_timeout_s)


def tasks_of_a_cluster():
    jobs = dict(
        zip(
            ("ps", "chief", "worker"),
            ([f"127.0.0.1:{port}"] for port in free_ports(3)),
            strict=True,
        )
    )
    return {job: read_tf_config(tf_config(jobs, job)) for job in jobs}


def train_in_threads(settings):
    """Run a cluster of three tasks in this process; the exit code or error of each task."""
    clusters, results = tasks_of_a_cluster(), {}

    def part(job):
        try:
            results[job] = train_on_cluster(settings, clusters[job])
        except UserError as error:
            results[job] = error

    threads = [threading.Thread(target=part, args=(job,)) for job in ("ps", "worker")]
    for thread in threads:
        thread.start()
    part("chief")  # in the main thread, the only one that can handle signals
    for thread in threads:
        thread.join()
    return results


def largest_difference(first, second, ending=""):
    """The largest difference between the runs' variables whose names have this ending, relative
    to the largest value of each variable."""
    a, b = variables(first), variables(second)
    assert a.keys() == b.keys() and a["global_step"] == b["global_step"]
    names = [name for name in a if name.endswith(ending) and np.abs(a[name]).max() > 0]
    assert names
    return max(np.abs(a[name] - b[name]).max() / np.abs(a[name]).max() for name in names)


TOGETHER = {
    "steps": 6,
    "batch_size": 8,
    "validate_every_steps": 6,
    "log_every_steps": 6,
    "optimiser": "momentum",
    "average_decay": 0.9,
    "dropout_keep": 1.0,
}


def alone_and_together(small, folder, **options):
    settings = cluster_config(small, folder / "together", **TOGETHER | options)
    assert train(config(small, folder / "alone", **TOGETHER | options)) == 0
    assert train_in_threads(settings) == {"ps": 0, "chief": 0, "worker": 0}
    return folder / "alone", folder / "together"


def test_two_replicas_with_half_the_batch_each_equal_one_process(small, tmp_path):
    """Without batch norm, weights, their averages and the optimiser's slots agree to 1e-5."""
    alone, together = alone_and_together(small, tmp_path, net="plain_cnn", learning_rate=1e-5)
    assert largest_difference(alone, together) < 1e-5
    assert (together / "config.json").read_text().replace("together", "alone") == (
        (alone / "config.json").read_text()
    )
    assert [row["images"] for row in rows(together)] == ["48"]


def two_layers(image, outputs, is_training, options):
    """A small network with batch norm."""
    with slim.arg_scope(conv_scope(is_training, options)):
        net = slim.conv2d(image / 255, 8, 3, 2, scope="first")
        net = slim.conv2d(net, 8, 3, 2, scope="second")
        net = tf.reduce_mean(net, [1, 2])
        return Outputs(slim.fully_connected(net, outputs, None, scope="points"))


def test_batch_norm_uses_half_a_batch_but_its_statistics_use_the_whole(
    small, tmp_path, monkeypatch
):
    """The first layer's moving mean is that of the whole batch. Later layers receive activations
    that were normalised over four pictures instead of eight, and differ slightly."""
    monkeypatch.setitem(NETWORKS, "senet_classic", Network(two_layers))
    alone, together = alone_and_together(small, tmp_path, learning_rate=1e-5)
    assert largest_difference(alone, together, "first/BatchNorm/moving_mean") < 1e-5
    assert 1e-5 < largest_difference(alone, together, "first/BatchNorm/moving_variance") < 0.1
    assert 1e-5 < largest_difference(alone, together, "second/BatchNorm/moving_mean") < 0.1
    assert largest_difference(alone, together, "weights") < 1e-3


def test_gradients_that_are_not_finite_end_the_training_of_all_tasks(small, tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, "senet_classic", Network(two_layers))
    settings = cluster_config(small, tmp_path / "run", learning_rate=1e38, optimiser="momentum")
    results = train_in_threads(settings)
    assert results["ps"] == 0
    for job in ("chief", "worker"):
        assert results[job].exit_code == CheckError.exit_code
        assert re.match(
            r"step \d+: the gradients are not finite on (chief|worker) 0", str(results[job])
        )
    assert not (tmp_path / "run" / "latest").exists()


def test_a_batch_size_that_cannot_be_divided_is_refused(small, tmp_path):
    with pytest.raises(
        UserError, match="--batch-size 5 cannot be divided equally among 2 replicas"
    ):
        train_on_cluster(cluster_config(small, tmp_path, batch_size=5), tasks_of_a_cluster()["ps"])


@pytest.mark.parametrize("in_epochs", [False, True])
def test_a_worker_with_other_settings_is_refused(small, tmp_path, in_epochs):
    chief = dataclasses.asdict(config(small, tmp_path, seed=1))
    chief["records_sha256"] = read_manifest(small)["records_sha256"]
    settings = cluster_config(small, tmp_path, seed=2)
    if in_epochs:  # 12 steps of 4 pictures
        pictures = read_manifest(small)["sides"]["train"]["records"]
        steps = recipe("senet_classic").steps
        settings = dataclasses.replace(settings, steps=steps, epochs=48 / pictures)
    with pytest.raises(UserError, match=r"worker 0 .* than the chief: seed is 1, not 2$"):
        _join_generation(settings, tasks_of_a_cluster()["worker"], "", None, {"settings": chief})


# --- processes that are killed ---


def test_a_killed_worker_rejoins_and_a_killed_chief_resumes_from_its_checkpoint(small, tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-m",
            "senet_kp.cluster.local_cluster",
            "--restart",
            "--records",
            small,
            "--run",
            run,
            "--net",
            "plain_cnn",
            "--steps",
            "20",
            "--batch-size",
            "4",
            "--validate-every-steps",
            "4",
            "--log-every-steps",
            "1",
            "--start-timeout-s",
            "300",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    to_kill = [("worker 0", "chief | step 6 loss"), ("chief", "chief | step 11 loss")]
    started, lines = {}, []
    for line in process.stdout:
        lines.append(line)
        if found := re.match(r"(.*) started as process (\d+)$", line):
            started[found[1]] = int(found[2])
        if to_kill and line.startswith(to_kill[0][1]):
            os.kill(started[to_kill.pop(0)[0]], signal.SIGKILL)
    output = "".join(lines)
    assert process.wait() == 0, output
    joined = [int(step) for step in re.findall(r"joined at step (\d+)$", output, re.M)]
    assert joined[0] == 0 and joined[1] in (6, 7) and joined[2] == 8, output
    assert "to validate, from step 8" in output
    assert [row["step"] for row in rows(run)] == ["4", "8", "12", "16", "20"]
    assert variables(run)["global_step"] == 20
    freeze(FreezeConfig(run=run, records=small, out=tmp_path / "senet.pb"))
    assert (tmp_path / "senet.pb").stat().st_size > 1e6
