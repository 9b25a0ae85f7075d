"""python -m tests.faults --minutes 60 --seed 0

Disturb the commands on purpose: kill them, let them run short of disk, file handles or memory, and
feed their readers with damaged files. Prints a line for every trial and, at the end or on Ctrl-C,
a table, which --write also puts into docs/reliability.md. Exit codes: 0 everything was survived, 5
something was not, 130 interrupted by Ctrl-C.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from benchmarks.measure import report_table
from senet_kp.tfrecords.errors import INTERRUPTED, CheckError, exit_code_of
from tests.faults import kills, mutations, system
from tests.faults.deadline import Deadline
from tests.faults.mended import MENDED
from tests.faults.operations import Bench
from tests.faults.table import Row, result_of, table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--minutes", type=float, default=120, help="stop after this time")
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
    rows, interrupted = _run(args, folder)
    result = result_of(rows, args.seed, {**MENDED, **mutations.MENDED})
    report_table("faults", result, table(result), args.write)
    if not args.folder:
        shutil.rmtree(folder)
    if interrupted:
        return INTERRUPTED
    return CheckError.exit_code if any(row.failures for row in rows) else 0


def _run(args, folder: Path) -> tuple[list[Row], bool]:
    """Run the three parts side by side; return the rows, and whether Ctrl-C ended them early."""
    until = Deadline(60 * args.minutes)
    killed, starved = Bench(folder / "kills"), Bench(folder / "shortages")
    parts = (
        kills.kill_all(killed, args.seed, args.kills, until),
        system.starve_all(starved, args.seed, args.rounds, until),
        mutations.run(args.seed, args.inputs, folder / "inputs"),
    )
    with ThreadPoolExecutor(len(parts)) as pool:  # each waits for processes of its own
        done = [pool.submit(_told, part, until) for part in parts]
        interrupted = False
        try:
            wait(done, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            print("interrupted: the trials under way are finished first", file=sys.stderr)
            interrupted = True
        until.passed = True  # ends the parts that go on after Ctrl-C or an exception in another
        return [row for part in done for row in part.result()], interrupted


def _told(part: Iterator[Row], until: Deadline) -> list[Row]:
    """Return the final row of every operation and fault of a part; print each as it comes."""
    last: dict[tuple, Row] = {}
    for row in part:
        last[row.operation, row.fault] = row
        state = row.failures[-1] if row.failures else "ok"
        print(f"{row.operation}, {row.fault}: {row.survived} of {row.tried}, {state}", flush=True)
        if until.over():
            break
    return list(last.values())


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
