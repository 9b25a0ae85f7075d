"""Running training steps: one step, the speed of several, and a request to stop between two."""

import signal
import time
from pathlib import Path

from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError
from senet_kp.train.checkpoints import reason_of
from senet_kp.train.memory import peak_memory_mb


def run_step(runtime, session, fetches: dict, records: Path) -> dict:
    """Run one training step and return the values of `fetches`.

    Raises InputError if the data of a shard in the record folder was altered.
    """
    try:
        return runtime.run_step(session, fetches)
    except tf.errors.DataLossError as error:
        raise InputError(
            f"{records}: a shard was altered ({reason_of(error)}); 'senet-kp verify {records}'"
            " shows which one; make the records again"
        ) from None


class Meter:
    """Measures the speed of training, the share of the time spent waiting for data, and memory."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self.restart()

    def restart(self):
        """Forget the steps so far, for example because a validation has followed them."""
        self.began, self.steps, self.waited_s = time.monotonic(), 0, 0.0

    def count(self, wait_s: float):
        """Count one step, which waited `wait_s` seconds for its batch."""
        self.steps += 1
        self.waited_s += wait_s

    def read(self) -> dict:
        """The values since the last restart; restarts the meter."""
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
    """A context manager in which the first Ctrl-C or SIGTERM only sets `requested`.

    The training loop reads it between two steps. A second signal ends the process at once.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self):
        self.requested = False
        self._old = [signal.signal(number, self._request) for number in self.SIGNALS]
        return self

    def __exit__(self, *_):
        for number, old in zip(self.SIGNALS, self._old, strict=True):
            signal.signal(number, old)

    def _request(self, *_):
        self.__exit__()
        self.requested = True
