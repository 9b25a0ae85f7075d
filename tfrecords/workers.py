"""Worker processes that end with the process that started them, however that ends."""

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from signal import SIG_IGN, SIGINT, SIGTERM, signal
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
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker():
    for number in (SIGINT, SIGTERM):  # the parent process handles them
        signal(number, SIG_IGN)
    end_with_parent()
    cv2.setNumThreads(1)


def end_with_parent():
    """From now on, end this process when its parent has ended, by SIGKILL for example."""

    def watch():
        connection.wait([parent_process().sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()
