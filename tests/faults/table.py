"""The rows of the table in `docs/reliability.md`: what was tried, and what was survived."""

import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.measure import conditions, markdown_table


@dataclass
class Row:
    """The result of one kind of fault on one operation."""

    operation: str  # a command, such as `prepare`, or a kind of file, such as `.pts`
    fault: str  # such as SIGKILL, "disk full" or "mutated bytes"
    tried: int = 0
    failures: list[str] = field(default_factory=list)  # one line each, enough to repeat it

    @property
    def survived(self) -> int:
        return self.tried - len(self.failures)

    def count(self, failure: str | None):
        """Add one trial, which failed if a description of the failure is given."""
        self.tried += 1
        if failure:
            self.failures.append(failure)


def table(result: dict) -> str:
    """Return the result of `python -m tests.faults` as a table in Markdown."""
    told = result["conditions"]
    rows = result["rows"]
    tried, survived = (sum(row[name] for row in rows) for name in ("tried", "survived"))
    columns = ["operation", "fault", "tried", "survived", "mended because of earlier runs"]
    texts = [
        [row["operation"], row["fault"], f"{row['tried']:,}", f"{row['survived']:,}", row["mended"]]
        for row in rows
    ]
    failures = [
        f"- {row['operation']}, {row['fault']}: {f}" for row in rows for f in row["failures"]
    ]
    return "\n".join(
        [
            f"Seed {told['seed']}, {told['processor']}: {survived:,} of {tried:,} trials survived.",
            "",
            markdown_table(columns, texts),
            *(["Not survived:", "", *failures, ""] if failures else []),
        ]
    )


def result_of(rows: list[Row], seed: int, mended: dict[str, list[str]]) -> dict:
    """Return conditions and rows for `benchmarks/results/faults.json`.

    mended: {operation: what was repaired because earlier runs found it}, told once per operation
    """
    told: set[str] = set()
    entries = []
    for row in rows:
        repairs = "" if row.operation in told else "; ".join(mended.get(row.operation, ()))
        told.add(row.operation)
        entries.append({**asdict(row), "survived": row.survived, "mended": repairs})
    return {"conditions": conditions(seed=seed, processor=_processor()), "rows": entries}


def _processor() -> str:
    """Return the processor's name, and whether it has AVX-512, from /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    told = {name.strip(): value.strip() for name, value in pairs}
    vectors = "AVX-512" if "avx512f" in told.get("flags", "") else "no AVX-512"
    return f"{told.get('model name', platform.machine())} ({vectors})"
