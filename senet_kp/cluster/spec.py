"""Who takes part in a training on several machines: TF_CONFIG read and checked, tasks looked for.

TF_CONFIG is the environment variable of TensorFlow's distributed runtime: a JSON object that names
all tasks and says which of them this process is,

    {"cluster": {"ps": ["a:2222"], "chief": ["b:2222"], "worker": ["c:2222", "d:2222"]},
     "task": {"type": "worker", "index": 0}}

Chief and workers train. Without a "chief" it is worker 0.
"""

import json
import socket
import time
from dataclasses import dataclass

from senet_kp.tfrecords.errors import InputError, UserError

JOBS = ("ps", "chief", "worker")
LOOK_S = 0.5  # between two looks at who answers
ANSWER_S = 2.0  # a task that runs answers within this
SAY_S = 30.0  # between two lines about who does not answer


@dataclass(frozen=True)
class Task:
    """One process of the cluster."""

    job: str
    index: int
    address: str  # host:port

    def __str__(self):
        return f"{self.job} {self.index} ({self.address})"

    @property
    def device(self) -> str:
        """What TensorFlow calls it."""
        return f"/job:{self.job}/task:{self.index}"


@dataclass(frozen=True)
class Cluster:
    """All tasks, and the one that this process is."""

    tasks: tuple[Task, ...]
    me: Task

    @property
    def ps(self) -> list[Task]:
        """The parameter servers."""
        return [task for task in self.tasks if task.job == "ps"]

    @property
    def replicas(self) -> list[Task]:
        """Those that train, the chief first."""
        return sorted((t for t in self.tasks if t.job != "ps"), key=lambda t: (t.job, t.index))

    @property
    def chief(self) -> Task:
        return self.replicas[0]

    def others(self, tasks) -> list[Task]:
        """Of these tasks all but this process."""
        return [task for task in tasks if task != self.me]

    def addresses(self) -> dict[str, list[str]]:
        """Addresses by job, as tf.train.ClusterSpec takes them."""
        found = {}
        for task in self.tasks:
            found.setdefault(task.job, []).append(task.address)
        return found


def read_tf_config(text: str | None) -> Cluster:
    """The Cluster of a TF_CONFIG; raises UserError that names what is wrong with it."""
    if not text:
        raise UserError("TF_CONFIG is not set; it names the tasks of the cluster, see the README")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not JSON: {error}") from None
    for key in ("cluster", "task"):
        _require(isinstance(value, dict) and isinstance(value.get(key), dict), f"no object {key!r}")
    tasks = tuple(_tasks(value["cluster"]))
    job, index = value["task"].get("type"), value["task"].get("index")
    me = [task for task in tasks if (task.job, task.index) == (job, index)]
    _require(bool(me), f"its task, type {job!r} and index {index!r}, is none of its cluster")
    return Cluster(tasks, me[0])


def _tasks(jobs: dict):
    seen = set()
    for job, addresses in jobs.items():
        _require(job in JOBS, f"job {job!r}; there are only {', '.join(JOBS)}")
        _require(isinstance(addresses, list) and addresses, f"{job!r} is not a list of addresses")
        for index, address in enumerate(addresses):
            _require(_is_address(address), f"{job} {index} is {address!r}, not host:port")
            _require(address not in seen, f"{address} stands there twice")
            seen.add(address)
            yield Task(job, index, address)
    _require("ps" in jobs, "no parameter server, 'ps'")
    _require("chief" in jobs or "worker" in jobs, "nobody to train, no 'chief' or 'worker'")
    _require(len(jobs.get("chief", ())) <= 1, "more than one chief")


def _require(holds: bool, wrong: str):
    if not holds:
        raise UserError(f"TF_CONFIG: {wrong}")


def _is_address(address) -> bool:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def answers(task: Task) -> bool:
    """Whether the task's server takes connections."""
    host, _, port = task.address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except OSError:
        return False
    return True


def wait_for(tasks: list[Task], timeout_s: float):
    """Return when all tasks answer; raises InputError that names those that do not in time."""
    began = time.monotonic()
    while silent := [task for task in tasks if not answers(task)]:
        if time.monotonic() - began > timeout_s:
            names = " and ".join(map(str, silent))
            raise InputError(
                f"{names} did not answer within {timeout_s:g} s; start it, or mend its address in"
                " TF_CONFIG"
            )
        time.sleep(LOOK_S)


class Watch:
    """Says which tasks do not answer while this process waits, and at last gives up."""

    def __init__(self, tasks: list[Task], patience_s: float):
        self.tasks, self.patience_s = tasks, patience_s
        self._every_s = min(SAY_S, patience_s / 4)
        self._heard = self._looked = time.monotonic()

    def look(self):
        """To be called while waiting; raises InputError after `patience_s` without an answer."""
        now = time.monotonic()
        if now - self._looked < self._every_s:
            return
        self._looked = now
        silent = [task for task in self.tasks if not answers(task)]
        names = " and ".join(map(str, silent))
        if not silent:
            self._heard = now
        elif now - self._heard > self.patience_s:
            raise InputError(f"{names} did not answer for {self.patience_s:g} s and is given up")
        else:
            print(f"waiting for {names}: no answer; start it again", flush=True)
