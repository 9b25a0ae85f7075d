"""python -m senet_kp.train_cluster --records out/tfrecords --run out/run

Trains as senet_kp.train does, on several machines: the same command on each, with the environment
variable TF_CONFIG, which senet_kp/cluster/spec.py describes. Parameter servers hold the weights;
chief and workers train a share of every batch each. The chief alone reads and writes the run
folder. A task that was killed is started again with the same command: a worker joins the step that
is under way, a chief goes on from its newest checkpoint, and everyone with it.
Exit codes: as senet_kp.train's, and 3 for a task that does not answer.
"""

import os
import sys
import time
from dataclasses import asdict, dataclass

import tyro

from senet_kp.cluster.replica import LOST, REASONS, Chief, Notices, Worker, start_server
from senet_kp.cluster.spec import LOOK_S, Cluster, Watch, read_tf_config, wait_for
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.train.config import TrainConfig, recipe_of_command_line, training_settings
from senet_kp.train.loop import build, checked_records, run_settings, run_step, step_fetches, train
from senet_kp.train.run_folder import differences
from senet_kp.train.steps import Meter

RETRY_S = 2.0  # before a worker that lost a parameter server joins again
# That the first parameter server leaves to the others to see the end: TensorFlow gives a session
# that met an error 30 s to close.
LEAVE_S = 60.0


@dataclass(frozen=True)
class ClusterConfig(TrainConfig):
    start_timeout_s: float = 60.0
    """how long a task waits for those that it needs to be started"""
    patience_s: float = 600.0
    """how long a task that stopped answering is waited for"""


def train_on_cluster(config: ClusterConfig, cluster: Cluster) -> int:
    """This process's part, to the end of the training; returns the exit code."""
    replicas = len(cluster.replicas)
    if config.batch_size % replicas:
        raise UserError(f"--batch-size {config.batch_size} cannot be shared by {replicas} replicas")
    server = start_server(cluster, config.threads)
    notices = Notices(cluster, server.target)
    print(f"{cluster.me}: started, {replicas} replicas of {config.batch_size // replicas} pictures")
    if cluster.me.job == "ps":
        return _serve(config, cluster, notices)
    part = _lead if cluster.me == cluster.chief else _follow
    return part(config, cluster, server.target, notices)


def _serve(config: ClusterConfig, cluster: Cluster, notices: Notices) -> int:
    """A parameter server's part: to be there until the training has ended."""
    needed = cluster.others([cluster.chief, cluster.ps[0]])
    wait_for(needed, config.start_timeout_s)
    watch = Watch(needed, config.patience_s)
    while "ended" not in notices.read():
        watch.look()
        time.sleep(LOOK_S)
    if cluster.me == cluster.ps[0]:
        notices.wait_until_left(len(cluster.tasks) - 2, LEAVE_S)  # all but the chief and this one
    else:
        notices.leave()
    return 0


def _lead(config: ClusterConfig, cluster: Cluster, target: str, notices: Notices) -> int:
    """The chief's part."""
    try:
        wait_for(cluster.others(cluster.tasks), config.start_timeout_s)
        code = _train_to_the_end(config, cluster, target, notices)
    except UserError as error:
        notices.end(error.exit_code, str(error))
        raise
    notices.end(code)
    return code


def _train_to_the_end(config: ClusterConfig, cluster: Cluster, target: str, notices) -> int:
    """Generation after generation, should parameter servers be lost."""
    training = training_settings(config)
    settings = run_settings(training, checked_records(training)[0])
    while True:
        try:
            chief = Chief(cluster, target, config.patience_s, notices, settings)
            return train(training, chief)
        except LOST as error:
            _raise_if_failed(notices.read())
            print(f"{REASONS[type(error)]}; going on from the newest checkpoint", flush=True)
        wait_for(cluster.ps, config.patience_s)


def _follow(config: ClusterConfig, cluster: Cluster, target: str, notices: Notices) -> int:
    """A worker's part."""
    needed = [*cluster.ps, cluster.chief]
    wait_for(needed, config.start_timeout_s)
    while "ended" not in (notice := _notice(notices, Watch(needed, config.patience_s))):
        try:
            _work(config, cluster, target, notices, notice)
        except tf.errors.OutOfRangeError:
            continue  # the chief closed this generation, and says in a notice what comes now
        except LOST as error:
            print(f"{REASONS[type(error)]}; joining again when it does", flush=True)
            time.sleep(RETRY_S)
            wait_for(cluster.ps, config.patience_s)
    print(f"{cluster.me}: the training has ended")
    notices.leave()
    _raise_if_failed(notice)
    return notice["ended"]


def _work(config: ClusterConfig, cluster: Cluster, target: str, notices, notice: dict):
    """Take part in a generation; ends with one of LOST, when the generation is over."""
    training = training_settings(config)
    manifest, scheme = checked_records(training)
    own = asdict(training) | {"records_sha256": manifest["records_sha256"]}
    if different := differences(notice["settings"], notice["settings"] | own):
        raise UserError(f"{cluster.me} has other settings than the chief: {different}")
    worker = Worker(cluster, target, notice["generation"], config.patience_s)
    tf.reset_default_graph()
    with worker.graph():
        start_in = tf.placeholder(tf.int64, ())
        batch, start_input, graph = build(training, manifest, scheme, start_in, worker)
    tf.get_default_graph().finalize()
    with worker.session(config.threads) as session:
        worker.join(session)
        print(f"{cluster.me}: joined at step {worker.step:,}", flush=True)

        def seek():
            session.run(start_input, {start_in: worker.step})

        try:
            _work_on(worker, session, seek, step_fetches(batch, graph), training)
        except UserError as error:
            notices.end(error.exit_code, str(error))
            notices.leave()
            raise


def _work_on(worker: Worker, session, seek, fetches: dict, config: TrainConfig):
    """Step after step, with the input always where the step is."""
    meter, position = Meter(config.batch_size // worker.share[1]), None
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


def _notice(notices: Notices, watch: Watch) -> dict:
    """The newest notice, as soon as there is one."""
    while not (notice := notices.read()):
        watch.look()
        time.sleep(LOOK_S)
    return notice


def _raise_if_failed(notice: dict):
    """Raise what another task ended the training with."""
    if notice.get("reason"):
        error = UserError(notice["reason"])
        error.exit_code = notice["ended"]
        raise error


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)
    config = tyro.cli(
        ClusterConfig,
        prog="python -m senet_kp.train_cluster",
        description=__doc__,
        default=ClusterConfig(**vars(recipe_of_command_line())),
    )
    return train_on_cluster(config, read_tf_config(os.environ.get("TF_CONFIG")))


if __name__ == "__main__":
    code = exit_code_of(main)
    sys.stdout.flush()
    os._exit(code)  # a server cannot be shut down, and its threads would outlive the interpreter
