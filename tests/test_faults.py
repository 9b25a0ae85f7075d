"""Damaged inputs: a short run over all readers, and faults that must be noticed."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from senet_kp.tfrecords.errors import InputError
from tests.faults import mutations, mutators, worker
from tests.faults.mutators import BYTES, TEXT
from tests.faults.structured import JSON
from tests.faults.targets import Target
from tests.faults.worker import Kind


def test_no_reader_fails_on_damaged_inputs(tmp_path):
    rows = list(mutations.run(0, 300, tmp_path))
    assert [row.operation for row in rows] == [kind.name for kind in mutations.KINDS]
    assert 250 < sum(row.tried for row in rows) < 350
    assert not [failure for row in rows for failure in row.failures]
    assert not list((tmp_path / "failures").iterdir())


class Planted(Target):
    """A reader of a file of numbers, whose sum it returns."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "numbers.txt"]
        self.damaged[0].write_text("1 2 3\n")
        self._started = False

    def start(self):
        self.whole, self._started = 6, True

    def use(self):
        return self.fault() if self._started else 6

    def problem(self, result, file, old, new, how):
        return None if result == self.whole else f"the sum is {result}"


class Raises(Planted):
    def fault(self):
        raise ValueError("no number")


class IsWrong(Planted):
    def fault(self):
        return 7


class IsRight(Planted):
    def fault(self):
        return 6


class Refuses(Planted):
    def fault(self):
        raise InputError(f"{self.damaged[0]}: no number")


class NamesNoFile(Planted):
    def fault(self):
        raise InputError("no number")


class Hangs(Planted):
    def fault(self):
        while True:
            pass


class Crashes(Planted):
    def fault(self):
        os.kill(os.getpid(), signal.SIGSEGV)


class Hoards(Planted):
    def fault(self):
        return int(np.ones(3 << 27, np.uint8)[0]) and int(np.ones(5 << 28, np.uint8)[0]) and 6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Raises, "ValueError: no number"),
        (IsWrong, "the sum is 7"),
        (NamesNoFile, "a message that names no file: no number"),
        (Hangs, "took more than 3 s"),
        (Crashes, "the process ended with code -11"),
        (Hoards, "MB of memory"),
    ],
)
def test_a_planted_fault_is_noticed_and_can_be_repeated(make, said, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "HANG_S", 3)
    kind = Kind("planted", make, TEXT)
    (row,) = mutations.run(3, 2, tmp_path, [kind])
    assert (row.tried, row.survived) == (2, 0)
    for number, failure in enumerate(row.failures):
        assert failure.startswith(f"input {number} of seed 3") and said in failure
        (kept,) = (tmp_path / "failures").glob(f"planted-3-{number}-*")
        root = tmp_path / f"again{number}"
        root.mkdir()
        assert worker.input_of(kind, make(root), 3, number)[1] == kept.read_bytes() != b"1 2 3\n"


@pytest.mark.parametrize("make", [IsRight, Refuses])
def test_a_right_result_and_a_clear_error_are_no_faults(make, tmp_path):
    (row,) = mutations.run(0, 5, tmp_path, [Kind("sound", make, TEXT)])
    assert (row.tried, row.failures) == (5, [])


def test_undamaged_files_that_cannot_be_read_end_the_run(tmp_path):
    with pytest.raises(RuntimeError, match="absent: the undamaged files cannot be read"):
        list(mutations.run(0, 1, tmp_path, [Kind("absent", Target, TEXT)]))


@pytest.mark.parametrize("group", [BYTES, TEXT, JSON], ids=["bytes", "text", "json"])
def test_every_mutator_can_change_a_file_and_survives_an_empty_one(group):
    data = b'{"points": [[1.5, 2], [3, -4]],\n "name": "a", "sides": {"train": 3}}\n' * 1
    data += b"" if group is JSON else data * 20
    for mutator in group:
        random = np.random.default_rng(0)
        assert any(mutator(data, random) != data for _ in range(30)), mutator.__name__
        assert isinstance(mutator(b"", random), bytes)


def test_what_was_mended_is_told_of_rows_that_exist():
    assert mutations.MENDED.keys() <= {kind.name for kind in mutations.KINDS}


def test_bytes_that_no_mutator_changes_stay_equal():
    unchanged, _ = mutators.damaged(b"same", [lambda data, _: data], np.random.default_rng(0))
    assert unchanged == b"same"
