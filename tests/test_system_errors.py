"""Errors of the system are one line with an exit code, whatever met them, and never a traceback."""

import errno
import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, face_points, make_picture, run_module

from senet_kp.face.pictures import BadPicture, read_picture, write_picture
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError, OutputError, UserError, system_error
from senet_kp.tfrecords.files import atomic_path, write_bytes, write_json


def error_of(number: int, path="results/x.json"):
    return OSError(number, os.strerror(number), path)


def of_tensorflow(kind: str, message: str):
    return getattr(tf.errors, f"{kind}Error")(None, None, message)


@pytest.mark.parametrize(
    "number, code, word",
    [
        (errno.ENOSPC, 6, "the disk is full"),
        (errno.EDQUOT, 6, "quota"),
        (errno.EFBIG, 6, "ulimit -f"),
        (errno.EROFS, 6, "read-only"),
        (errno.ETXTBSY, 6, "running"),
        (errno.ENOTEMPTY, 6, "meanwhile"),
        (errno.EMFILE, 6, "ulimit -n"),
        (errno.ENFILE, 6, "whole system"),
        (errno.ENOMEM, 6, "memory"),
        (errno.EIO, 3, "disk reports an error"),
        (errno.ENAMETOOLONG, 3, "too long"),
        (errno.ELOOP, 3, "circle"),
        (errno.ENOENT, 3, "no such file"),
        (errno.EISDIR, 3, "folder"),
        (errno.ESTALE, 3, os.strerror(errno.ESTALE)),
    ],
)
def test_every_error_of_a_file_has_a_line_and_a_code(number, code, word):
    found = system_error(error_of(number))
    assert found.exit_code == code and word in str(found)
    assert str(found).startswith("results/x.json: ")


def test_what_is_no_error_of_the_system_keeps_its_traceback():
    assert system_error(ValueError("a bug")) is None
    assert system_error(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


@pytest.mark.parametrize(
    "error, code, word",
    [
        (MemoryError(), 6, "memory is used up"),
        (ImportError("a.so: failed to map segment from shared object"), 6, "memory is used up"),
        (OSError("a broken archive"), 3, "a broken archive"),
        (BrokenProcessPool("a child died"), 6, "--processes"),
        (
            of_tensorflow("ResourceExhausted", "run/a; No space left on device"),
            6,
            "run/a: the disk",
        ),
        (of_tensorflow("ResourceExhausted", "OOM when allocating"), 6, "--batch-size"),
        (of_tensorflow("Unknown", "Failed: run/a; Input/output error"), 3, "run/a: the disk"),
        (of_tensorflow("PermissionDenied", "run/a; Operation not permitted"), 6, "run/a: no"),
        (of_tensorflow("PermissionDenied", "not allowed"), 6, "not allowed"),
    ],
)
def test_other_errors_of_the_system(error, code, word):
    found = system_error(error)
    assert found.exit_code == code and word in str(found)


def test_memory_that_numpy_and_opencv_lack():
    with pytest.raises(MemoryError) as caught:
        np.zeros(1 << 50, np.uint8)
    assert "memory" in str(system_error(caught.value))
    with pytest.raises(cv2.error) as caught:
        cv2.resize(np.zeros((2, 2, 3), np.uint8), (400_000, 400_000))
    assert "OpenCV: the memory" in str(system_error(caught.value))


@pytest.mark.parametrize("path", ["/proc/senet_kp/x.json", "/dev/full", "/dev/null", "/dev/full/x"])
def test_places_where_nothing_can_be_written(path):
    with pytest.raises(OutputError, match=path.split("/x")[0]):
        write_json(path, {})
    assert not os.path.isfile("/dev/null")


def test_an_error_of_writing_names_the_result_and_one_of_reading_its_own_file(tmp_path):
    with (
        pytest.raises(OutputError, match=r"a\.txt: the disk is full"),
        atomic_path(tmp_path / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(FileNotFoundError, match="photo"), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "photo.jpg").read_bytes()
    with pytest.raises(OutputError, match="too long"):
        write_bytes(tmp_path / ("a" * 300), b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="a folder or a device"):
        write_bytes(tmp_path / "folder", b"")
    with pytest.raises(UserError, match=r"a\.xyz: OpenCV writes no pictures named \.xyz"):
        write_picture(tmp_path / "a.xyz", np.zeros((2, 2, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_link_to_a_file_stays_one(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_bytes(tmp_path / "link.json", b"{}")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "real.json").read_bytes() == b"{}"


def test_too_many_open_files_are_not_blamed_on_a_picture(tmp_path, monkeypatch):
    def no_more_files(path):
        raise error_of(errno.EMFILE, str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", no_more_files)
    with pytest.raises(OSError) as caught:
        read_picture(tmp_path / "photo.jpg")
    assert not isinstance(caught.value, BadPicture) and caught.value.errno == errno.EMFILE


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), make_picture(face_points((225, 230), 200)))
    (tmp_path / "boxes.json").write_text('{"photo.png": [[120, 130, 210, 210]]}')
    return path


def demo(photo, *flags):
    boxes = ("--boxes", photo.with_name("boxes.json"))
    return "-m", "senet_kp.demo.command", *[photo] * 3, *boxes, *flags


@pytest.mark.parametrize(
    "place", [("--out", "/dev/full"), ("--out", "/proc/x"), ("--json", "/proc/x/y.jsonl")]
)
def test_the_demo_ends_with_one_line_where_it_cannot_write(photo, tmp_path, place):
    out = ("--out", tmp_path / "out") if place[0] == "--json" else ()
    assert_one_line_error(run_module(*demo(photo, *out, *place)), 6, place[1].split("/y")[0])


def test_a_closed_pipe_is_quiet_and_a_full_disk_behind_it_is_not(photo, tmp_path):
    command = [sys.executable, *map(str, demo(photo, "--out", tmp_path / "out", "--json", "-"))]
    options = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True}
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(command, stdout=writing, check=False, **options)
    os.close(writing)
    assert result.returncode == 141, result.stderr
    assert "error" not in result.stderr and "Traceback" not in result.stderr
    assert "sources are done" not in result.stderr
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, check=False, **options)
    assert_one_line_error(result, 6, "the disk is full")
    with open("/dev/full", "w") as full:  # buffered until the end
        command = [sys.executable, "-m", "senet_kp", "--help"]
        result = subprocess.run(command, stdout=full, check=False, **options)
    assert_one_line_error(result, 6, "the disk is full")


def test_files_that_a_user_may_not_read_are_inputs(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr("os.access", lambda *_: False)
    found = system_error(error_of(errno.EACCES, str(tmp_path / "a.json")))
    assert isinstance(found, InputError) and "no permission to read" in str(found)
    found = system_error(error_of(errno.EACCES, str(tmp_path / "new.json")))
    assert isinstance(found, OutputError) and "no permission to write" in str(found)


def test_a_real_limit_of_open_files(tmp_path):
    code = "from senet_kp.tfrecords.errors import exit_code_of; import sys, resource\n"
    code += "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
    code += f"sys.exit(exit_code_of(lambda: open({str(tmp_path / 'a')!r}, 'w')))"
    result = run_module("-c", code)
    assert_one_line_error(result, 6, "ulimit -n")
