"""The peak memory of this process."""

import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_memory_mb() -> float:
    """The peak resident memory in MB. It stays flat over a training unless memory leaks.

    On Linux it is read from /proc, because getrusage also counts the memory that the process had
    before exec().
    """
    if STATUS.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # macOS: bytes, others: KiB
