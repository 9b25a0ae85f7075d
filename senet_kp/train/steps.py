"""What surrounds the steps of a training: where they run, how fast, and a request to stop."""

import contextlib
import signal
import time

from senet_kp.nets.tf1 import session_config, tf
from senet_kp.train.graph import update_variables
from senet_kp.train.memory import peak_memory_mb


class OneMachine:
    """Where a training runs: here, all of it. `cluster.Replica` is the other such place."""

    share = (0, 1)  # which of how many parts of every batch is trained here
    update = staticmethod(update_variables)

    def graph(self):
        """The scope in which the graph is built."""
        return contextlib.nullcontext()

    def session(self, threads: int):
        """The session that runs it."""
        return tf.Session(config=session_config(threads))

    def joined(self, session):
        """The scope of the steps, entered when all variables have their values."""
        return contextlib.nullcontext()

    def run_step(self, session, fetches: dict) -> dict:
        """Run one training step."""
        return session.run(fetches)


class Meter:
    """Speed since the last reading, validations left out, the share of it spent waiting; memory."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self.restart()

    def restart(self):
        self.began, self.steps, self.waited_s = time.monotonic(), 0, 0.0

    def count(self, wait_s: float):
        self.steps += 1
        self.waited_s += wait_s

    def read(self) -> dict:
        seconds = time.monotonic() - self.began
        values = {
            "ms_per_step": 1000 * seconds / max(self.steps, 1),
            "images_per_s": self.steps * self.batch_size / seconds,
            "wait_share": self.waited_s / seconds,
            "peak_memory_mb": peak_memory_mb(),
        }
        self.restart()
        return values


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into a request that the loop reads between steps."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self):
        self.asked = False
        self._old = [signal.signal(number, self._ask) for number in self.SIGNALS]
        return self

    def __exit__(self, *_):
        for number, old in zip(self.SIGNALS, self._old, strict=True):
            signal.signal(number, old)

    def _ask(self, *_):
        self.__exit__()  # a second one ends the process at once
        self.asked = True
