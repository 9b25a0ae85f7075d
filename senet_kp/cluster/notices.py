"""A notice on the first parameter server, by which the tasks learn what the training is doing."""

import contextlib
import json
import time

from senet_kp.cluster.liveness import POLL_S, is_reachable
from senet_kp.cluster.session_errors import lost_session
from senet_kp.cluster.spec import Cluster
from senet_kp.cluster.sync_replicas import close_token_queue
from senet_kp.nets.tf1 import tf

FIRST_PS = "/job:ps/task:0"


def container_of(generation: int) -> str:
    """The resource container that holds the variables, accumulators and queue of a generation."""
    return f"generation-{generation}"


class Notices:
    """Reads and writes the notice, a JSON object in a string variable on the first server.

    It is {"generation", "settings"} during training and {"ended": exit code, "reason": error
    message} afterwards.
    """

    def __init__(self, cluster: Cluster, target: str):
        self._first, self._target, self._session = cluster.ps[0], target, None
        self._config = tf.ConfigProto(device_filters=[FIRST_PS, cluster.me.device])
        self._graph = tf.Graph()
        with self._graph.as_default(), tf.device(FIRST_PS), tf.container("notices"):
            self._text = tf.Variable("", trainable=False, collections=[], name="notice")
            self._is_written = tf.is_variable_initialized(self._text)
            self._text_in = tf.placeholder(tf.string, ())
            self._write = tf.assign(self._text, self._text_in)
            left = tf.FIFOQueue(-1, tf.bool, shapes=(), shared_name="left")
            self._leave, self._left = left.enqueue(True), left.size()

    def read(self) -> dict:
        """The newest notice; empty if there is none yet or the server is not reachable."""
        try:
            written = is_reachable(self._first) and self._run(self._is_written)
            return json.loads(self._run(self._text)) if written else {}
        except lost_session():
            return {}

    def open(self, generation: int, settings: dict):
        """Announce that a generation can be joined, and end the one before it."""
        self._replace({"generation": generation, "settings": settings})

    def end(self, code: int, reason: str = ""):
        """Announce the end of the training to all tasks."""
        self._replace({"ended": code, "reason": reason})

    def leave(self):
        """Report that this task has seen the end of the training."""
        with contextlib.suppress(*lost_session()):
            self._run(self._leave)

    def wait_until_left(self, count: int, timeout_s: float):
        """Wait until `count` tasks have seen the end of the training, at most `timeout_s`."""
        began = time.monotonic()
        while self._run(self._left) < count and time.monotonic() - began < timeout_s:
            time.sleep(POLL_S)

    def _replace(self, notice: dict):
        old = self.read()
        if is_reachable(self._first):
            self._run(self._write, {self._text_in: json.dumps(notice, default=str)})
            if "generation" in old:
                self._close_generation(old["generation"])

    def _close_generation(self, generation: int):
        """Wake all tasks that wait for a token of this generation, by an OutOfRangeError."""
        with tf.Graph().as_default(), tf.device(FIRST_PS), tf.container(container_of(generation)):
            close = close_token_queue()
            with tf.Session(self._target, config=self._config) as session:
                session.run(close)

    def _run(self, fetch, feed=None):
        """Run one fetch, in a new session if the last one failed."""
        if self._session is None:
            self._session = tf.Session(self._target, self._graph, self._config)
        try:
            return self._session.run(fetch, feed)
        except lost_session():
            self._session = None
            raise
