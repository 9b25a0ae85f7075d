"""What the demo leaves behind: names, results of interrupted runs, full disks, unusable sources."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, face_points, make_picture, run_module

from senet_kp.demo.frames import VideoReader
from senet_kp.demo.lines import JSON, lines
from senet_kp.demo.names import DrawnNames
from senet_kp.demo.results import video_file
from senet_kp.demo.sources import is_video
from senet_kp.face.facebox import is_beside
from senet_kp.face.folders import pictures_in
from senet_kp.face.pictures import write_picture
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.tfrecords.errors import InputError, OutputError

PICTURE = make_picture(face_points((100, 100), 120), (200, 200))
BOX = [20.0, 20.0, 160.0, 160.0]


@pytest.fixture
def boxes(tmp_path):
    """A boxes file for every name that these tests use; no detector is needed."""
    names = ["photo.jpg", "photo.webp", "clip.avi", *(f"{i}.png" for i in range(400))]
    (tmp_path / "boxes.json").write_text(json.dumps({name: [BOX] for name in names}))
    return tmp_path / "boxes.json"


def write_clip(path, frames: int):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (200, 200))
    for _ in range(frames):
        writer.write(PICTURE[:, :, ::-1])
    writer.release()


def frames_in(path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- names ---


def test_equal_names_get_numbers(tmp_path):
    names = DrawnNames(tmp_path)
    stems = ["photo", "photo", "PHOTO", "other"]
    found = [names.target(stem, ".jpg").name for stem in stems]
    assert found == [
        "photo-landmarks.jpg",
        "photo-landmarks-2.jpg",
        "PHOTO-landmarks-3.jpg",
        "other-landmarks.jpg",
    ]
    assert names.target("photo", ".png") == tmp_path / "photo-landmarks.png"


def test_every_picture_of_two_folders_keeps_its_drawing(tmp_path, boxes):
    for name in ("a/photo.jpg", "a/photo.webp", "b/photo.jpg"):
        write_picture_in(tmp_path / name)
    flags = ("--boxes", boxes, "--out", tmp_path / "out")
    result = run_module("demo.py", tmp_path / "a", tmp_path / "b", *flags)
    assert result.returncode == 0, result.stderr
    assert names_in(tmp_path / "out") == [
        "photo-landmarks-2.jpg",
        "photo-landmarks-3.jpg",
        "photo-landmarks.jpg",
    ]


def write_picture_in(path):
    path.parent.mkdir(exist_ok=True)
    write_picture(path, PICTURE)


# --- interrupted and failed runs ---


def test_lines_before_an_error_are_kept(tmp_path):
    target = tmp_path / "points.jsonl"
    with pytest.raises(KeyboardInterrupt), lines(str(target), JSON) as write_line:
        write_line({"a": 1})
        write_line({"a": 2})
        raise KeyboardInterrupt
    assert target.read_text() == '{"a": 1}\n{"a": 2}\n' and names_in(tmp_path) == [target.name]


def test_an_error_before_the_first_line_leaves_the_earlier_file(tmp_path):
    (tmp_path / "points.jsonl").write_text("earlier")
    with pytest.raises(OutputError), lines(str(tmp_path / "points.jsonl"), JSON):
        raise OutputError("nothing was written")
    assert (tmp_path / "points.jsonl").read_text() == "earlier"
    assert names_in(tmp_path) == ["points.jsonl"]


def limited(code: str, size_bytes: int):
    """Run code in a process whose files cannot grow beyond this size."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size_bytes},) * 2)\n"
    return run_module("-c", limit + code)


def test_a_full_disk_keeps_whole_lines_only(tmp_path):
    code = f"""
from senet_kp.demo.frames import VideoReader
from senet_kp.demo.lines import JSON, lines
from senet_kp.tfrecords.errors import exit_code_of
def run():
    with lines({str(tmp_path / "points.jsonl")!r}, JSON) as write_line:
        for _ in range(10):
            write_line("x" * 27)  # 30 bytes with its quotes and the end of the line
raise SystemExit(exit_code_of(run))
"""
    assert_one_line_error(limited(code, 100), 6, "points.jsonl")
    assert (tmp_path / "points.jsonl").read_text() == ('"' + "x" * 27 + '"\n') * 3


