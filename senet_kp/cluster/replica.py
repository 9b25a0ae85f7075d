"""The runtime of one training process in a distributed, synchronous training.

The variables are on the parameter servers. In every step, each replica (the chief and the workers)
computes the gradients of its share of the batch and sends them to accumulators on the parameter
servers. When the gradients of all replicas have arrived, the chief applies their mean and hands
every replica a token for the next step (Chen et al., "Revisiting Distributed Synchronous SGD",
2016; `sync_replicas.py`). The updates of batch norm's moving statistics are averaged over the
replicas in the same way. In the forward pass, however, batch norm normalises with the mean and
variance of the replica's share, not of the whole batch. The moving average of the weights is
updated together with the weights.

Every start of the chief begins a new generation: a new set of variables, accumulators and token
queue, initialised from the newest checkpoint. Each generation is stored in a resource container of
its own, so that gradients or tokens left over from an earlier one cannot affect it. If the chief
was killed, the container of its generation remains on the parameter servers until they end; it
takes five times the memory of the weights.
"""

import contextlib
import threading
import time
from concurrent.futures import Future, wait
from functools import partial

from senet_kp.cluster.liveness import Watch
from senet_kp.cluster.notices import Notices, container_of
from senet_kp.cluster.spec import Cluster
from senet_kp.cluster.sync_replicas import synchronised_ops
from senet_kp.nets.tf1 import session_config, tf
from senet_kp.tfrecords.errors import CheckError, UserError
from senet_kp.train.checkpoints import reason_of
from senet_kp.train.graph import update_variables

NOT_FINITE = "the gradients are not finite"


def start_server(cluster: Cluster, threads: int):
    """Start this task's tf.train.Server; raises UserError if its port cannot be used."""
    devices = {"GPU": 0} if cluster.me.job == "ps" else {}
    try:
        return tf.train.Server(
            tf.train.ClusterSpec(cluster.addresses()),
            cluster.me.job,
            cluster.me.index,
            config=session_config(threads, device_count=devices),
        )
    except tf.errors.OpError as error:
        raise UserError(f"{cluster.me}: the server could not start ({reason_of(error)})") from None


class Replica:
    """A runtime that trains a share of every batch, with the methods of `LocalRuntime`."""

    def __init__(self, cluster: Cluster, target: str, generation: int, patience_s: float):
        self.step = 0  # number of steps done
        self.share = (cluster.replicas.index(cluster.me), len(cluster.replicas))
        self._cluster, self._target, self._generation = cluster, target, generation
        self._patience_s = patience_s

    @contextlib.contextmanager
    def graph_scope(self):
        """Place variables on the parameter servers in turn, and all other ops in this process."""
        setter = tf.train.replica_device_setter(
            cluster=tf.train.ClusterSpec(self._cluster.addresses()),
            worker_device=self._cluster.me.device,
        )
        with tf.device(setter), tf.container(container_of(self._generation)):
            yield

    def session(self, threads: int):
        """A session on this process and the parameter servers.

        Its device filters exclude the other replicas, so that it does not wait for them.
        """
        filters = ["/job:ps", self._cluster.me.device]
        return tf.Session(self._target, config=session_config(threads, device_filters=filters))

    def update(self, optimiser, gradients, statistics, step, average):
        """Make the op that ends a step with the mean gradients of all replicas.

        `graph.update_variables` is its counterpart for one process, and has the same arguments. The
        op's value is the token for the next step, that is the number of steps done.
        """
        variables = {variable.op.name: variable for variable in tf.model_variables()}
        moves = [(op.op.inputs[1], variables[op.op.inputs[0].op.name]) for op in statistics]
        gradients = _checked([pair for pair in gradients if pair[0] is not None])
        mean_optimiser = _MeanOptimiser(optimiser, len(gradients), average)
        self._ops = synchronised_ops(mean_optimiser, gradients + moves, step, self.share[1])
        with tf.device(step.device):
            self._global_step, self._step_in = step, tf.placeholder(tf.int64, ())
            # The step for which each replica has pushed its gradients most recently.
            self._pushed = tf.Variable(
                [-1] * self.share[1], False, collections=[], dtype=tf.int64, name="pushed"
            )
            with tf.control_dependencies(self._ops.pushed):
                pushed = tf.scatter_update(self._pushed, self.share[0], self._step_in)
        with tf.control_dependencies([pushed]):
            return tf.identity(self._ops.train)

    def run_step(self, session, fetches: dict) -> dict:
        """Run one training step, and return when all replicas have done it.

        Raises CheckError for gradients that are not finite, before they are sent.
        """
        run = partial(session.run, fetches, {self._step_in: self.step})
        try:
            out = self._watched(run)
        except tf.errors.InvalidArgumentError as error:
            if NOT_FINITE not in str(error):
                raise
            raise CheckError(
                f"step {self.step + 1}: {NOT_FINITE} on {self._cluster.me}; the newest checkpoint"
                " is kept; lower --learning-rate, or resume with 'senet-kp train', which meets the"
                " same pictures and names them"
            ) from None
        self._advance(session, out["train"])
        return out

    def _advance(self, session, token: int):
        """Go to the step of `token`, or of a later token if that one is outdated.

        An outdated token was meant for a process that was killed before it could take it. If this
        replica used it, it would push gradients twice in one step.
        """
        outdated = token <= self.step
        while token <= self.step:
            token = self._watched(partial(session.run, self._ops.next_token))
        if outdated:
            session.run(self._ops.read_step)
        self.step = int(token)

    def _watched(self, call):
        """Run call() in a thread, and watch the other tasks until it returns.

        Python handles no signals in the main thread while that waits inside TensorFlow.
        """
        result = Future()
        threading.Thread(target=_settle, args=(result, call), daemon=True).start()
        watch = Watch(self._cluster.others(self._waits_for()), self._patience_s)
        while not wait([result], timeout=1).done:
            watch.check()
            self._raise_failure()
        return result.result()

    def _waits_for(self):
        """The tasks without which a step cannot end."""
        return [*self._cluster.ps, self._cluster.chief]

    def _raise_failure(self):
        """Raise the error that makes waiting pointless, if there is one."""


