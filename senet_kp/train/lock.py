"""The lock of a run folder: one training at a time.

It is a lock of the system on the file `.lock`, which ends with the process, however that ends. The
contents of the file only name the process for the message of another one.
"""

import contextlib
import os
import platform
from pathlib import Path

from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.files import make_folder, naming
from senet_kp.tfrecords.locks import take_lock

NAME = ".lock"


@contextlib.contextmanager
def locked(run: Path):
    """Hold the lock of a run folder in the block.

    Raises UserError that names the process which holds it, and OutputError if the folder cannot be
    made. Where the system or the disk has no such locks, there is none.
    """
    make_folder(run)
    path = run / NAME
    with naming(path):
        file = open(path, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115, closed below
    with file:
        if not take_lock(file):
            file.seek(0)
            raise UserError(
                f"{run}: {file.read().strip() or 'another process'} trains in this folder; wait"
                " until it has ended, or choose another folder with --run (make: OUT=)"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield
