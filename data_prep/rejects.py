"""The pictures that could not be used: their list, and the limit to their share."""

from pathlib import Path

from senet_kp.tfrecords.errors import CheckError
from senet_kp.tfrecords.files import write_csv
from senet_kp.tfrecords.shards import REJECTS

Rejects = list[tuple[str, str, str]]
"""Name of the picture, reason code and message of each."""


def write_rejects(path: Path, rejects: Rejects):
    """Write the list as a table."""
    write_csv(path, ("picture", "reason", "message"), rejects)


def too_many(complaint: str, rejects: Rejects, out: Path) -> CheckError:
    """Write the list beside `out`; return the error of a complaint that names the list."""
    path = out.with_name(f"{out.name}-{REJECTS}")
    write_rejects(path, rejects)
    return CheckError(f"{complaint}, the first: {rejects[0][2]}; all are in {path}")
