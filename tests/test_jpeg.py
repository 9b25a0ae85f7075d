"""Damage in JPEG files: found in the middle and at the end; what follows the end is no damage."""

import os
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from senet_kp.face.jpeg import damage_in_segments
from senet_kp.face.picture_size import size_in_header
from senet_kp.face.pictures import BadPicture, decode_picture

NOISE = np.random.default_rng(0)
PICTURE = cv2.resize(NOISE.integers(0, 255, (40, 40, 3), np.uint8), (400, 300))


def encoded(*options) -> bytes:
    return cv2.imencode(".jpg", PICTURE, options)[1].tobytes()


KINDS = {
    "baseline": encoded(),
    "progressive": encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": encoded(cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "grey": cv2.imencode(".jpg", PICTURE[:, :, 0])[1].tobytes(),
}
every_kind = pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)


def damaged_in_the_middle(data: bytes, by: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + by + data[half + len(by) :]


@every_kind
def test_a_sound_file_is_read_whatever_follows_it(data, capfd):
    """A video, another picture, a start of scan as in half of all motion photos."""
    expected = decode_picture(data, "a.jpg")
    for trailer in (b"\xff\xda", b"\0\0\0\x18ftypmp42" + NOISE.bytes(9000), data, data[:-900]):
        np.testing.assert_array_equal(decode_picture(data + trailer, "a.jpg"), expected)
    assert capfd.readouterr().err == ""


def test_markers_inside_segments_are_not_looked_at():
    """A thumbnail in the EXIF segment has start, scan and end markers of its own."""
    inside = b"Exif\0\0\xff\xd8\xff\xda\xff\xd9\xff\x02"
    segment = b"\xff\xe1" + (len(inside) + 2).to_bytes(2, "big") + inside
    data = KINDS["baseline"]
    padded = data[:2] + segment + b"\xff\xff" + data[2:]  # fill bytes before a marker are allowed
    np.testing.assert_array_equal(decode_picture(padded, "a.jpg"), decode_picture(data, "a.jpg"))
    with pytest.raises(BadPicture, match="truncated"):
        decode_picture(padded[:-2], "a.jpg")


@every_kind
@pytest.mark.parametrize(
    "by",
    [NOISE.bytes(3000), b"<html>not found</html>" * 100, b"\xff\x02", b"\xff\xd8"],
    ids=["noise", "text", "reserved", "start"],
)
def test_a_damaged_middle_is_refused(data, by, capfd):
    with pytest.raises(BadPicture, match="a damaged JPEG") as caught:
        decode_picture(damaged_in_the_middle(data, by), "a.jpg")
    assert caught.value.reason == "corrupt" and str(caught.value).startswith("a.jpg: ")
    assert capfd.readouterr().err == ""  # the warning is in the error


@every_kind
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_missing_end_is_refused_whatever_is_left(data, kept):
    with pytest.raises(BadPicture) as caught:
        decode_picture(data[: int(len(data) * kept)], "a.jpg")
    assert caught.value.reason == "truncated"


def test_a_missing_middle_is_refused():
    data = KINDS["baseline"]
    half = len(data) // 2
    with pytest.raises(BadPicture, match="a damaged JPEG"):
        decode_picture(data[:half] + data[half + 2000 :], "a.jpg")


def test_what_others_print_meanwhile_is_passed_on(monkeypatch, capfd):
    real = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *a: os.write(2, b"of another\n") and real(*a))
    decode_picture(KINDS["baseline"], "a.jpg")
    assert capfd.readouterr().err == "of another\n"


@pytest.fixture(scope="module")
def in_cpp(tmp_path_factory):
    """What the header of the C++ example says of some data; needs no OpenCV."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("cpp")
    (folder / "check.cpp").write_text(
        '#include <fstream>\n#include <iostream>\n#include <iterator>\n#include "jpeg.hpp"\n'
        "int main(int, char** words) {\n"
        "    std::ifstream file(words[1], std::ios::binary);\n"
        "    std::cout << senet_kp::jpeg_damage({std::istreambuf_iterator<char>(file), {}});\n}\n"
    )
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", "examples/cpp"]
    command = ["g++", *flags, folder / "check.cpp", "-o", folder / "check"]
    subprocess.run(command, cwd=ROOT, check=True)

    def run(data: bytes) -> str:
        (folder / "data").write_bytes(data)
        call = [folder / "check", folder / "data"]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout

    return run


PIECES = st.sampled_from([bytes((0xFF, marker)) for marker in range(256)] + [b"\0\2", b"\0\5abc"])


@settings(max_examples=150)
@given(st.lists(PIECES | st.binary(max_size=4), max_size=12).map(b"".join))
def test_cpp_finds_the_same_damage(in_cpp, data):
    expected = damage_in_segments(b"\xff\xd8" + data)
    words = {None: "", "truncated": "a truncated JPEG", "corrupt": "a damaged JPEG"}
    found = in_cpp(b"\xff\xd8" + data)
    word = words[expected and expected[0]]
    assert found.startswith(word) if word else found == ""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif"])
def test_a_header_that_states_a_billion_pixels_is_refused_before_decoding(suffix):
    """Two damaged bytes made a file of 9 KB take 5 GB."""
    data = cv2.imencode(suffix, PICTURE)[1].tobytes()
    height, width = PICTURE.shape[:2]
    assert size_in_header(data) == (width, height)
    order = "little" if suffix in (".bmp", ".gif") else "big"
    length = 2 if suffix in (".jpg", ".gif") else 4
    small = [side.to_bytes(length, order) for side in (width, height)]
    small = small[::-1] if suffix == ".jpg" else small
    large = data.replace(b"".join(small), (30_000).to_bytes(length, order) * 2, 1)
    with pytest.raises(BadPicture, match="a size of 30,000x30,000 px") as caught:
        decode_picture(large, "a.jpg")
    assert caught.value.reason == "too-large"


def test_a_file_without_a_header_states_no_size():
    data = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    for start in (
        b"",
        data[:20],
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"\xff\xd8\xff",
    ):
        assert size_in_header(start) is None