class Worker(Replica):
    """A replica that may be restarted at any time and rejoins at the current step."""

    def join(self, session):
        """Join the current step, or the next if a killed process pushed this one's gradients."""
        self.step = int(session.run(self._ops.read_step))
        if session.run(self._pushed)[self.share[0]] >= self.step:
            self._advance(session, self.step)


class Chief(Replica):
    """The replica that applies the mean gradients of all replicas."""

    def __init__(self, cluster, target, patience_s, notices: Notices, settings: dict):
        super().__init__(cluster, target, time.time_ns(), patience_s)
        self._notices, self._settings, self._failure = notices, settings, None

    @contextlib.contextmanager
    def training_scope(self, session):
        """Open the generation to the workers, now that all variables have their values."""
        session.run(self._pushed.initializer)
        session.run(self._ops.initialise)
        self.step = int(session.run(self._global_step))
        threading.Thread(target=self._run_updates, args=(session,), daemon=True).start()
        self._notices.open(self._generation, self._settings)
        yield

    def run_step(self, session, fetches: dict) -> dict:
        """Run one step as a replica; raises AbortedError if a step was done without the chief."""
        before = self.step
        out = super().run_step(session, fetches)
        if self.step != before + 1:  # a worker that restarted pushed its gradients twice
            raise tf.errors.AbortedError(None, None, f"step {self.step} was done too early")
        return out

    def _run_updates(self, session):
        """Run one update after the other until the session ends."""
        try:
            while True:
                session.run(self._ops.update)
        except (tf.errors.OpError, RuntimeError) as error:  # RuntimeError: the session was closed
            self._failure = error

    def _waits_for(self):
        return self._cluster.tasks

    def _raise_failure(self):
        if self._failure is not None:
            raise self._failure


class _MeanOptimiser:
    """The optimiser inside SyncReplicasOptimizer, which receives the means over all replicas."""

    def __init__(self, optimiser, weights: int, average):
        self._optimiser, self._weights, self._average = optimiser, weights, average

    def apply_gradients(self, means, global_step):
        """Apply `weights` mean gradients, and the mean updates of batch norm's statistics."""
        means = list(means)
        gradients, moves = means[: self._weights], means[self._weights :]
        statistics = [tf.assign_sub(variable, move) for move, variable in moves]
        return update_variables(self._optimiser, gradients, statistics, global_step, self._average)


def _checked(gradients: list) -> list:
    """The same gradients, whose evaluation raises an error unless all are finite."""
    norm = tf.global_norm([gradient for gradient, _ in gradients])
    with tf.control_dependencies([tf.debugging.check_numerics(norm, NOT_FINITE)]):
        return [(tf.identity(gradient), variable) for gradient, variable in gradients]


def _settle(result: Future, call):
    try:
        result.set_result(call())
    except BaseException as error:
        result.set_exception(error)
