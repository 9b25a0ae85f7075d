"""Downloads from a local server: complete, interrupted, wrong and malicious archives."""

import hashlib
import io
import json
import stat
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import get_args

import numpy as np
import pytest
from conftest import assert_one_line_error, run_module
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep import download as command
from senet_kp.data_prep.download import SOURCES, DownloadConfig, Name, download
from senet_kp.data_prep.fetch import detector, transfer
from senet_kp.data_prep.fetch.transfer import TransferError, fetch, part_of
from senet_kp.data_prep.fetch.unpack import unpack
from senet_kp.inference import yunet
from senet_kp.tfrecords.errors import CheckError, InputError, ModelError, UserError

DRIVE_PAGE = (
    b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
    b'<form id="download-form"><input name="confirm" value="t"></form></body></html>'
)


def make_zip(members: dict, links=()) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if name in links:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
    return data.getvalue()


PIXELS = np.random.default_rng(0).bytes(300_000)
ARCHIVE = make_zip({"training/a.jpg": PIXELS, "training_frames_keypoints.csv": b"name,0"})
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


class Server(ThreadingHTTPServer):
    """A server that sends `body`; it interrupts the first `cuts` answers after `cut_at` bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.status, self.kind = ARCHIVE, 200, "application/zip"
        self.ranges, self.cuts, self.cut_at = True, 0, 150_000
        self.asked: list[str | None] = []  # the Range header of every request
        self.url = f"http://127.0.0.1:{self.server_address[1]}/archive.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers["Range"]
        server.asked.append(wanted)
        start = int(wanted[len("bytes=") : -1]) if wanted and server.ranges else 0
        if start >= len(server.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start and server.status == 200 else server.status)
        self.send_header("Content-Type", server.kind)
        self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        rest = server.body[start:]
        if server.cuts:
            server.cuts, rest = server.cuts - 1, rest[: server.cut_at]
            self.close_connection = True
        self.wfile.write(rest)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def known(monkeypatch):
    """Make ARCHIVE the expected archive of p1, by size and hash."""
    source = replace(SOURCES["p1"], size=len(ARCHIVE), sha256=DIGEST)
    monkeypatch.setitem(command.SOURCES, "p1", source)


@pytest.fixture
def config(server, tmp_path):
    return DownloadConfig("p1", tmp_path / "data", server.url)


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


ALL_THERE = [
    "p1/download.json",
    "p1/training/a.jpg",
    "p1/training_frames_keypoints.csv",
    "train-test-data.zip",
]


# --- complete downloads ---


def test_a_data_set_is_unpacked_and_a_second_run_sends_no_request(config, known, server, capsys):
    folder = download(config)
    assert names(config.out) == ALL_THERE and server.asked == [None]
    assert (folder / "training" / "a.jpg").read_bytes() == PIXELS
    mark = json.loads((config.out / "p1" / "download.json").read_text())
    assert mark == {"archive": "train-test-data.zip", "bytes": len(ARCHIVE), "sha256": DIGEST}
    assert f"DATA={folder} FORMAT=p1" in capsys.readouterr().out
    (config.out / "train-test-data.zip").unlink()  # as the command allows
    assert download(config) == folder
    assert "nothing to do" in capsys.readouterr().out and server.asked == [None]


def test_an_archive_put_there_by_hand_is_unpacked_without_a_request(config, known, server):
    config.out.mkdir()
    (config.out / "train-test-data.zip").write_bytes(ARCHIVE)
    download(config)
    assert names(config.out) == ALL_THERE and server.asked == []


def test_a_message_says_if_no_hash_is_known(config, capsys):
    download(config)
    assert f"SHA-256 {DIGEST}; could not be checked" in capsys.readouterr().out


def test_the_table_has_the_values_of_tensorflow_datasets():
    assert SOURCES["300w-lp"].size == 2_828_125_606 and SOURCES["aflw2000-3d"].size == 87_413_900
    assert SOURCES["300w-lp"].sha256.startswith("250c366c417ad48f")
    assert SOURCES["aflw2000-3d"].sha256.startswith("252bc35274d65ff2")
    assert SOURCES["p1"].size is SOURCES["p1"].sha256 is None
    assert all(len(s.sha256) == 64 for s in SOURCES.values() if s.sha256)


# --- interrupted downloads ---


def test_an_interrupted_download_is_resumed_within_the_command(config, known, server):
    server.cuts = 1
    download(config)
    first, second = server.asked
    have = int(second.removeprefix("bytes=").removesuffix("-"))
    assert first is None and 0 < have <= 150_000
    assert names(config.out) == ALL_THERE


def test_the_next_command_resumes_an_interrupted_one(config, known, server, monkeypatch):
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.cuts = 1
    with pytest.raises(TransferError, match="it was interrupted; run the same command again"):
        download(config)
    part = part_of(config.out / "train-test-data.zip")
    have = part.stat().st_size
    assert 0 < have <= 150_000 and part.read_bytes() == ARCHIVE[:have]
    assert names(config.out) == ["train-test-data.zip.part"]
    download(config)
    assert server.asked == [None, f"bytes={have}-"] and names(config.out) == ALL_THERE


def test_without_range_support_the_download_restarts(config, known, server):
    server.cuts, server.ranges = 1, False
    download(config)
    assert len(server.asked) == 2 and server.asked[1].startswith("bytes=")
    assert names(config.out) == ALL_THERE


def test_a_complete_part_is_not_requested_again(config, known, server):
    config.out.mkdir()
    part_of(config.out / "train-test-data.zip").write_bytes(ARCHIVE)
    download(config)
    assert server.asked == [] and names(config.out) == ALL_THERE


def test_a_complete_part_of_unknown_size_is_recognised_by_one_request(config, server):
    config.out.mkdir()
    part_of(config.out / "train-test-data.zip").write_bytes(ARCHIVE)
    download(config)
    assert server.asked == [f"bytes={len(ARCHIVE)}-"] and names(config.out) == ALL_THERE


def test_a_part_of_another_file_is_removed(config, server):
    config.out.mkdir()
    part_of(config.out / "train-test-data.zip").write_bytes(ARCHIVE + b"more")
    with pytest.raises(TransferError, match="is another file than"):
        download(config)
    assert names(config.out) == []
    download(config)
    assert names(config.out) == ALL_THERE


# --- wrong files ---


def test_a_wrong_size_is_refused(config, known, server):
    server.body = ARCHIVE[:-10]
    with pytest.raises(CheckError, match=f"has {len(ARCHIVE) - 10:,} bytes, not"):
        download(config)
    assert names(config.out) == []


def test_a_wrong_hash_is_refused(config, known, server):
    server.body = ARCHIVE[:-1] + b"x"
    with pytest.raises(CheckError, match=DIGEST):
        download(config)
    assert names(config.out) == []


def test_another_file_put_there_by_hand_is_named_and_kept(config, known, server):
    config.out.mkdir()
    archive = config.out / "train-test-data.zip"
    archive.write_bytes(ARCHIVE[:-1] + b"x")
    with pytest.raises(CheckError, match=f"not {DIGEST}; remove it"):
        download(config)
    archive.write_bytes(ARCHIVE[:-1])
    with pytest.raises(CheckError, match="bytes, not"):
        download(config)
    assert names(config.out) == ["train-test-data.zip"] and server.asked == []


@pytest.mark.parametrize(
    "body, kind, words",
    [
        (
            DRIVE_PAGE,
            "text/html; charset=utf-8",
            "Google Drive's page that asks for a confirmation",
        ),
        (b"<html><body>moved</body></html>", "text/html", "a web page"),
        (b"\n<!doctype HTML><title>Sign in</title>", "application/octet-stream", "a web page"),
    ],
)
def test_a_web_page_is_refused(config, server, body, kind, words):
    server.body, server.kind = body, kind
    with pytest.raises(TransferError, match=words) as caught:
        download(config)
    assert "by hand from Udacity's repository" in str(caught.value)
    assert names(config.out) == []


def test_a_web_page_instead_of_the_rest_keeps_the_part(config, known, server, monkeypatch):
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.cuts = 1
    with pytest.raises(TransferError):
        download(config)
    server.body, server.kind, server.ranges = DRIVE_PAGE, "text/html", False
    with pytest.raises(TransferError, match="Google Drive"):
        download(config)
    server.body, server.kind, server.ranges = ARCHIVE, "application/zip", True
    download(config)
    assert names(config.out) == ALL_THERE


def test_a_dead_link_says_in_one_line_what_to_do(server, tmp_path):
    server.status = 404
    arguments = ("-m", "data_prep.download", "300w-lp", "--out", tmp_path)
    result = run_module(*arguments, "--url", server.url)
    words = ("404", "300W-LP.zip by hand from the 3DDFA page", tmp_path, "--url", "same command")
    assert_one_line_error(result, 3, *words)
    assert names(tmp_path) == []


def test_the_command(server, tmp_path):
    arguments = ("-m", "data_prep.download", "p1", "--out", tmp_path, "--url", server.url)
    result = run_module(*arguments)
    assert result.returncode == 0 and names(tmp_path) == ALL_THERE, result.stderr


def test_what_cannot_be_fetched_is_named(server, tmp_path):
    result = run_module("-m", "data_prep.download", "coco", "--out", tmp_path)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert all(w in result.stderr for w in ("coco", "300w-lp", "aflw2000-3d", "p1", "vgg16"))
    assert set(get_args(Name)) == {*SOURCES, "yunet"}
    with pytest.raises(TransferError, match="no-link.* get AFLW2000-3D.zip by hand"):
        download(DownloadConfig("aflw2000-3d", tmp_path, "no-link"))
    with pytest.raises(CheckError, match="bytes, not 87,413,900"):
        download(DownloadConfig("aflw2000-3d", tmp_path, server.url))


def test_no_connection(tmp_path):
    with pytest.raises(TransferError, match="no connection"):
        fetch("http://127.0.0.1:9/a.zip", tmp_path / "a.zip", None, None)
    assert names(tmp_path) == []


def test_a_folder_of_other_files_is_not_replaced(config, known):
    (config.out / "p1").mkdir(parents=True)
    (config.out / "p1" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        download(config)
    assert (config.out / "p1" / "mine.txt").read_text() == "mine"


# --- the weights of a trunk, in a tar.gz archive ---


def make_tar(members: dict, kinds=()) -> bytes:
    """A tar.gz archive; kinds: {name: tarfile type} of members that are no files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if kind := dict(kinds).get(name):
                info.type, info.size, info.linkname = kind, 0, "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


