"""Folders that a command replaces: its own results, never anybody else's files."""

import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.files import atomic_folder, restore_folder, write_bytes
from senet_kp.tfrecords.leftovers import temporary_name
from senet_kp.tfrecords.shards import files_written

RECORDS = {
    "schema": 1,
    "scheme": {},
    "box": {},
    "records_sha256": "",
    "sides": {"train": {"shards": [{"name": "train-00000-of-00001.tfrecord"}]}},
}
WEB_APP = {"name": "my app", "icons": [{"src": "icon.png"}], "start_url": "/"}


def folder_with(path, manifest, *names):
    path.mkdir()
    (path / "manifest.json").write_text(json.dumps(manifest))
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(name)
    return path


def replaced(path):
    with atomic_folder(path, files_written) as folder:
        (folder / "new").write_text("new")


@pytest.mark.parametrize(
    "manifest, names",
    [
        (WEB_APP, ("index.html",)),
        (WEB_APP, ()),
        ([], ()),
        (RECORDS | {"sides": []}, ()),
        (RECORDS | {"sides": {"train": 3}}, ()),
        (RECORDS, ("notes.txt",)),
        (RECORDS, ("train-00000-of-00002.tfrecord",)),
        (RECORDS, ("features/notes.txt",)),
        (RECORDS, ("work/thesis.txt",)),
    ],
)
def test_a_folder_with_one_foreign_file_is_left_as_it_is(tmp_path, manifest, names):
    folder = folder_with(tmp_path / "out", manifest, *names)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="holds something else than this command writes"):
        replaced(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_records_with_everything_that_belongs_to_them_are_replaced(tmp_path):
    known = ("train-00000-of-00001.tfrecord", "split.csv", "rejects.csv", "contact_sheet.png")
    features = "features/vgg16-train-0123456789abcdef.npy"
    folder = folder_with(tmp_path / "out", RECORDS, *known, features)
    replaced(folder)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_that_appears_during_the_work_is_kept(tmp_path):
    folder = folder_with(tmp_path / "out", RECORDS)
    with pytest.raises(UserError, match=r"notes\.txt"), atomic_folder(folder, files_written):
        (folder / "notes.txt").write_text("mine")
    assert (folder / "notes.txt").read_text() == "mine" and (folder / "manifest.json").exists()


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    folder = folder_with(tmp_path / "disk", RECORDS)
    (tmp_path / "out").symlink_to(folder)
    replaced(tmp_path / "out")
    assert (tmp_path / "out").is_symlink() and [p.name for p in folder.iterdir()] == ["new"]


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt even where the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("moment", [1, 2])
def test_an_interrupt_between_the_two_renames_leaves_the_old_folder(tmp_path, monkeypatch, moment):
    folder, rename, calls = folder_with(tmp_path / "out", RECORDS), os.replace, []

    def interrupted(*names):
        calls.append(names)
        if len(calls) == moment:
            signal.raise_signal(signal.SIGINT)
        rename(*names)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replaced(folder)
    assert json.loads((folder / "manifest.json").read_text()) == RECORDS
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """
import os, signal, sys
from senet_kp.tfrecords.files import atomic_folder, atomic_path
from senet_kp.tfrecords.shards import files_written

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

rename, calls = os.replace, []
def replace(*names):
    calls.append(names)
    kill() if len(calls) == int(sys.argv[2]) else rename(*names)

os.replace = replace
if sys.argv[3] == "file":
    with atomic_path(sys.argv[1]) as temporary:
        temporary.write_text("new")
else:
    with atomic_folder(sys.argv[1], files_written) as folder:
        (folder / "new").write_text("new")
"""


def killed_while_replacing(path, rename: int, kind="folder"):
    """Run a process that SIGKILL ends in place of its n-th rename."""
    command = [sys.executable, "-c", KILLED, str(path), str(rename), kind]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr


def test_a_kill_between_the_two_renames_is_undone_by_the_next_run(tmp_path):
    folder = folder_with(tmp_path / "out", RECORDS)
    killed_while_replacing(folder, 2)
    assert not folder.exists() and len(list(tmp_path.iterdir())) == 2
    restore_folder(folder, files_written)
    assert json.loads((folder / "manifest.json").read_text()) == RECORDS
    replaced(folder)  # which also removes the unfinished folder of the killed process
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_kill_before_the_first_rename_leaves_the_folder_and_nothing_else(tmp_path):
    folder = folder_with(tmp_path / "out", RECORDS)
    killed_while_replacing(folder, 1)
    assert (folder / "manifest.json").exists() and len(list(tmp_path.iterdir())) == 2
    replaced(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_was_set_aside_and_replaced_is_removed(tmp_path):
    folder = folder_with(tmp_path / "out", RECORDS)
    killed_while_replacing(folder, 2)
    folder_with(folder, RECORDS)
    restore_folder(folder, files_written)
    assert not list(tmp_path.glob(".*.old"))


def test_a_folder_set_aside_that_has_a_foreign_file_is_left_alone(tmp_path):
    folder = folder_with(tmp_path / "out", RECORDS)
    killed_while_replacing(folder, 2)
    (aside,) = tmp_path.glob(".*.old")
    (aside / "notes.txt").write_text("mine")
    for _ in range(2):  # with and without a folder in its place
        restore_folder(folder, files_written)
        assert (aside / "notes.txt").read_text() == "mine"
        folder.mkdir(exist_ok=True)


def test_only_unfinished_files_of_ended_processes_of_this_project_are_removed(tmp_path):
    path = tmp_path / "scores.json"
    killed_while_replacing(path, 1, "file")
    (left,) = tmp_path.iterdir()
    kept = [
        left.name.replace("json", "json.bak").removesuffix(".tmp"),
        temporary_name("other.json").replace(str(os.getpid()), str(os.getppid())),  # still runs
        ".scores.json.00000000-1.tmp",  # of another machine
        ".scores.json.1.tmp",
        "scores.json.tmp",
        ".scores.json.tmp",
    ]
    for name in kept:
        (tmp_path / name).write_text("kept")
    write_bytes(path, b"{}")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([*kept, path.name])
