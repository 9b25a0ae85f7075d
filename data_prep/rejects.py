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


def too_many(rejects: Rejects, count: int, max_share: float, out: Path, what: str) -> CheckError:
    """Write the list beside `out`, and return the error that names it.

    count: pictures in all, of which `what` says what they are; max_share: --max-rejects.
    """
    path = out.with_name(f"{out.name}-{REJECTS}")
    write_rejects(path, rejects)
    return CheckError(
        f"{len(rejects)} of {count} {what} cannot be used (--max-rejects allows {max_share:.0%}),"
        f" the first: {rejects[0][2]}; all are in {path}"
    )
