"""One process's part in synchronous training on TensorFlow's distributed runtime.

Variables live on the parameter servers. In a step every replica (the chief and the workers)
computes the gradients of its share of the batch and hands them to accumulators there; when those
of all have come, the chief moves the weights by their mean and gives everyone a token for the next
step: tf.train.SyncReplicasOptimizer, after Chen et al., "Revisiting Distributed Synchronous SGD"
(2016). What batch norm's moving statistics are moved by takes the same way, so that they too move
once a step and by the mean of all replicas; but a picture is normalised with its replica's share
of the batch, not with the whole of it. The weight average moves with the weights.

A generation is what one start of the chief makes: new variables, accumulators and tokens, filled
from the newest checkpoint, in a resource container of its own, so that nothing that was under way
before gets into it. The container of a chief that was killed stays on the parameter servers (five
times the weights) until they end.
"""

import contextlib
import json
import threading
import time
from concurrent.futures import Future, wait
from functools import partial

from senet_kp.cluster.spec import Cluster, Watch, answers
from senet_kp.nets.tf1 import session_config, tf
from senet_kp.tfrecords.errors import CheckError, UserError
from senet_kp.train.checkpoints import reason_of
from senet_kp.train.graph import update_variables

# What a session meets when a task that it needs was ended, or the generation is over.
REASONS = {
    tf.errors.UnavailableError: "a parameter server does not answer",
    tf.errors.AbortedError: "a parameter server is another one than before",
    tf.errors.FailedPreconditionError: "a parameter server lacks its variables",
    tf.errors.CancelledError: "the session was closed",
    tf.errors.OutOfRangeError: "this generation of the training is over",
}
LOST = tuple(REASONS)
TOKENS = "sync_token_q"  # what SyncReplicasOptimizer calls its queue
FIRST_PS = "/job:ps/task:0"
NOT_FINITE = "the gradients are not finite"
LOOK_S = 0.5


def start_server(cluster: Cluster, threads: int):
    """This task's tf.train.Server; raises UserError where its port is taken."""
    devices = {"GPU": 0} if cluster.me.job == "ps" else {}
    try:
        return tf.train.Server(
            tf.train.ClusterSpec(cluster.addresses()),
            cluster.me.job,
            cluster.me.index,
            config=session_config(threads, device_count=devices),
        )
    except tf.errors.OpError as error:
        raise UserError(f"{cluster.me}: its server could not start ({reason_of(error)})") from None


class Notices:
    """What everyone is to know, as a JSON object on the first parameter server.

    {"generation", "settings"} while there is training, {"ended": exit code, "reason"} afterwards.
    """

    def __init__(self, cluster: Cluster, target: str):
        self._first, self._target, self._session = cluster.ps[0], target, None
        self._config = tf.ConfigProto(device_filters=[FIRST_PS, cluster.me.device])
        self._graph = tf.Graph()
        with self._graph.as_default(), tf.device(FIRST_PS), tf.container("notices"):
            self._text = tf.Variable("", trainable=False, collections=[], name="notice")
            self._known = tf.is_variable_initialized(self._text)
            self._text_in = tf.placeholder(tf.string, ())
            self._write = tf.assign(self._text, self._text_in)
            left = tf.FIFOQueue(-1, tf.bool, shapes=(), shared_name="left")
            self._leave, self._left = left.enqueue(True), left.size()

    def read(self) -> dict:
        """The newest notice; empty if there is none, or no parameter server to ask."""
        try:
            known = answers(self._first) and self._run(self._known)
            return json.loads(self._run(self._text)) if known else {}
        except LOST:
            return {}

    def open(self, generation: int, settings: dict):
        """A generation is ready to be joined, and the one before is over."""
        self._replace({"generation": generation, "settings": settings})

    def end(self, code: int, reason: str = ""):
        """Training has ended, for everyone."""
        self._replace({"ended": code, "reason": reason})

    def leave(self):
        """Say that this task has seen the end."""
        with contextlib.suppress(*LOST):
            self._run(self._leave)

    def wait_until_left(self, count: int, timeout_s: float):
        """Wait until so many tasks have seen the end, but no longer than that."""
        began = time.monotonic()
        while self._run(self._left) < count and time.monotonic() - began < timeout_s:
            time.sleep(LOOK_S)

    def _replace(self, notice: dict):
        old = self.read()
        if answers(self._first):
            self._run(self._write, {self._text_in: json.dumps(notice, default=str)})
            if "generation" in old:
                self._close_tokens(old["generation"])

    def _close_tokens(self, generation: int):
        """Wake all who wait for a token of this generation: they meet OutOfRangeError."""
        with tf.Graph().as_default(), tf.device(FIRST_PS), tf.container(_container(generation)):
            queue = tf.FIFOQueue(-1, tf.int64, shapes=(), shared_name=TOKENS)
            close = queue.close(cancel_pending_enqueues=True)
            with tf.Session(self._target, config=self._config) as session:
                session.run(close)

    def _run(self, fetch, feed=None):
        """One run; the session is made anew after one that failed."""
        if self._session is None:
            self._session = tf.Session(self._target, self._graph, self._config)
        try:
            return self._session.run(fetch, feed)
        except LOST:
            self._session = None
            raise


