"""Kills and shortages: a short run of them, and the checks that they use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import kills, system
from tests.faults.deadline import Deadline
from tests.faults.operations import OPERATIONS, Bench, Ended, Operation, contents, strangers
from tests.faults.table import Row, result_of, table

PREPARE = next(operation for operation in OPERATIONS if operation.name == "prepare")
TOY = Operation("toy", "", ("out", "log"), grows=("log",), marked=("out/*-incomplete",))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("faults"), [PREPARE])


def test_preparation_survives_every_signal(bench):
    rows = {(row.operation, row.fault): row for row in kills.kill_all(bench, 0, 3, _never())}
    assert [fault for _, fault in rows] == ["SIGKILL", "SIGTERM", "SIGINT"]
    assert not [failure for row in rows.values() for failure in row.failures]


def test_preparation_survives_shortages(bench):
    rows = {row.fault: row for row in system.starve_all(bench, 0, 1, _never())}
    assert len(rows) == (4 if os.geteuid() == 0 else 2)
    assert not [failure for row in rows.values() for failure in row.failures]


def _never() -> Deadline:
    return Deadline(3600)


@pytest.fixture
def folder(tmp_path):
    """The folder of a trial of TOY: a result, a log and a stranger's file."""
    for name in ("out/result", "out/clip-incomplete", "log", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("whole")
    return tmp_path


def test_results_are_what_the_operation_writes(folder):
    assert contents(TOY, folder) == {"out/result": b"whole", "log": b"whole"}
    assert strangers(TOY, folder) == {"notes.txt": b"whole"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out/result", "out/result: is neither"),
        ("out/.result.1.tmp", None),
        ("out/clip-incomplete", None),
        ("log", None),
    ],
)
def test_a_half_written_result_is_noticed(folder, name, said):
    final = contents(TOY, folder)
    (folder / name).write_text("who")
    found = kills.half_written(TOY, folder, {}, final)
    assert found is None if said is None else found.startswith(said)
    if said:
        assert kills.half_written(TOY, folder, {name: b"who"}, final) is None  # that of before


def test_changed_removed_and_forgotten_files_are_noticed(folder):
    kept = strangers(TOY, folder)
    assert kills.changed_strangers(TOY, folder, kept, finished=True) is None
    (folder / ".out.tmp").write_text("left")
    assert kills.changed_strangers(TOY, folder, kept, finished=False) is None
    assert kills.changed_strangers(TOY, folder, kept, finished=True) == "left behind: .out.tmp"
    (folder / "notes.txt").write_text("other")
    assert "notes.txt" in kills.changed_strangers(TOY, folder, kept, finished=False)
    (folder / "notes.txt").unlink()
    assert "notes.txt" in kills.changed_strangers(TOY, folder, kept, finished=False)


def test_processes_that_outlive_their_parent_are_noticed_and_ended(monkeypatch):
    monkeypatch.setattr(kills, "ORPHANS_END_IN_S", 0.3)
    command = "import subprocess; subprocess.Popen(['sleep', '600']); print(flush=True)"
    parent = subprocess.Popen(
        [sys.executable, "-c", command], stdout=subprocess.DEVNULL, start_new_session=True
    )
    parent.wait()
    assert kills.orphans_of(parent.pid).startswith("1 processes go on")
    assert kills.orphans_of(parent.pid) is None


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (Ended(0, "", ""), None),
        (Ended(-9, "", ""), None),
        (Ended(130, "", "error: interrupted\n"), None),
        (Ended(130, "step 4, stopped and saved; the same command continues it\n", ""), None),
        (Ended(130, "", ""), "without its line"),
        (Ended(1, "", "Traceback"), "exit code 1 after SIGKILL"),
        (Ended(0, "", "Traceback"), "a traceback"),
        (Ended(-15, "", ""), "exit code -15 after SIGKILL"),
        (Ended(-9, "hung", "hung"), "did not end"),
    ],
)
def test_a_bad_end_after_a_signal_is_noticed(end, said):
    found = kills._bad_end(end, kills.signal.SIGKILL)
    assert found is None if said is None else said in found


@pytest.mark.parametrize(
    ("end", "shortage", "said"),
    [
        (Ended(6, "", "error: the disk is full\n"), system.DISK_FULL, None),
        (Ended(6, "", ""), system.DISK_FULL, "0 lines"),
        (Ended(1, "", "Traceback"), system.HANDLES, "exit code 1"),
        (Ended(-6, "", "std::bad_alloc"), system.MEMORY, None),
        (Ended(-6, "", "std::bad_alloc"), system.DISK_FULL, "exit code -6"),
    ],
)
def test_a_bad_end_of_a_shortage_is_noticed(end, shortage, said):
    found = system._bad_end(end, shortage)
    assert found is None if said is None else said in found


def test_the_table_tells_what_failed():
    row = Row("prepare", "SIGKILL")
    row.count(None)
    row.count("it was lost")
    result = result_of([row, Row("prepare", "SIGTERM")], 5, {"prepare": ["a", "b"]})
    text = table(result)
    assert "Seed 5" in text and "1 of 2 trials survived" in text
    assert "| prepare | SIGKILL | 2 | 1 | a; b |\n| prepare | SIGTERM | 0 | 0 |  |" in text
    assert "- prepare, SIGKILL: it was lost" in text


def test_inputs_are_made_once_by_their_operations(bench):
    sample = bench.given("sample")
    before = sample.stat().st_mtime_ns
    assert bench.given("sample") == sample and sample.stat().st_mtime_ns == before
    assert isinstance(sample, Path) and len(list(sample.glob("SAMPLE/*.jpg"))) == 24
