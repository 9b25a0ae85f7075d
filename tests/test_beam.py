"""Preparation with Apache Beam writes the same bytes as one process, even if steps run twice."""

import shutil
import sys
from pathlib import Path

import pytest
from conftest import run_module
from test_prepare import break_pictures

pytest.importorskip("apache_beam", reason="needs pip install 'senet_kp[cluster]'")

from apache_beam.io.filesystems import FileSystems  # noqa: E402
from apache_beam.io.localfilesystem import LocalFileSystem  # noqa: E402

from senet_kp.data_prep.beam import pipeline as beam_pipeline
from senet_kp.data_prep.beam import prepare as beam_prepare  # noqa: E402
from senet_kp.data_prep.beam.files import Output  # noqa: E402
from senet_kp.data_prep.beam.pipeline import Sharding, numbered, write_shard  # noqa: E402
from senet_kp.data_prep.beam.prepare import BeamConfig  # noqa: E402
from senet_kp.data_prep.config import PrepareConfig  # noqa: E402
from senet_kp.data_prep.crop_record import Cropped  # noqa: E402
from senet_kp.data_prep.prepare import prepare  # noqa: E402
from senet_kp.tfrecords.errors import CheckError, OutputError, UserError  # noqa: E402
from senet_kp.tfrecords.example import frame, read_frames  # noqa: E402
from senet_kp.tfrecords.verify import verify  # noqa: E402

OPTIONS = {"records_per_shard": 10, "max_rejects": 0.5, "detector_pictures": 0, "processes": 1}
TWO_THREADS = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]


class Elsewhere(LocalFileSystem):
    """elsewhere://folder/file, a file system that only Beam can access; its files are in ROOT."""

    ROOT = Path()

    @classmethod
    def scheme(cls):
        return "elsewhere"

    def __getattribute__(self, name):
        value = super().__getattribute__(name)
        if name not in ("create", "open", "rename", "exists", "delete"):
            return value

        def here(path):
            inside = path if isinstance(path, str) else path[0]
            inside = inside.replace("elsewhere://", f"{Elsewhere.ROOT}/")
            return inside if isinstance(path, str) else [inside]

        return lambda *paths, **options: value(*map(here, paths), **options)

    def match(self, patterns, limits=None):
        patterns = [p.replace("elsewhere://", f"{Elsewhere.ROOT}/") for p in patterns]
        return super().match(patterns, limits)


@pytest.fixture(scope="module")
def data(tree, tmp_path_factory):
    """A copy of the tree in which eight pictures cannot be used."""
    copy = shutil.copytree(tree, tmp_path_factory.mktemp("beam") / "data")
    break_pictures(copy)
    return copy


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    """The files that preparation without Beam writes, by name."""
    out = tmp_path_factory.mktemp("expected") / "tfrecords"
    prepare(PrepareConfig(data=(data,), out=out, **OPTIONS))
    files = contents(out)
    # 67 train, 10 val and 11 test records in shards of ten, two tables, a sheet and the manifest
    assert len(files) == 7 + 1 + 2 + 4 and files["rejects.csv"].count(b"\n") == 9
    return files


def contents(folder) -> dict[str, bytes]:
    """Return the files of a folder by name; names of folders end in /."""
    return {
        path.name + "/" * path.is_dir(): b"" if path.is_dir() else path.read_bytes()
        for path in Path(folder).iterdir()
    }


def by_beam(data, out, flags=TWO_THREADS, **options):
    config = BeamConfig(data=(data,), out=str(out), **OPTIONS | options)
    return beam_prepare.beam_prepare(config, ["--runner=DirectRunner", *flags])


def test_two_workers_whose_bundles_all_run_twice_write_the_same_bytes(data, expected, tmp_path):
    by_beam(data, tmp_path / "out", [*TWO_THREADS, "--direct_runner_bundle_repeat=1"])
    assert contents(tmp_path / "out") == expected
    assert verify(tmp_path / "out")[0] == []


def test_two_processes_by_the_command_line(data, expected, tmp_path, capsys):
    flags = ("--records-per-shard", 10, "--max-rejects", 0.5, "--detector-pictures", 0)
    result = run_module(
        "-m",
        "data_prep.beam_prepare",
        "--data",
        data,
        "--out",
        tmp_path / "out",
        *flags,
        "--",
        "--runner=DirectRunner",
        "--direct_num_workers=2",
        "--direct_running_mode=multi_processing",
    )
    assert result.returncode == 0, result.stderr
    assert contents(tmp_path / "out") == expected
    prepare(PrepareConfig(data=(data,), out=tmp_path / "out", **OPTIONS))
    assert "nothing to do" in capsys.readouterr().out  # both commands recognise the same records


def test_faces_listed_twice_are_written_once(data, expected, tmp_path, monkeypatch):
    kept = beam_pipeline.keep_listings

    def twice(plan, output):
        names, sharding = kept(plan, output)
        return names * 2, sharding

    monkeypatch.setattr(beam_pipeline, "keep_listings", twice)
    by_beam(data, tmp_path / "out", [])
    assert contents(tmp_path / "out") == expected


