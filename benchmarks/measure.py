"""Functions shared by the benchmarks: repeated measurements, conditions, tables, results files."""

import json
import os
import platform
import re
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.files import write_bytes, write_json

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
KEPT = Path("out/benchmarks")
EARLIER = "\n\\* measured in an earlier run; times from different runs are less comparable.\n"
# <!-- file:key.of.a.value -->1,234.5 %
NUMBER = re.compile(r"(<!-- ([a-z0-9_-]+):([A-Za-z0-9_.-]+) -->)([0-9](?:[0-9.,]*[0-9])?)( ?%)?")


class Record:
    """The single measurements of a benchmark, printed and kept as they come.

    They are in out/benchmarks/<name>.json, which is replaced after each of them. A benchmark that
    is interrupted has lost none, and --write alone changes benchmarks/results/.
    """

    def __init__(self, name: str, folder: Path | None = None):
        self.path = (folder or KEPT) / f"{name}.json"
        self._rows = []
        tqdm.write(f"every measurement is kept in {self.path}", file=sys.stderr)

    def add(self, what: str, **values):
        """Add the numbers of one measurement; `what` names what was measured."""
        self._rows.append({"measured": what} | values)
        write_json(self.path, {"conditions": conditions(), "measurements": self._rows})
        shown = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
        tqdm.write(f"{what}: {shown}", file=sys.stderr)


def _short(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def interleaved_s(
    functions: dict, repeats: int, warmup: int = 1, record: Record | None = None
) -> dict[str, list[float]]:
    """Time the functions in turn (A B A B ...); return the seconds of each call after the warm-up.

    Every function is called `warmup + repeats` times, of which the first `warmup` are not counted.
    record: where to keep the seconds of each call, for functions that take long.
    """
    seconds = {name: [] for name in functions}
    for turn in range(warmup + repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - began)
                if record:
                    record.add(name, seconds=seconds[name][-1])
    return seconds


def summary(values) -> dict:
    """Return {"median", "min", "max"} of some numbers."""
    return {
        "median": float(np.median(values)),
        "min": float(min(values)),
        "max": float(max(values)),
    }


def conditions(**more) -> dict:
    """Return the conditions of a measurement: machine, versions, and `more`."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        **more,
    }


def markdown_table(columns: list[str], rows) -> str:
    """Return a Markdown table; each row is a list of texts, empty for missing values."""
    head, *body = (f"| {' | '.join(line)} |" for line in (columns, *rows))
    return "\n".join((head, "|---" * len(columns) + "|", *body)) + "\n"


def with_spread(values: dict) -> str:
    """Format a summary for a table as "median (smallest, largest)"."""
    return f"{values['median']:.1f} ({values['min']:.1f}, {values['max']:.1f})"


def with_earlier(result: dict, older: dict, rows_of, same: tuple[str, ...]) -> dict:
    """Return {name: row} of a result, completed by those rows of an older result that it lacks.

    Rows from the older result are marked with "earlier". rows_of: function from a result to
    {name: row}. same: names of the conditions that must be equal for rows to be comparable. Raises
    UserError if rows of the older result are kept and these conditions differ.
    """
    rows = rows_of(result)
    kept = {n: row | {"earlier": True} for n, row in rows_of(older).items() if n not in rows}
    conditions, known = result["conditions"], older["conditions"]
    if kept and (other := [key for key in same if conditions.get(key) != known.get(key)]):
        raise UserError(
            f"--write: the rows to keep were measured with another {other[0]};"
            " measure all of them again"
        )
    return rows | kept


def mark(row: dict) -> str:
    """Return the footnote mark of a row that was measured in an earlier run, else ""."""
    return " \\*" if row.get("earlier") else ""


def footnote(rows) -> str:
    """Return the footnote that explains the marks if there are any, else ""."""
    return EARLIER if any(map(mark, rows)) else ""


def read_result(name: str, results: Path = RESULTS) -> dict:
    """Read the stored result benchmarks/results/<name>.json."""
    return json.loads((results / f"{name}.json").read_text())


def pages(root: Path = ROOT) -> list[Path]:
    """The documentation: README.md and every page of docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def report(name: str, result: dict, write: bool):
    """Print a result. With `write`, also store it and update the numbers in the documentation."""
    for key, value in result.items():
        print(f"{key:>28}: {value}")
    if write:
        _keep(name, result)


def report_table(name: str, result: dict, table: str, write: bool):
    """Print a result's table. With `write`, also store the result and update the documentation."""
    print(table, end="")
    if write:
        _keep(name, result, table)


def _keep(name: str, result: dict, table: str | None = None):
    """Write benchmarks/results/<name>.json and rewrite the pages whose text depends on it."""
    write_json(RESULTS / f"{name}.json", result)
    print(f"written to {RESULTS / name}.json")
    for page in pages():
        old = page.read_text()
        new = with_numbers(old if table is None else with_table(old, name, table), RESULTS)
        if new != old:
            write_bytes(page, new.encode())
            print(f"updated {page}")


def with_numbers(page: str, results: Path = RESULTS) -> str:
    """The text of a page in which every number that names its file and key has its current value.

    `<!-- file:key.of.a.value -->` names the number behind it. The number of decimals stays.
    """

    def current(found: re.Match) -> str:
        marker, file, key, shown, percent = found.groups(default="")
        value = value_of(read_result(file, results), key)
        decimals = len(shown.partition(".")[2])
        return f"{marker}{value * (100 if percent else 1):,.{decimals}f}{percent}"

    return NUMBER.sub(current, page)


def value_of(result: dict, key: str):
    """The value at a dotted path such as `rows.0.nme` in a result."""
    value = result
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def with_table(page: str, name: str, table: str) -> str:
    """The text of a page in which `table` stands between its two markers.

    The markers are `<!-- name:begin -->` and `<!-- name:end -->`. A page without them is returned
    unchanged.
    """
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    if begin not in page:
        return page
    before, rest = page.split(begin)
    return before + begin + table + end + rest.split(end)[1]
