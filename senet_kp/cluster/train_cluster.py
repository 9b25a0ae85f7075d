"""senet-kp train-cluster --records out/tfrecords --run out/run

Trains like `senet-kp train`, but on several machines. Run the same command on every machine, with
the environment variable TF_CONFIG, which lists all tasks and says which one the machine runs
(docs/cluster.md describes it). Parameter servers hold the weights; the chief and the workers each
train on a share of every batch. Only the chief reads and writes the run folder. If a task was
killed, start it again with the same command: a worker rejoins at the current step, and a restarted
chief resumes the training from its newest checkpoint together with all other tasks.
Exit codes: those of `senet-kp train`, and 3 if a task does not answer.
"""

import os
import sys
import time
from dataclasses import asdict, dataclass

import tyro

from senet_kp.cluster.liveness import POLL_S, Watch, wait_until_reachable
from senet_kp.cluster.notices import Notices
from senet_kp.cluster.replica import Chief, Worker, start_server
from senet_kp.cluster.session_errors import lost_session, reason_lost
from senet_kp.cluster.spec import Cluster, read_tf_config
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.train.config import TrainConfig, recipe_of_command_line, training_settings
from senet_kp.train.loop import train
from senet_kp.train.run_folder import differences
from senet_kp.train.setup import TrainingOps, build, checked_records, resolved, run_settings
from senet_kp.train.steps import Meter, run_step

RETRY_S = 2.0  # before a worker that lost a parameter server rejoins
# How long the first parameter server waits for the other tasks to see the end of the training. A
# TensorFlow session that met an error takes up to 30 s to close.
LEAVE_S = 60.0


@dataclass(frozen=True)
class ClusterConfig(TrainConfig):
    start_timeout_s: float = 60.0
    """how long to wait for the other tasks to start, in seconds"""
    patience_s: float = 600.0
    """how long to wait for a task that stopped answering, in seconds"""


def train_on_cluster(config: ClusterConfig, cluster: Cluster) -> int:
    """Run this process's task until the training ends, and return the exit code."""
    if config.cache_features:
        raise UserError("--cache-features works in a training on one machine only: senet-kp train")
    replicas = len(cluster.replicas)
    if config.batch_size % replicas:
        raise UserError(
            f"--batch-size {config.batch_size} cannot be divided equally among {replicas} replicas"
        )
    server = start_server(cluster, config.threads)
    notices = Notices(cluster, server.target)
    print(f"{cluster.me}: started; {replicas} replicas of {config.batch_size // replicas} pictures")
    if cluster.me.job == "ps":
        return _run_parameter_server(config, cluster, notices)
    run_task = _run_chief if cluster.me == cluster.chief else _run_worker
    return run_task(config, cluster, server.target, notices)


def _run_parameter_server(config: ClusterConfig, cluster: Cluster, notices: Notices) -> int:
    """Keep the server running until the training has ended."""
    needed = cluster.others([cluster.chief, cluster.ps[0]])
    wait_until_reachable(needed, config.start_timeout_s)
    watch = Watch(needed, config.patience_s)
    while "ended" not in notices.read():
        watch.check()
        time.sleep(POLL_S)
    if cluster.me == cluster.ps[0]:
        notices.wait_until_left(len(cluster.tasks) - 2, LEAVE_S)  # all but the chief and this one
    else:
        notices.leave()
    return 0


def _run_chief(config: ClusterConfig, cluster: Cluster, target: str, notices: Notices) -> int:
    """Train to the end, and announce the end to all other tasks."""
    try:
        wait_until_reachable(cluster.others(cluster.tasks), config.start_timeout_s)
        code = _train_as_chief(config, cluster, target, notices)
    except UserError as error:
        notices.end(error.exit_code, str(error))
        raise
    notices.end(code)
    return code