def test_another_file_system_gets_the_same_files(data, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Elsewhere, "ROOT", tmp_path)
    by_beam(data, "elsewhere://sets/out/")
    assert contents(tmp_path / "sets" / "out") == expected
    by_beam(data, "elsewhere://sets/out", [])
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(CheckError, match=r"8 of 96 .* all are in out-rejects.csv"):
        monkeypatch.chdir(tmp_path)
        by_beam(data, "elsewhere://sets/out", [], max_rejects=0.05, overwrite=True)
    assert not list((tmp_path / "sets").rglob("*.tfrecord"))
    (tmp_path / "sets" / "mine").mkdir()
    (tmp_path / "sets" / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="mine: the folder holds something else"):
        by_beam(data, "elsewhere://sets/mine", [])
    assert contents(tmp_path / "sets" / "mine") == {"notes.txt": b"mine"}
    (tmp_path / "sets" / "mine" / "work").mkdir()
    (tmp_path / "sets" / "mine" / "notes.txt").rename(tmp_path / "sets" / "mine" / "work" / "a.txt")
    for name in ("rejects.csv", "manifest.json"):
        with pytest.raises(UserError, match="mine: the folder holds something else"):
            by_beam(data, "elsewhere://sets/mine", [])
        (tmp_path / "sets" / "mine" / name).write_text("{}")
    assert (tmp_path / "sets" / "mine" / "work" / "a.txt").read_text() == "mine"


# --- the parts ---


def cropped(data: bytes) -> Cropped:
    return Cropped(data, None, None, b"", "", "", "")


def test_rejects_leave_no_gaps_in_the_numbers_of_records():
    """Seven faces, of which the second and fifth are rejected: five records, in shards of two."""
    sharding = Sharding(2, {"train": 7})
    records = [("train", rank, 10 * rank, cropped(b"")) for rank in range(7)]
    found = [n for record in records for n in numbered(record, sharding, {"train": [1, 4]})]
    assert [(key, number, position) for key, (number, position, _) in found] == [
        (("train", 0, 3), 0, 0),
        (("train", 0, 3), 1, 20),
        (("train", 1, 3), 2, 30),
        (("train", 1, 3), 3, 50),
        (("train", 2, 3), 4, 60),
    ]


def test_a_shard_that_failed_and_is_written_again_holds_each_record_once(tmp_path, monkeypatch):
    entries = [(number, 0, cropped(bytes([number]))) for number in (2, 0, 1, 2)]
    output, rename = Output(str(tmp_path)), FileSystems.rename

    def fail(sources, targets):
        monkeypatch.setattr(FileSystems, "rename", rename)
        raise OSError("the worker died")

    monkeypatch.setattr(FileSystems, "rename", fail)
    group = ("val", 0, 1), entries
    with pytest.raises(OSError, match="died"):
        write_shard(group, output)
    assert not list(tmp_path.glob("*.tfrecord"))
    for _ in range(2):
        write_shard(group, output)
    output.clear_work()
    shard = tmp_path / "val-00000-of-00001.tfrecord"
    assert list(tmp_path.iterdir()) == [shard]
    assert list(read_frames(shard)) == [b"\0", b"\1", b"\2"]
    assert shard.stat().st_size == 3 * len(frame(b"\0"))


def test_different_results_of_two_attempts_end_the_run():
    taken_and_rejected = [(0, "a"), (1, "b"), (1, "c"), (2, "d")]
    lost = [(0, "a"), (2, "d")]
    for found in (taken_and_rejected, lost, lost[:1]):
        with pytest.raises(CheckError, match="different results"):
            list(beam_pipeline._in_order(iter(found), 3))
    assert list(beam_pipeline._in_order(iter(taken_and_rejected[:2]), 2)) == ["a", "b"]


# --- errors ---


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--runer=DirectRunner"], "--runer: Beam has no such flag"),
        (["runner=DirectRunner"], "runner=DirectRunner: Beam's flags begin with --"),
        (["--direct_num_workers=two"], "invalid int value: 'two'"),
        (["--runner=HadoopRunner"], "Unexpected pipeline runner: HadoopRunner"),
    ],
)
def test_unknown_flags_of_beam_are_named(flags, words):
    with pytest.raises(UserError, match=words):
        beam_prepare._pipeline(flags)


def test_flags_of_job_servers_are_passed_on():
    pipeline = beam_prepare._pipeline(
        ["--runner=FlinkRunner", "--flink_master=host:8081", "--object_reuse", "true"]
    )
    assert pipeline.options.get_all_options(retain_unknown_options=True)["object_reuse"] == "true"


def test_missing_packages_of_a_file_system_are_named(data):
    with pytest.raises(UserError, match=r"^mars://x: .*apache-beam\["):
        by_beam(data, "mars://x", [])


def test_without_beam_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install 'senet_kp\[cluster\]'"):
        beam_prepare._pipeline([])


def test_a_workers_failure_is_reported_in_one_line(data, tmp_path, monkeypatch):
    def full(group, output):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(beam_pipeline, "write_shard", full)
    with pytest.raises(
        OutputError, match=r"failed in a worker: .*OSError: .* No space left"
    ) as caught:
        by_beam(data, tmp_path / "out")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_misspelled_flag_of_preparation_is_refused(data, tmp_path):
    flags = ("--contxt", "1", "--", "--runner=DirectRunner")
    result = run_module("-m", "data_prep.beam_prepare", "--data", data, "--out", tmp_path, *flags)
    assert result.returncode == 2 and "Traceback" not in result.stderr
