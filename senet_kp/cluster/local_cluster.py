"""python -m senet_kp.local_cluster --workers 2 --ps 1 --records out/tfrecords --run out/run

A training on several machines, on this one alone: a process for every task, each with its
TF_CONFIG, on free ports of the loopback interface. All further flags go to senet_kp.train_cluster.
Every line says which task it is from. Ctrl-C and SIGTERM let the chief save, and end everything;
a second one ends everything at once. So does, without --restart, a task that was killed; the same
command goes on from the newest checkpoint. Exit code: the chief's, or that of the first task that
failed.
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

LOOK_S = 0.2  # between two looks at the processes
SAVE_S = 60.0  # for the chief to finish its step and to save
END_S = 70.0  # for the others to see that the training has ended
MOST_RESTARTS = 10
CRASHED = 1  # exit code of a traceback: worth another start, unlike an error that was understood


@dataclass(frozen=True)
class LocalConfig:
    workers: int = 2
    """training processes; the chief is one of them"""
    ps: int = 1
    """parameter servers"""
    restart: bool = False
    """start a task again that was killed"""


class LocalCluster:
    """The processes of one cluster."""

    def __init__(self, config: LocalConfig, flags: list[str]):
        self.restarts_left = MOST_RESTARTS if config.restart else 0
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
            "senet_kp.train_cluster",
            "--threads",
            str(threads),
            *flags,
        ]
        self._processes, self._readers = {}, []

    def run(self) -> int:
        """Start all tasks and see them to their end; returns the exit code."""
        old = {n: signal.signal(n, self._interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            for job, addresses in self._jobs.items():
                for index in range(len(addresses)):
                    self._start(job, index)
            code = self._until_the_chief_ends()
            if self._processes["chief", 0].poll() is not None:
                self._wait_for(self._processes, END_S)
            return INTERRUPTED if self.interrupts else code
        finally:
            for process in self._processes.values():
                process.kill()
            for reader in self._readers:
                reader.join()
            for number, handler in old.items():
                signal.signal(number, handler)

    def _until_the_chief_ends(self) -> int:
        """Its exit code, or that of another task that failed and is not started again."""
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
                if task != chief:  # the step stands still without it, so nothing can be saved
                    print(f"{_name(*task)} ended with code {code}: all end", flush=True)
                return code if code >= 0 else 128 - code
            time.sleep(LOOK_S)
        self._processes[chief].send_signal(signal.SIGTERM)
        self._wait_for([chief], SAVE_S)
        return INTERRUPTED

    def _wait_for(self, tasks, timeout_s: float):
        """Wait until these have ended, but not after a second interrupt."""
        began = time.monotonic()
        while time.monotonic() - began < timeout_s and self.interrupts < 2:
            if all(self._processes[task].poll() is not None for task in tasks):
                return
            time.sleep(LOOK_S)

    def _start(self, job: str, index: int):
        task = {"cluster": self._jobs, "task": {"type": job, "index": index}}
        process = subprocess.Popen(
            self._command,
            env=os.environ | {"TF_CONFIG": json.dumps(task)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a Ctrl-C at the terminal is for this process to hand on
        )
        self._processes[job, index] = process
        print(f"{_name(job, index)} started as process {process.pid}", flush=True)
        reader = threading.Thread(target=_forward, args=(_name(job, index), process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _interrupt(self, *_):
        self.interrupts += 1


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
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
        prog="python -m senet_kp.local_cluster",
        description=__doc__,
        return_unknown_args=True,
    )
    if config.workers < 1 or config.ps < 1:
        raise UserError("--workers and --ps are at least 1")
    return LocalCluster(config, flags).run()


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