class Replica:
    """A place where a share of every batch is trained, as `steps.OneMachine` is for the whole."""

    def __init__(self, cluster: Cluster, target: str, generation: int, patience_s: float):
        self.step = 0  # steps done
        self.share = (cluster.replicas.index(cluster.me), len(cluster.replicas))
        self._cluster, self._target, self._generation = cluster, target, generation
        self._patience_s = patience_s

    @contextlib.contextmanager
    def graph(self):
        """Variables go to the parameter servers in turn, all else is computed here."""
        setter = tf.train.replica_device_setter(
            cluster=tf.train.ClusterSpec(self._cluster.addresses()),
            worker_device=self._cluster.me.device,
        )
        with tf.device(setter), tf.container(_container(self._generation)):
            yield

    def session(self, threads: int):
        """A session on this process and the parameter servers: other replicas may be away."""
        filters = ["/job:ps", self._cluster.me.device]
        return tf.Session(self._target, config=session_config(threads, device_filters=filters))

    def update(self, optimiser, gradients, statistics, step, average):
        """The op that ends a step, `graph.update_variables` of all replicas together.

        Its value is the token for the next step: how many were done by then.
        """
        variables = {variable.op.name: variable for variable in tf.model_variables()}
        moves = [(op.op.inputs[1], variables[op.op.inputs[0].op.name]) for op in statistics]
        gradients = _finite([pair for pair in gradients if pair[0] is not None])
        together = _Together(optimiser, len(gradients), average)
        self._sync = tf.train.SyncReplicasOptimizer(together, self.share[1])
        token = self._sync.apply_gradients(gradients + moves, step)
        self._sync.ready_for_local_init_op.mark_used()  # or TensorFlow would complain of it
        with tf.device(step.device):
            self._global_step, self._step_in = step, tf.placeholder(tf.int64, ())
            self._pushed = tf.Variable(
                [-1] * self.share[1], False, collections=[], dtype=tf.int64, name="pushed"
            )
            self._token = self._sync.get_chief_queue_runner().queue.dequeue()
            # The token is asked for after all gradients were handed over, and so is this.
            with tf.control_dependencies(token.op.inputs[1].op.control_inputs):
                pushed = tf.scatter_update(self._pushed, self.share[0], self._step_in)
        with tf.control_dependencies([pushed]):
            return tf.identity(token)

    def run_step(self, session, fetches: dict) -> dict:
        """Run one training step, to the moment when all replicas have done theirs.

        Raises CheckError for gradients that are not finite, before anyone is given them.
        """
        run = partial(session.run, fetches, {self._step_in: self.step})
        try:
            out = self._watched(run)
        except tf.errors.InvalidArgumentError as error:
            if NOT_FINITE not in str(error):
                raise
            raise CheckError(
                f"step {self.step + 1}: {NOT_FINITE} on {self._cluster.me}; the checkpoint before"
                " it is kept; lower --learning-rate, or go on with senet_kp.train, which meets the"
                " same pictures and names them"
            ) from None
        self._advance(session, out["train"])
        return out

    def _advance(self, session, token: int):
        """Go to the step of a token that is newer than the last: one may be left over from a
        process that was killed, and working on it would do that one's work at twice the pace."""
        left_over = token <= self.step
        while token <= self.step:
            token = self._watched(partial(session.run, self._token))
        if left_over:
            session.run(self._sync.local_step_init_op)
        self.step = int(token)

    def _watched(self, call):
        """call() in a thread of its own: Python heeds no signal while TensorFlow waits."""
        result = Future()
        threading.Thread(target=_settle, args=(result, call), daemon=True).start()
        watch = Watch(self._cluster.others(self._waits_for()), self._patience_s)
        while not wait([result], timeout=1).done:
            watch.look()
            self._check()
        return result.result()

    def _waits_for(self):
        return [*self._cluster.ps, self._cluster.chief]

    def _check(self):
        """Raise what makes waiting hopeless."""