def _heed_ctrl_c():
    """A process that a script starts in the background ignores Ctrl-C, and its children do too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_done(tmp_path, boxes, number):
    for i in range(400):
        write_picture_in(tmp_path / "in" / f"{i}.png")
    out, points = tmp_path / "out", tmp_path / "points.jsonl"
    flags = map(str, (tmp_path / "in", "--boxes", boxes, "--out", out, "--json", points))
    process = subprocess.Popen(
        [sys.executable, "demo.py", *flags],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )
    part = tmp_path / "points.jsonl.part"
    while process.poll() is None and (not part.exists() or not part.stat().st_size):
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    done = [json.loads(line) for line in part.read_text().splitlines()]
    assert 1 <= len(done) < 400 and all(line["faces"] for line in done)
    assert len(done) <= len(os.listdir(out))  # a line is written after its drawing
    assert f"{len(done)} of 400 sources are done: {out}, {part}; the same command goes" in stderr
    assert "error: interrupted" in stderr and not points.exists()
    assert not list(tmp_path.glob(".*.tmp*"))


def test_an_interrupted_video_is_named_incomplete(tmp_path):
    target = tmp_path / "clip.mp4"
    target.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), video_file(target, 10, (200, 200)) as write_frame:
        for _ in range(4):
            write_frame(PICTURE)
        raise KeyboardInterrupt
    assert names_in(tmp_path) == ["clip-incomplete.mp4", "clip.mp4"]
    assert frames_in(tmp_path / "clip-incomplete.mp4") == 4
    assert target.read_text() == "earlier"


def test_a_whole_video_has_its_own_name(tmp_path):
    with video_file(tmp_path / "clip.mp4", 10, (200, 200)) as write_frame:
        for _ in range(4):
            write_frame(PICTURE)
    assert names_in(tmp_path) == ["clip.mp4"] and frames_in(tmp_path / "clip.mp4") == 4


def test_an_interrupt_before_the_first_frame_leaves_no_video(tmp_path):
    with pytest.raises(KeyboardInterrupt), video_file(tmp_path / "clip.mp4", 10, (200, 200)):
        raise KeyboardInterrupt
    assert names_in(tmp_path) == []


def test_frames_that_are_not_in_the_file_are_an_error(tmp_path):
    """cv2.VideoWriter leaves out a frame of another size without a word."""
    with (
        pytest.raises(OutputError, match="only 1 of 2 frames"),
        video_file(tmp_path / "clip.mp4", 10, (200, 200)) as write_frame,
    ):
        write_frame(PICTURE)
        write_frame(np.zeros((90, 90, 3), np.uint8))
    assert names_in(tmp_path) == []


def test_a_video_on_a_full_disk_exits_with_6(tmp_path, boxes):
    write_clip(tmp_path / "clip.avi", 30)
    out = tmp_path / "out"
    code = f"""
