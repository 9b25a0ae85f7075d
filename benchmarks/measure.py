"""What the benchmarks share: repeated measurement, conditions, the results file."""

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tfrecords.files import write_bytes, write_json

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"


def interleaved_s(functions: dict, repeats: int, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of every call of each function, in turn A B A B, after `warmup` rounds."""
    seconds = {name: [] for name in functions}
    for turn in range(warmup + repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def summary(values) -> dict:
    """Median, smallest and largest of some numbers."""
    return {
        "median": float(np.median(values)),
        "min": float(min(values)),
        "max": float(max(values)),
    }


def conditions(**more) -> dict:
    """Where and with what it was measured."""
    packages = ("numpy", "opencv-python-headless")
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        **more,
    }


def markdown_table(columns: list[str], rows) -> str:
    """A table of Markdown; rows: lists of texts, empty where there is nothing to say."""
    head, *body = (f"| {' | '.join(line)} |" for line in (columns, *rows))
    return "\n".join((head, "|---" * len(columns) + "|", *body)) + "\n"


def with_spread(values: dict) -> str:
    """A summary in a table: median (smallest, largest)."""
    return f"{values['median']:.1f} ({values['min']:.1f}, {values['max']:.1f})"


def report(name: str, result: dict, write: bool):
    """Print a result; keep it as benchmarks/results/<name>.json when asked."""
    for key, value in result.items():
        print(f"{key:>28}: {value}")
    if write:
        write_json(RESULTS / f"{name}.json", result)
        print(f"written to {RESULTS / name}.json")


def report_table(name: str, result: dict, table: str, write: bool):
    """Print a table; keep it in the README, and the result as report does, when asked."""
    print(table, end="")
    if write:
        write_json(RESULTS / f"{name}.json", result)
        write_bytes(README, with_table(README.read_text(), name, table).encode())
        print(f"written to {RESULTS / name}.json and {README}")


def with_table(readme: str, name: str, table: str) -> str:
    """The README with what stands between <!-- name:begin --> and <!-- name:end --> replaced."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, rest = readme.split(begin)
    return before + begin + table + end + rest.split(end)[1]
