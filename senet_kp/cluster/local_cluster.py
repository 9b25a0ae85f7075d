"""senet-kp local-cluster --workers 2 --ps 1 --records out/tfrecords --run out/run

Runs `senet-kp train-cluster` with several processes on this machine. Every task gets a process of
its own, with its TF_CONFIG and a free port of the loopback interface. All flags other than those
listed here are passed to `senet-kp train-cluster`. The output of the tasks is prefixed with their
names. The first Ctrl-C or SIGTERM lets the chief save a checkpoint and then ends all processes; a
second one ends them at once. If a task is killed, all processes end, unless --restart is given; the
same command then resumes from the newest checkpoint. The exit code is that of the chief, or of the
first task that failed.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import tyro

from senet_kp.tfrecords.errors import INTERRUPTED, UserError, exit_code_of

POLL_S = 0.2  # between two checks of the processes
SAVE_S = 60.0  # time for the chief to finish its step and to save a checkpoint
END_S = 70.0  # time for the other tasks to see that the training has ended
MAX_RESTARTS = 10
CRASHED = 1  # Python's exit code after a traceback; other codes are errors a restart cannot solve


@dataclass(frozen=True)
class LocalConfig:
    workers: int = 2
    """number of processes that train, including the chief"""
    ps: int = 1
    """number of parameter servers"""
    restart: bool = False
    """restart tasks that were killed or crashed"""


class LocalCluster:
    """The processes of one cluster; `flags` are passed to `senet-kp train-cluster`."""

    def __init__(self, config: LocalConfig, flags: list[str]):
        self.restarts_left = MAX_RESTARTS if config.restart else 0
        self.interrupts = 0
        counts = {"ps": config.ps, "chief": 1, "worker": config.workers - 1}
        ports = iter(free_ports(sum(counts.values())))
        self._jobs = {
            job: [f"127.0.0.1:{next(ports)}" for _ in range(count)]
            for job, count in counts.items()
            if count
        }
        threads = max(1, (os.cpu_count() or 1) // config.workers)
        self._command = [
            sys.executable,
            "-u",
            "-m",
            "senet_kp.cluster.train_cluster",
            "--threads",
            str(threads),
            *flags,
        ]
        self._processes, self._readers = {}, []

    def run(self) -> int:
        """Start all tasks, wait until they have ended, and return the exit code."""
        old = {n: signal.signal(n, self._interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            for job, addresses in self._jobs.items():
                for index in range(len(addresses)):
                    self._start(job, index)
            code = self._wait_for_chief()
            if self._processes["chief", 0].poll() is not None:
                self._wait_for_end(self._processes, END_S)
            return INTERRUPTED if self.interrupts else code
        finally:
            for process in self._processes.values():
                process.kill()
            for reader in self._readers:
                reader.join()
            for number, handler in old.items():
                signal.signal(number, handler)

    def _wait_for_chief(self) -> int:
        """The exit code of the chief, or of a task that failed and is not restarted."""
        chief = "chief", 0
        while not self.interrupts:
            for task in list(self._processes):
                code = self._processes[task].poll()
                if code is None or (code == 0 and task != chief):
                    continue
                if (code < 0 or code == CRASHED) and self.restarts_left:
                    self.restarts_left -= 1
                    print(f"{_name(*task)} ended with code {code}", flush=True)
                    self._start(*task)
                    continue
                if task != chief:  # no step can be done without it, so nothing new can be saved
                    print(f"{_name(*task)} ended with code {code}: ending all tasks", flush=True)
                return code if code >= 0 else 128 - code
            time.sleep(POLL_S)
        self._processes[chief].send_signal(signal.SIGTERM)
        self._wait_for_end([chief], SAVE_S)
        return INTERRUPTED

    def _wait_for_end(self, tasks, timeout_s: float):
        """Wait until these tasks have ended, but not after a second interrupt."""
        began = time.monotonic()
        while time.monotonic() - began < timeout_s and self.interrupts < 2:
            if all(self._processes[task].poll() is not None for task in tasks):
                return
            time.sleep(POLL_S)

    def _start(self, job: str, index: int):
        task = {"cluster": self._jobs, "task": {"type": job, "index": index}}
        process = subprocess.Popen(
            self._command,
            env=os.environ | {"TF_CONFIG": json.dumps(task)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal reaches only this process
        )
        self._processes[job, index] = process
        print(f"{_name(job, index)} started as process {process.pid}", flush=True)
        reader = threading.Thread(target=_forward, args=(_name(job, index), process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _interrupt(self, *_):
        self.interrupts += 1


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that no process listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _forward(name: str, process):
    for line in process.stdout:
        print(f"{name} | {line}", end="", flush=True)


def _name(job: str, index: int) -> str:
    return f"{job} {index}" if job != "chief" else job


def main() -> int:
    config, flags = tyro.cli(
        LocalConfig,
        prog="senet-kp local-cluster",
        description=__doc__,
        return_unknown_args=True,
    )
    if config.workers < 1 or config.ps < 1:
        raise UserError("--workers and --ps must be at least 1")
    return LocalCluster(config, flags).run()


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