import sys
from senet_kp.demo.command import main
from senet_kp.tfrecords.errors import exit_code_of
clip, boxes, out = {[str(tmp_path / "clip.avi"), str(boxes), str(out)]!r}
sys.argv = ["demo.py", clip, "--boxes", boxes, "--out", out]
raise SystemExit(exit_code_of(main))
"""
    assert_one_line_error(limited(code, 4000), 6, "clip-landmarks.mp4", "frames")
    assert names_in(out) == []


# --- sources that cannot be used ---


def test_an_empty_folder_does_not_end_the_run(tmp_path, boxes):
    (tmp_path / "empty").mkdir()
    write_picture_in(tmp_path / "a" / "photo.jpg")
    sources = (tmp_path / "a", tmp_path / "empty", tmp_path / "a" / "photo.jpg")
    flags = ("--boxes", boxes, "--out", tmp_path / "out", "--json", tmp_path / "points.jsonl")
    result = run_module("demo.py", *sources, *flags)
    assert_one_line_error(result, 3, "empty", "without pictures")
    assert len((tmp_path / "points.jsonl").read_text().splitlines()) == 2
    assert names_in(tmp_path / "out") == ["photo-landmarks-2.jpg", "photo-landmarks.jpg"]


def test_videos_are_known_by_their_contents_too(tmp_path):
    write_clip(tmp_path / "clip.avi", 3)
    (tmp_path / "clip.avi").rename(tmp_path / "clip.unknown")
    assert is_video(str(tmp_path / "clip.unknown"))
    write_picture(tmp_path / "photo.png", PICTURE)
    (tmp_path / "photo.png").rename(tmp_path / "photo.unknown")
    assert not is_video(str(tmp_path / "photo.unknown"))
    (tmp_path / "notes.unknown").write_text("neither")
    assert not is_video(str(tmp_path / "notes.unknown"))
    assert not is_video(str(tmp_path / "missing.unknown"))
    assert is_video("clip.WMV") and is_video("rtsp://camera/live") and not is_video("photo.jpg")


@pytest.mark.parametrize(
    "source, words", [("no.mp4", "No such file"), ("rtsp://127.0.0.1:9/s", "from this address")]
)
def test_videos_that_are_not_there_say_so(source, words):
    with pytest.raises(InputError, match=words):
        VideoReader(source)


def test_a_box_beside_the_picture_is_reported_and_gets_no_landmarks(tmp_path):
    write_picture(tmp_path / "photo.jpg", PICTURE)
    beside = [[5000, 5000, 200, 200], [-180, 20, 160, 160]]
    (tmp_path / "boxes.json").write_text(json.dumps({"photo.jpg": [beside[0], BOX, beside[1]]}))
    flags = ("--boxes", tmp_path / "boxes.json", "--out", tmp_path, "--json", "-")
    result = run_module("demo.py", tmp_path / "photo.jpg", *flags)
    assert result.returncode == 0, result.stderr
    assert [face["box"] for face in json.loads(result.stdout)["faces"]] == [BOX]
    for box in beside:
        assert f"the box {box} lies outside the picture of 200x200 px" in result.stderr


@pytest.mark.parametrize(
    "box, beside",
    [
        ([199.4, 0, 10, 10], False),  # the picture ends at 199.5
        ([199.5, 0, 10, 10], True),
        ([0, 99.5, 10, 10], True),
        ([-10.4, 0, 10, 10], False),
        ([-10.5, 0, 10, 10], True),
        ([0, -10.5, 10, 10], True),
        ([-50, -50, 900, 900], False),
    ],
)
def test_boxes_beside_a_picture(box, beside):
    assert is_beside(box, np.zeros((100, 200, 3), np.uint8)) == beside


@pytest.mark.parametrize(
    "box, words",
    [
        ([900, 0, 50, 50], "outside the picture of 200x200 px"),
        ([0, 0, 50], "has to be"),
        ([0, 0, 0, 0], "has to be"),
        ([0, 0, float("nan"), 50], "has to be"),
    ],
)
def test_boxes_without_a_face_to_look_at_are_refused_in_code(box, words):
    with pytest.raises(ValueError, match=words):
        LandmarkPredictor().predict(PICTURE, [box])


def test_hidden_files_of_a_folder_are_left_out(tmp_path):
    """A Mac writes ._photo.jpg, which is no picture, beside photo.jpg on a USB stick."""
    for name in ("b.png", "a.PNG", "._a.png", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path).pictures] == ["a.PNG", "b.png"]
    for name in ("b.png", "a.PNG"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="a folder without pictures"):
        pictures_in(tmp_path)
