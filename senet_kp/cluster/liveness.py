"""Checks which tasks of a cluster accept connections, and waits for those that do not."""

import socket
import time

from senet_kp.cluster.spec import Task
from senet_kp.tfrecords.errors import InputError

POLL_S = 0.5  # between two checks
CONNECT_TIMEOUT_S = 2.0  # a running task accepts a connection within this time
REPORT_S = 30.0  # between two lines about tasks that are not reachable


def is_reachable(task: Task) -> bool:
    """Whether the task's server accepts connections."""
    host, _, port = task.address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def wait_until_reachable(tasks: list[Task], timeout_s: float):
    """Return when all tasks are reachable; raises InputError that names those that are not."""
    began = time.monotonic()
    while missing := [task for task in tasks if not is_reachable(task)]:
        if time.monotonic() - began > timeout_s:
            names = " and ".join(map(str, missing))
            raise InputError(
                f"{names} did not answer within {timeout_s:g} s; start the task, or correct its"
                " address in TF_CONFIG"
            )
        time.sleep(POLL_S)


class Watch:
    """Reports tasks that become unreachable while this process waits for them, then gives up."""

    def __init__(self, tasks: list[Task], patience_s: float):
        self.tasks, self.patience_s = tasks, patience_s
        self._every_s = min(REPORT_S, patience_s / 4)
        self._all_reachable = self._checked = time.monotonic()

    def check(self):
        """Call this repeatedly while waiting.

        Raises InputError once a task has been unreachable for more than `patience_s`.
        """
        now = time.monotonic()
        if now - self._checked < self._every_s:
            return
        self._checked = now
        missing = [task for task in self.tasks if not is_reachable(task)]
        names = " and ".join(map(str, missing))
        if not missing:
            self._all_reachable = now
        elif now - self._all_reachable > self.patience_s:
            raise InputError(
                f"{names} did not answer for {self.patience_s:g} s, so this task stops waiting"
            )
        else:
            print(f"waiting for {names}, which does not answer; start it again", flush=True)