WEIGHTS = {"vgg_16.ckpt": PIXELS}
TAR_NAME = "vgg_16_2016_08_28.tar.gz"


@pytest.fixture
def weights(server, tmp_path):
    server.body, server.kind = make_tar(WEIGHTS), "application/x-tar"
    return DownloadConfig("vgg16", tmp_path / "data", server.url)


def test_weights_are_unpacked_and_the_next_command_is_named(weights, server, capsys):
    file = download(weights)
    assert file == weights.out / "vgg16" / "vgg_16.ckpt" and file.read_bytes() == PIXELS
    assert names(weights.out) == ["vgg16/download.json", "vgg16/vgg_16.ckpt", TAR_NAME]
    assert f"{file}: 1 files; train with --net vgg16 --init-from {file};" in capsys.readouterr().out
    download(weights)
    assert server.asked == [None] and "nothing to do" in capsys.readouterr().out


def test_the_published_archive_of_the_weights():
    source = SOURCES["vgg16"]
    assert source.url == f"https://download.tensorflow.org/models/{TAR_NAME}"
    assert source.archive == TAR_NAME and source.contents == "vgg_16.ckpt"
    assert source.size is source.sha256 is None, "none is published"


@pytest.mark.parametrize("damage", [lambda d: b"no archive", lambda d: d[: len(d) // 2]])
def test_a_damaged_tar_archive_leaves_no_folder(weights, server, damage):
    server.body = damage(server.body)
    with pytest.raises(InputError, match="not a complete tar.gz archive"):
        download(weights)
    assert names(weights.out) == [TAR_NAME]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("../evil.txt", None, "leads out"),
        ("/evil.txt", None, "absolute"),
        ("link", tarfile.SYMTYPE, "is a link"),
        ("link", tarfile.LNKTYPE, "is a link"),
        ("pipe", tarfile.FIFOTYPE, "is neither a file nor a folder"),
        ("disk", tarfile.BLKTYPE, "is neither a file nor a folder"),
    ],
)
def test_malicious_tar_archives_are_refused_as_a_whole(weights, server, name, kind, reason):
    server.body = make_tar(WEIGHTS | {name: b"x"}, {name: kind})
    with pytest.raises(InputError, match=f"refused, its member .*{reason}") as caught:
        download(weights)
    assert "\n" not in str(caught.value)
    assert names(weights.out.parent) == [f"data/{TAR_NAME}"]


def test_folders_in_a_tar_archive_are_no_files(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(
        make_tar({"sub": b"", "sub/a.txt": b"1"}, {"sub": tarfile.DIRTYPE})
    )
    (tmp_path / "in").mkdir()
    assert unpack(tmp_path / "a.tar.gz", tmp_path / "in") == 1
    assert names(tmp_path / "in") == ["sub/a.txt"]


# --- archives ---


@pytest.mark.parametrize(
    "name, links, reason",
    [
        ("../evil.txt", (), "leads out"),
        ("a/../../evil.txt", (), "leads out"),
        ("a\\..\\..\\evil.txt", (), "leads out"),
        ("/evil.txt", (), "absolute"),
        ("C:\\evil.txt", (), "absolute"),
        ("\\evil.txt", (), "absolute"),
        ("a/link", ("a/link",), "is a link"),
    ],
)
def test_malicious_archives_are_refused_as_a_whole(config, server, name, links, reason):
    server.body = make_zip({"training/a.jpg": b"fine", name: b"/etc/passwd"}, links)
    with pytest.raises(InputError, match=f"refused, its member .*{reason}") as caught:
        download(config)
    assert "\n" not in str(caught.value)
    assert names(config.out) == ["train-test-data.zip"]
    assert names(config.out.parent) == ["data/train-test-data.zip"]


@given(
    st.lists(st.sampled_from(["..", ".", "a", "b.txt", "", "C:"]), min_size=1, max_size=5),
    st.sampled_from("/\\"),
)
def test_no_member_is_written_outside_the_folder(tmp_path_factory, parts, slash):
    root = tmp_path_factory.mktemp("root")
    (root / "in").mkdir()
    name = slash.join(parts) + "/x"
    (root / "a.zip").write_bytes(make_zip({name: b"1"}))
    try:
        unpack(root / "a.zip", root / "in")
    except InputError:
        assert names(root) == ["a.zip"]
    assert all(found.startswith(("a.zip", "in/")) for found in names(root))
    if ".." in parts:
        assert names(root) == ["a.zip"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"no archive",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(PIXELS[5000:5100], bytes(100)),  # its CRC-32 does not match
    ],
)
def test_a_damaged_archive_leaves_no_folder(config, server, damage):
    server.body = damage(ARCHIVE)
    with pytest.raises(InputError, match="not a complete zip archive"):
        download(config)
    assert names(config.out) == ["train-test-data.zip"]
    assert [p.name for p in config.out.iterdir()] == ["train-test-data.zip"]


# --- YuNet's file, which goes to the cache ---


@pytest.fixture
def known_yunet(monkeypatch, tmp_path):
    """Make PIXELS the expected file of YuNet; its place in an empty cache."""
    monkeypatch.setenv("SENET_KP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(yunet, "FILE_BYTES", len(PIXELS))
    monkeypatch.setattr(yunet, "FILE_SHA256", hashlib.sha256(PIXELS).hexdigest())
    monkeypatch.setattr(detector, "FILE_BYTES", yunet.FILE_BYTES)
    monkeypatch.setattr(detector, "FILE_SHA256", yunet.FILE_SHA256)
    return tmp_path / "cache" / "face_detection_yunet_2026may.onnx"


def test_yunet_is_downloaded_into_the_cache_once(known_yunet, server, capsys):
    server.body = PIXELS
    for _ in range(2):
        assert download(DownloadConfig("yunet", url=server.url)) == known_yunet
    assert known_yunet.read_bytes() == PIXELS and server.asked == [None]
    assert "nothing to do" in capsys.readouterr().out
    assert yunet.cached_file() == known_yunet


def test_another_file_in_yunets_place_is_an_error_until_it_is_fetched(known_yunet, server):
    known_yunet.parent.mkdir()
    known_yunet.write_bytes(b"cut")
    with pytest.raises(ModelError, match="is not YuNet's file .* senet-kp fetch yunet"):
        yunet.cached_file()
    server.body = PIXELS
    download(DownloadConfig("yunet", url=server.url))
    assert yunet.cached_file() == known_yunet


def test_yunet_is_installed_from_a_file_of_the_known_hash(known_yunet, tmp_path):
    file = tmp_path / "mine.onnx"
    with pytest.raises(InputError, match="no such file"):
        download(DownloadConfig("yunet", file=file))
    file.write_bytes(PIXELS[:-1])
    with pytest.raises(CheckError, match="mine.onnx: is not face_detection_yunet_2026may.onnx"):
        download(DownloadConfig("yunet", file=file))
    assert not known_yunet.exists()
    file.write_bytes(PIXELS)
    assert download(DownloadConfig("yunet", file=file)).read_bytes() == PIXELS


def test_only_yunet_is_installed_from_a_file(tmp_path):
    with pytest.raises(UserError, match="--file: only yunet"):
        download(DownloadConfig("p1", file=tmp_path / "p1.zip"))