class Worker(Replica):
    """A replica that comes and goes: it takes up whatever step the others are at."""

    def join(self, session):
        """Take part in the step that is under way, unless a predecessor has done its share."""
        self.step = int(session.run(self._sync.local_step_init_op))
        if session.run(self._pushed)[self.share[0]] >= self.step:
            self._advance(session, self.step)


class Chief(Replica):
    """The replica that moves the weights when the gradients of all have come."""

    def __init__(self, cluster, target, patience_s, notices: Notices, settings: dict):
        super().__init__(cluster, target, time.time_ns(), patience_s)
        self._notices, self._settings, self._failure = notices, settings, None

    @contextlib.contextmanager
    def joined(self, session):
        """The scope of the steps: the others may join as soon as all variables are there."""
        session.run(self._pushed.initializer)
        session.run(self._sync.chief_init_op)
        self.step = int(session.run(self._global_step))
        threading.Thread(target=self._synchronise, args=(session,), daemon=True).start()
        self._notices.open(self._generation, self._settings)
        yield

    def run_step(self, session, fetches: dict) -> dict:
        """As a replica's; raises AbortedError if steps were done without the chief."""
        before = self.step
        out = super().run_step(session, fetches)
        if self.step != before + 1:  # replicas that restarted at a bad moment counted twice
            raise tf.errors.AbortedError(None, None, f"step {self.step} came before its time")
        return out

    def _synchronise(self, session):
        """Update after update, until the session ends."""
        update = self._sync.get_chief_queue_runner().enqueue_ops[0]
        try:
            while True:
                session.run(update)
        except (tf.errors.OpError, RuntimeError) as error:  # RuntimeError: a closed session
            self._failure = error

    def _waits_for(self):
        return self._cluster.tasks

    def _check(self):
        if self._failure is not None:
            raise self._failure


class _Together:
    """The optimiser inside SyncReplicasOptimizer: it is given the means over all replicas."""

    def __init__(self, optimiser, weights: int, average):
        self._optimiser, self._weights, self._average = optimiser, weights, average

    def apply_gradients(self, means, global_step):
        """One step with `weights` mean gradients and, behind them, batch norm's mean moves."""
        means = list(means)
        gradients, moves = means[: self._weights], means[self._weights :]
        statistics = [tf.assign_sub(variable, move) for move, variable in moves]
        return update_variables(self._optimiser, gradients, statistics, global_step, self._average)


def _finite(gradients: list) -> list:
    """The same gradients, none of which is there unless all are finite."""
    norm = tf.global_norm([gradient for gradient, _ in gradients])
    with tf.control_dependencies([tf.debugging.check_numerics(norm, NOT_FINITE)]):
        return [(tf.identity(gradient), variable) for gradient, variable in gradients]


def _settle(result: Future, call):
    try:
        result.set_result(call())
    except BaseException as error:
        result.set_exception(error)


def _container(generation: int) -> str:
    return f"generation-{generation}"
