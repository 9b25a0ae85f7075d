"""Worker processes that end with the process that started them, however that ends."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from threading import Thread

import cv2


@contextmanager
def worker_pool(processes: int):
    """Yield a ProcessPoolExecutor whose processes end at once on Ctrl-C, SIGTERM or an error.

    They are spawned, because forks of a process with TensorFlow's threads would hang. Every worker
    computes on one thread, because the threads of several processes would wait for each other.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start_worker)
    try:
        with _ctrl_c_blocked():
            for _ in range(processes):  # each starts a process, since none is idle yet
                pool.submit(int)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c_blocked():
    """Processes that are started in the block never get Ctrl-C; this one gets it after the block.

    A terminal sends it to all of them, and one that still imports would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_order(pool: Executor, function: Callable, tasks: Iterable, window: int) -> Iterator[tuple]:
    """Yield (task, function(task)) for every task, in their order.

    window: at most so many tasks are taken ahead of the results that have been yielded. `pool.map`
    would take all of them at once, and keep every result that nobody has asked for yet.
    """
    tasks = iter(tasks)
    waiting = deque((task, pool.submit(function, task)) for task in islice(tasks, window))
    while waiting:
        task, future = waiting.popleft()
        yield task, future.result()
        waiting.extend((task, pool.submit(function, task)) for task in islice(tasks, 1))


def engine_threads() -> int:
    """How many threads an engine may use in this process: 1 in a worker, or else 0, its default."""
    return int(_is_worker)


_is_worker = False


def _start_worker():
    global _is_worker
    _is_worker = True
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent process handles them
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
    cv2.setNumThreads(1)


def end_with_parent():
    """From now on, end this process when its parent has ended, by SIGKILL for example."""

    def watch():
        connection.wait([parent_process().sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()
