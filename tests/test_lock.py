"""Two trainings in one run folder: the second is refused, until the first has ended in any way."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, assert_one_line_error, run_module
from runs import command, config

from senet_kp.tfrecords.errors import OutputError, UserError
from senet_kp.train.lock import NAME, locked
from senet_kp.train.loop import train

HOLD = """
import sys, time
from pathlib import Path
from senet_kp.train.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in the folder `run`, as far as the lock knows."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_training_names_the_process_and_changes_nothing(records, holder, tmp_path):
    run = tmp_path / "run"
    result = run_module(*command(records, run))
    assert_one_line_error(result, 2, run, f"process {holder.pid} on ", "--run")
    assert [path.name for path in run.iterdir()] == [NAME]


def test_a_kill_ends_the_lock(holder, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UserError, match=f"process {holder.pid} "), locked(run):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(run):
        assert (run / NAME).read_text().startswith(f"process {os.getpid()} on ")


def test_a_training_releases_its_lock_also_after_an_error(records, tmp_path):
    run = tmp_path / "run"
    assert train(config(records, run, steps=1)) == 0
    with pytest.raises(UserError, match="other settings"):
        train(config(records, run, steps=1, seed=3))
    with locked(run):
        pass


def test_a_disk_without_locks_is_trained_on(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with locked(tmp_path / "run"), locked(tmp_path / "run"):
        pass


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(OutputError, match="/proc/run: no folder"), locked(ROOT / "/proc/run"):
        pass
