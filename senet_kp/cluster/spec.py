"""The tasks of a distributed training, read from the environment variable TF_CONFIG.

TF_CONFIG is the convention of TensorFlow's distributed runtime: a JSON object that lists the
addresses of all tasks and states which of them this process is,

    {"cluster": {"ps": ["a:2222"], "chief": ["b:2222"], "worker": ["c:2222", "d:2222"]},
     "task": {"type": "worker", "index": 0}}

"ps" tasks are parameter servers. The chief and the workers train. If there is no "chief", worker 0
is the chief.
"""

import json
from dataclasses import dataclass

from senet_kp.tfrecords.errors import UserError

JOBS = ("ps", "chief", "worker")


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
        """The task's device name in TensorFlow."""
        return f"/job:{self.job}/task:{self.index}"


@dataclass(frozen=True)
class Cluster:
    """All tasks of a training, and the one that this process is."""

    tasks: tuple[Task, ...]
    me: Task

    @property
    def ps(self) -> list[Task]:
        """The parameter servers."""
        return [task for task in self.tasks if task.job == "ps"]

    @property
    def replicas(self) -> list[Task]:
        """The tasks that train, the chief first."""
        return sorted((t for t in self.tasks if t.job != "ps"), key=lambda t: (t.job, t.index))

    @property
    def chief(self) -> Task:
        """The task that updates the weights, validates and writes the run folder."""
        return self.replicas[0]

    def others(self, tasks) -> list[Task]:
        """These tasks without the one that this process is."""
        return [task for task in tasks if task != self.me]

    def addresses(self) -> dict[str, list[str]]:
        """The addresses by job, as tf.train.ClusterSpec expects them."""
        found = {}
        for task in self.tasks:
            found.setdefault(task.job, []).append(task.address)
        return found


def read_tf_config(text: str | None) -> Cluster:
    """Parse the value of TF_CONFIG; raises UserError that names the first mistake in it."""
    if not text:
        raise UserError(
            "TF_CONFIG is not set: it must list the tasks of the cluster; see docs/cluster.md"
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not JSON: {error}") from None
    for key in ("cluster", "task"):
        _require(
            isinstance(value, dict) and isinstance(value.get(key), dict),
            f"there is no object {key!r}",
        )
    tasks = tuple(_tasks(value["cluster"]))
    job, index = value["task"].get("type"), value["task"].get("index")
    me = [task for task in tasks if (task.job, task.index) == (job, index)]
    _require(bool(me), f"the cluster does not list the task of type {job!r} and index {index!r}")
    return Cluster(tasks, me[0])


def _tasks(jobs: dict):
    """Yield the tasks of {job: addresses}; raises UserError for an invalid list."""
    seen = set()
    for job, addresses in jobs.items():
        _require(job in JOBS, f"{job!r} is not a job; the jobs are {', '.join(JOBS)}")
        _require(isinstance(addresses, list) and addresses, f"{job!r} must be a list of addresses")
        for index, address in enumerate(addresses):
            _require(
                _is_address(address), f"the address of {job} {index} is {address!r}, not host:port"
            )
            _require(address not in seen, f"the address {address} is listed twice")
            seen.add(address)
            yield Task(job, index, address)
    _require("ps" in jobs, "a parameter server ('ps' task) is missing")
    _require("chief" in jobs or "worker" in jobs, "a 'chief' or 'worker' task is missing")
    _require(len(jobs.get("chief", ())) <= 1, "there is more than one chief")


def _require(holds: bool, wrong: str):
    if not holds:
        raise UserError(f"TF_CONFIG: {wrong}")


def _is_address(address) -> bool:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536
