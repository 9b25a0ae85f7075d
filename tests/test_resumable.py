"""Unfinished results: what is continued, what is refused, and what damage to them costs."""

import json
from pathlib import Path

import pytest
from conftest import assert_one_line_error, run_module

from senet_kp.demo.lines import JSON, csv_format
from senet_kp.demo.resumable import resumable
from senet_kp.tfrecords.errors import OutputError, UserError


class Killed(Exception):
    """Ends a run in the middle."""


def described(source: str, faces: int = 0) -> dict:
    face = {"box": [0.0, 0.0, 9.0, 9.0], "score": None, "landmarks": [[1.5, 2.5]], "roll_deg": 0.0}
    return {"source": source, "frame": None, "width": 9, "height": 9, "faces": [face] * faces}


@pytest.fixture
def formats(tmp_path):
    return {str(tmp_path / "a.jsonl"): JSON, str(tmp_path / "a.csv"): csv_format(1)}


def write(formats, sources, settings=None, killed=False) -> list[dict]:
    """Write what is not done yet of these sources; return what was done already."""
    with resumable(formats, settings or {"passes": 2}) as results:
        done = list(results.done)
        for source in sources[len(done) :]:
            results.write_line(described(source, faces=1 + len(source) % 2))
        if killed:
            raise Killed
    return done


def start(formats, sources=("a", "bc"), **options):
    """Leave the unfinished results of a run."""
    with pytest.raises(Killed):
        write(formats, sources, killed=True, **options)


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def whole(paths) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


def test_done_pictures_are_named_and_not_written_again(formats, tmp_path):
    start(formats)
    assert names_in(tmp_path) == ["a.csv.part", "a.jsonl.part", "a.jsonl.resume"]
    done = write(formats, ["a", "bc", "d"])
    assert [(entry["source"], entry["faces"], entry["error"]) for entry in done] == [
        ("a", 2, False),
        ("bc", 1, False),
    ]
    assert names_in(tmp_path) == ["a.csv", "a.jsonl"]
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["a", "bc", "d"]
    table = (tmp_path / "a.csv").read_text().splitlines()
    assert [line[0] for line in table] == ["s", "a", "a", "b", "d", "d"]  # s is of the header


def test_a_new_run_replaces_finished_results_at_its_end_only(formats, tmp_path):
    write(formats, ["a"])
    start(formats, ["b"])
    assert json.loads((tmp_path / "a.jsonl").read_text())["source"] == "a"
    assert len(write(formats, ["b"])) == 1
    assert json.loads((tmp_path / "a.jsonl").read_text())["source"] == "b"


@pytest.mark.parametrize(
    "settings, words", [({"passes": 3}, r"\(passes\)"), ({"passes": 2, "pose": True}, r"\(pose\)")]
)
def test_results_of_other_settings_are_refused(formats, tmp_path, settings, words):
    start(formats)
    before = whole([f"{path}.part" for path in formats])
    with pytest.raises(UserError, match=rf"a\.jsonl\.part: .*{words}.*remove .*a\.csv\.part"):
        write(formats, ["a", "bc"], settings)
    assert whole([f"{path}.part" for path in formats]) == before


def test_the_same_file_with_another_one_beside_it_is_another_run(formats):
    start(formats)
    with pytest.raises(UserError, match="other settings .files of results."):
        write({path: form for path, form in formats.items() if form is JSON}, ["a"])


def test_results_without_their_journal_are_not_overwritten(formats, tmp_path):
    start(formats)
    (tmp_path / "a.jsonl.resume").unlink()
    with pytest.raises(UserError, match=r"a\.jsonl\.part: not the unfinished results.*remove"):
        write(formats, ["a"])
    assert names_in(tmp_path) == ["a.csv.part", "a.jsonl.part"]


def test_removing_them_begins_anew(formats, tmp_path):
    start(formats)
    for name in ("a.csv.part", "a.jsonl.part"):
        (tmp_path / name).unlink()
    assert write(formats, ["x"], {"passes": 9}) == []
    assert names_in(tmp_path) == ["a.csv", "a.jsonl"]


def test_a_file_of_somebody_else_with_the_journals_name_is_left_alone(formats, tmp_path):
    (tmp_path / "a.jsonl.resume").write_text("my own notes")
    with pytest.raises(UserError, match=r"a\.jsonl\.resume: not the unfinished"):
        write(formats, ["a"])
    assert (tmp_path / "a.jsonl.resume").read_text() == "my own notes"


@pytest.mark.parametrize("kept", [0, 1])
def test_after_a_power_cut_only_what_all_results_hold_is_done(formats, tmp_path, kept):
    write(formats, ["a", "bc"])
    expected = whole(formats)
    start(formats)
    part = tmp_path / "a.csv.part"
    part.write_bytes(part.read_bytes()[: -1 if kept else 20])
    assert len(write(formats, ["a", "bc"])) == kept
    assert whole(formats) == expected


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"source": "bc", "faces": 1, "err', b"\xff\n"])
def test_a_damaged_journal_counts_up_to_the_damage(formats, tmp_path, damage):
    start(formats)
    journal = tmp_path / "a.jsonl.resume"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + damage)
    assert [entry["source"] for entry in write(formats, ["a", "bc"])] == ["a"]
    assert (tmp_path / "a.jsonl").read_text().count("source") == 2


def test_two_processes_do_not_write_the_same_results(formats, tmp_path):
    with resumable(formats, {"passes": 2}) as results:
        with pytest.raises(UserError, match="another process is writing"):
            write(formats, ["a"])
        results.write_line(described("a"))
    assert json.loads((tmp_path / "a.jsonl").read_text())["source"] == "a"


def test_a_full_disk_keeps_what_is_whole_and_the_same_command_goes_on(formats, tmp_path):
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (400,) * 2)
from senet_kp.demo.lines import JSON
from senet_kp.demo.resumable import resumable
from senet_kp.tfrecords.errors import exit_code_of
def run():
    with resumable({{{str(tmp_path / "a.jsonl")!r}: JSON}}, {{"passes": 2}}) as results:
        for source in "abcdefgh":
            results.write_line({{**{described("")!r}, "source": source}})
raise SystemExit(exit_code_of(run))
"""
    assert_one_line_error(run_module("-c", code), 6, "a.jsonl")
    only = {path: form for path, form in formats.items() if form is JSON}
    done = write(only, "abcdefgh")
    assert 0 < len(done) < 8
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == list("abcdefgh")


def test_results_that_cannot_be_files_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", "/dev/null"):
        with pytest.raises(OutputError, match="not a file"):
            write({str(target): JSON}, ["a"])


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "real.jsonl")
    write({str(tmp_path / "a.jsonl"): JSON}, ["a"])
    assert (tmp_path / "a.jsonl").is_symlink()
    assert names_in(tmp_path) == ["a.jsonl", "real.jsonl"]