def _train_as_chief(config: ClusterConfig, cluster: Cluster, target: str, notices) -> int:
    """Train to the end; begin a new generation whenever a parameter server was lost."""
    training = resolved(training_settings(config))
    settings = run_settings(training, checked_records(training)[0])
    while True:
        try:
            chief = Chief(cluster, target, config.patience_s, notices, settings)
            return train(training, chief)
        except lost_session() as error:
            _raise_if_failed(notices.read())
            print(f"{reason_lost(error)}; resuming from the newest checkpoint", flush=True)
        wait_until_reachable(cluster.ps, config.patience_s)


def _run_worker(config: ClusterConfig, cluster: Cluster, target: str, notices: Notices) -> int:
    """Take part in one generation after the other until the training has ended."""
    needed = [*cluster.ps, cluster.chief]
    wait_until_reachable(needed, config.start_timeout_s)
    while "ended" not in (notice := _next_notice(notices, Watch(needed, config.patience_s))):
        try:
            _join_generation(config, cluster, target, notices, notice)
        except tf.errors.OutOfRangeError:
            continue  # the chief has closed the generation, and its next notice says what follows
        except lost_session() as error:
            print(f"{reason_lost(error)}; rejoining as soon as it is back", flush=True)
            time.sleep(RETRY_S)
            wait_until_reachable(cluster.ps, config.patience_s)
    print(f"{cluster.me}: the training has ended")
    notices.leave()
    _raise_if_failed(notice)
    return notice["ended"]


def _join_generation(config: ClusterConfig, cluster: Cluster, target: str, notices, notice: dict):
    """Train a share of every batch; ends with one of `lost_session()` when the generation ends."""
    training = resolved(training_settings(config))
    manifest, scheme = checked_records(training)
    own = asdict(training) | {"records_sha256": manifest["records_sha256"]}
    if different := differences(notice["settings"], notice["settings"] | own):
        raise UserError(f"{cluster.me} has other settings than the chief: {different}")
    worker = Worker(cluster, target, notice["generation"], config.patience_s)
    tf.reset_default_graph()
    with worker.graph_scope():
        start_in = tf.placeholder(tf.int64, ())
        ops = build(training, manifest, scheme, start_in, worker)
    tf.get_default_graph().finalize()
    with worker.session(config.threads) as session:
        worker.join(session)
        print(f"{cluster.me}: joined at step {worker.step:,}", flush=True)

        def seek():
            session.run(ops.start_input, {start_in: worker.step})

        try:
            _run_steps(worker, session, seek, ops, training)
        except UserError as error:
            notices.end(error.exit_code, str(error))
            notices.leave()
            raise


def _run_steps(worker: Worker, session, seek, ops: TrainingOps, config: TrainConfig):
    """Run steps until an error, and seek() in the input when the step is not the expected one."""
    fetches, meter = ops.step_fetches(), Meter(config.batch_size // worker.share[1])
    position = None
    while True:
        if position != worker.step:
            seek()
            position = worker.step
        out = run_step(worker, session, fetches, config.records)
        meter.count(out["wait_s"])
        position += 1
        if position % config.log_every_steps == 0:
            values = meter.read()
            print(
                f"step {position} loss {out['loss']:.6f} ms/step {values['ms_per_step']:.0f}"
                f" wait {values['wait_share']:.1%}"
            )


def _next_notice(notices: Notices, watch: Watch) -> dict:
    """Wait for a notice and return it."""
    while not (notice := notices.read()):
        watch.check()
        time.sleep(POLL_S)
    return notice


def _raise_if_failed(notice: dict):
    """Raise the error with which another task ended the training, if there is one."""
    if notice.get("reason"):
        error = UserError(notice["reason"])
        error.exit_code = notice["ended"]
        raise error


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)
    config = tyro.cli(
        ClusterConfig,
        prog="senet-kp train-cluster",
        description=__doc__,
        default=ClusterConfig(**vars(recipe_of_command_line())),
    )
    cluster = read_tf_config(os.environ.get("TF_CONFIG"))
    code = exit_code_of(lambda: train_on_cluster(config, cluster))
    sys.stdout.flush()
    os._exit(code)  # a tf.train.Server cannot be shut down, and its threads would block the exit


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
