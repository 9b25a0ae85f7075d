"""python -m tests.faults --minutes 60 --seed 0

Disturb the commands on purpose: kill them, let them run short of disk, file handles or memory, and
feed their readers with damaged files. Prints a line for every trial that fails and, at the end, a
table, which --write also puts into docs/reliability.md. Exit codes: 0 everything was survived, 5
something was not.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import report_table
from tests.faults import kills, mutations, system
from tests.faults.mended import MENDED
from tests.faults.operations import Bench
from tests.faults.table import Row, result_of, table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--minutes", type=float, default=120, help="stop each part after a third of this time")
    add("--seed", type=int, default=0, help="seed of moments, limits and damages")
    add("--kills", type=int, default=200, help="commands to kill")
    add("--rounds", type=int, default=2, help="times that each command runs short of everything")
    add("--inputs", type=int, default=10_000, help="damaged inputs")
    add("--folder", type=Path, help="folder to work in, kept with what failed (default: removed)")
    add("--write", action="store_true", help="write the table into docs/reliability.md")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    rows = list(_trials(args, folder))
    result = result_of(rows, args.seed, {**MENDED, **mutations.MENDED})
    report_table("faults", result, table(result), args.write)
    if not args.folder:
        shutil.rmtree(folder)
    return 5 if any(row.failures for row in rows) else 0


def _trials(args, folder: Path):
    """Yield the final row of every operation and fault; print failures as they come."""
    bench = Bench(folder / "bench")
    seconds = 60 * args.minutes / 3
    parts = (
        lambda: kills.kill_all(bench, args.seed, args.kills, time.monotonic() + seconds),
        lambda: system.starve_all(bench, args.seed, args.rounds, time.monotonic() + seconds),
        lambda: mutations.run(args.seed, args.inputs, folder / "inputs"),
    )
    for part in parts:
        last: dict[tuple, Row] = {}
        for row in part():
            last[row.operation, row.fault] = row
            state = row.failures[-1] if row.failures else "ok"
            count = f"{row.survived} of {row.tried}"
            print(f"{row.operation}, {row.fault}: {count}, {state}", flush=True)
        yield from last.values()


if __name__ == "__main__":
    sys.exit(main())
