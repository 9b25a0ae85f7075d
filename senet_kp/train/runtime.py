"""The runtime of a training: the devices and the TensorFlow session that execute its steps."""

import contextlib

from senet_kp.nets.tf1 import session_config, tf
from senet_kp.train.graph import update_variables


class LocalRuntime:
    """Executes all of a training in this process.

    `senet_kp.cluster.replica.Replica` has the same methods and executes a share of the training.
    """

    share = (0, 1)  # (index, count): which of `count` equal parts of every batch is trained here
    update = staticmethod(update_variables)  # makes the op that ends a step

    def graph_scope(self):
        """The context in which the graph is built."""
        return contextlib.nullcontext()

    def session(self, threads: int):
        """A session that runs the graph."""
        return tf.Session(config=session_config(threads))

    def training_scope(self, session):
        """The context of all training steps, entered once all variables have their values."""
        return contextlib.nullcontext()

    def run_step(self, session, fetches: dict) -> dict:
        """Run one training step and return the values of `fetches`."""
        return session.run(fetches)
