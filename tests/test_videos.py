"""The demo on videos and pipes: frames, time stamps, identities, and how sources end."""

import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, run_module

from senet_kp.demo import frames as demo_frames
from senet_kp.demo.frames import Frames, PipeReader, VideoReader
from senet_kp.demo.videos import Fit, FpsMeter
from senet_kp.face.jpeg import end_of_jpeg
from senet_kp.face.pictures import read_picture
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import read_csv

SHEET = ROOT / "data_prep/sample_faces/contact_sheet.jpg"
SIZE = (320, 240)


def plain(level: int, size=SIZE) -> np.ndarray:
    """A picture of one grey level, RGB."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def jpeg(picture) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()


def write_video(path, pictures, fps=25.0):
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture(scope="module")
def face():
    """A rendered face [H, W, 3] RGB that the detector finds."""
    from senet_kp.data_prep.sample_faces.identity import render_identity

    image = render_identity(3, 5, 1)[0].image[..., ::-1]
    return cv2.resize(image, (240, 240), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def clip(face, tmp_path_factory):
    """A video of 24 frames in which the face goes to the right by 2 px a frame."""
    pictures = []
    for number in range(24):
        picture = plain(90)
        picture[:, 2 * number : 2 * number + 240] = face
        pictures.append(picture)
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures)


# --- frames ---


def test_a_video_has_its_own_time_stamps(tmp_path):
    path = write_video(tmp_path / "a.mp4", [plain(30 * number) for number in range(6)], 12.5)
    reader = VideoReader(str(path))
    assert (reader.name, reader.fps, reader.size, reader.count) == ("a", 12.5, SIZE, 6)
    frames = list(reader)
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(6) / 12.5, atol=1e-3)
    assert abs(frames[3].picture.mean() - 90) < 3
    assert reader.ending is None


def test_time_stamps_grow_where_a_source_repeats_them():
    class Repeating(Frames):
        fps = 10.0

        def _read(self):
            for time_s in (0.0, 0.0, 0.3, 0.2):
                yield time_s, plain(0)

    times_s = [frame.time_s for frame in Repeating()]
    np.testing.assert_allclose(times_s, [0.0, 0.1, 0.3, 0.4])


def test_a_video_that_is_cut_off_says_so(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", [plain(100)] * 6)
    reader = VideoReader(str(path))
    reader.count = 60  # as the header of a longer video says
    list(reader)
    assert reader.ending == (
        f"{path}: only 6 of 60 frames could be read; the file is cut off or damaged"
    )


class Stream:
    """An address of which two frames arrive, and then none, as OpenCV shows it."""

    def __init__(self, *args):
        self.left = 2

    def read(self):
        self.left -= 1
        return self.left >= 0, plain(50)

    def get(self, what):
        return 0.0


@pytest.mark.parametrize("waited_s, words", [(0, ""), (10, ", no frame came for 10 s")])
def test_a_stream_that_ends_or_stalls_says_so(monkeypatch, waited_s, words):
    clock = iter([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5 + waited_s])
    monkeypatch.setattr(demo_frames, "_capture", Stream)
    monkeypatch.setattr(demo_frames.time, "monotonic", lambda: next(clock))
    reader = VideoReader("rtsp://camera/live")
    assert [round(frame.time_s, 3) for frame in reader] == [0.1, 0.4]
    assert reader.ending == f"rtsp://camera/live: the stream ended after 2 frames{words}"


def test_frames_from_a_pipe_of_jpegs():
    levels = (10, 120, 240)
    data = b"noise" + b"--boundary\r\n".join(jpeg(plain(level)) for level in levels)
    reader = PipeReader(io.BufferedReader(io.BytesIO(data)), fps=50)
    frames = list(reader)
    assert [round(frame.picture.mean()) for frame in frames] == [*levels]
    assert [frame.time_s for frame in frames] == [0.0, 0.02, 0.04]
    assert reader.size == SIZE and reader.ending is None
    cut = PipeReader(io.BufferedReader(io.BytesIO(data[:-9])))
    assert len(list(cut)) == 2
    assert cut.ending == "-: the pipe ended after 2 frames, in the middle of one"


def test_frames_from_a_pipe_of_raw_pixels():
    pictures = [
        np.random.default_rng(seed).integers(0, 255, (4, 6, 3), np.uint8) for seed in (1, 2)
    ]
    data = b"".join(picture.tobytes() for picture in pictures)
    reader = PipeReader(io.BytesIO(data + b"end"), raw_size=(6, 4))
    for frame, picture in zip(reader, pictures, strict=True):
        assert (frame.picture == picture).all()
    assert "ended after 2 frames, in the middle of one" in reader.ending


@pytest.mark.parametrize("data, raw", [(b"", None), (b"no frame" * 99, None), (b"short", (64, 64))])
def test_a_pipe_without_frames_is_refused(data, raw):
    with pytest.raises(InputError, match="^-: no frame could be read: the pipe holds no"):
        PipeReader(io.BufferedReader(io.BytesIO(data)), raw_size=raw)


def test_the_end_of_a_jpeg_is_found_behind_a_thumbnail():
    small = jpeg(plain(9, (16, 16)))
    length = (len(small) + 2).to_bytes(2, "big")
    picture = jpeg(plain(200))
    with_thumbnail = picture[:2] + b"\xff\xe1" + length + small + picture[2:]
    assert end_of_jpeg(b"xy" + with_thumbnail + picture, 2) == 2 + len(with_thumbnail)
    assert end_of_jpeg(with_thumbnail[:-1]) is None
    real = SHEET.read_bytes()
    assert end_of_jpeg(real) == len(real)


def test_another_size_is_told_once_and_drawn_in_the_first(capsys):
    fit = Fit("a.mjpeg", (64, 48))
    assert fit(plain(1, (64, 48)), 0).shape == (48, 64, 3)
    for number in (7, 8):
        assert fit(plain(1, (32, 32)), number).shape == (48, 64, 3)
    assert capsys.readouterr().err == (
        "a.mjpeg: from frame 7 on, frames have 32x32 px and not 64x48; they are drawn in the size"
        " of the first\n"
    )


def test_the_frames_per_second_are_drawn_on_a_copy(monkeypatch):
    clock = iter([1.0, 1.25])
    monkeypatch.setattr("senet_kp.demo.videos.time.perf_counter", lambda: next(clock))
    meter, picture = FpsMeter(), plain(0)
    assert meter.drawn_on(picture) is picture
    assert meter.drawn_on(picture).any() and not picture.any()


# --- the command ---


def demo(*args, **options):
    command = [sys.executable, "demo.py", *map(str, args), "--detector", "dlib"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, **options)


def lines(result) -> list[dict]:
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("smooth", ["off", "live", "offline"])
def test_a_face_keeps_its_identity_through_a_video(clip, tmp_path, smooth):
    found = lines(demo(clip, "--json", "-", "--out", tmp_path, "--smooth", smooth))
    assert [line["frame"] for line in found] == list(range(24))
    np.testing.assert_allclose([line["time_s"] for line in found], np.arange(24) / 25, atol=1e-3)
    assert {face["id"] for line in found for face in line["faces"]} == {0}
    centres = np.array([np.mean(line["faces"][0]["landmarks"], axis=0) for line in found])
    assert np.abs(np.diff(centres[:, 0]).mean() - 2) < 0.3  # px a frame
    assert len(list(VideoReader(str(tmp_path / "clip-landmarks.mp4")))) == 24


def test_without_smoothing_landmarks_are_those_of_the_predictor(clip, tmp_path):
    found = lines(demo(clip, "--json", "-", "--out", tmp_path, "--smooth", "off"))
    first = next(iter(VideoReader(str(clip)))).picture
    (face,) = LandmarkPredictor(detector="dlib").predict(first)
    np.testing.assert_allclose(found[0]["faces"][0]["landmarks"], face.landmarks, atol=2e-3)


def test_frames_from_standard_input(clip, tmp_path):
    pictures = [frame.picture for frame in VideoReader(str(clip))][:4]
    flags = ("-", "--json", "-", "--out", tmp_path, "--fps", 10)
    by_jpeg = lines(demo(*flags, input=b"".join(map(jpeg, pictures))))
    raw = b"".join(picture.tobytes() for picture in pictures)
    by_pixels = lines(demo(*flags, "--raw", f"{SIZE[0]}x{SIZE[1]}", input=raw))
    for found in (by_jpeg, by_pixels):
        assert [line["time_s"] for line in found] == [0.0, 0.1, 0.2, 0.3]
        assert all(len(line["faces"]) == 1 for line in found)
    assert (tmp_path / "pipe-landmarks.mp4").exists()


def test_given_boxes_of_a_video_have_their_numbers_as_ids(clip, tmp_path):
    boxes = {"clip.mp4": [[40, 30, 180, 180], [60, 30, 170, 170]]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    flags = ("--boxes", tmp_path / "boxes.json", "--json", "-", "--out", tmp_path)
    for line in lines(demo(clip, *flags)):
        assert [(face["id"], face["box"]) for face in line["faces"]] == [
            *enumerate(boxes["clip.mp4"])
        ]


@pytest.mark.parametrize(
    "flags, words",
    [
        (("clip.mp4", "--detect-every", 0), "--detect-every must be at least 1"),
        (("-", "--fps", 0), "--fps must be above 0"),
        (("-", "--raw", "640"), "--raw 640: is not a size such as 640x480"),
        (("clip.mp4", "--raw", "640x480"), "--raw: is for a pipe"),
        (("-", "--smooth", "offline"), "--smooth offline: reads a video twice"),
        (("0", "--smooth", "offline"), "which 0 does not allow"),
    ],
)
def test_senseless_flags_exit_with_2(flags, words):
    assert_one_line_error(run_module("demo.py", *flags), 2, words)


def test_measures_certainty_and_the_table_of_a_video(clip, tmp_path):
    flags = (
        "--json",
        "-",
        "--csv",
        tmp_path / "points.csv",
        "--no-draw",
        "--out",
        tmp_path / "out",
    )
    found = lines(demo(clip, *flags, "--measures", "--certainty"))
    assert not (tmp_path / "out").exists()
    faces = [line["faces"][0] for line in found]
    assert min(face["certainty"] for face in faces) > 0.5
    assert all(len(face["pose"]) == 3 and len(face["eye_aspect_ratios"]) == 2 for face in faces)
    assert faces[-1]["blinks"] == 0 and not faces[-1]["eyes_closed"]
    rows = read_csv(tmp_path / "points.csv")
    for row, line, face in zip(rows, found, faces, strict=True):
        assert (float(row["time_s"]), int(row["id"])) == (line["time_s"], face["id"])
        assert float(row["certainty"]) == face["certainty"]
        assert float(row["eye_aspect_ratio_right"]) == face["eye_aspect_ratios"][1]
        assert float(row["mouth_opening"]) == face["mouth_opening"]
        assert float(row["pose_yaw_deg"]) == face["pose"][1]


def test_pictures_stay_as_they_were(face, tmp_path):
    from senet_kp.face.pictures import write_picture

    write_picture(tmp_path / "face.png", face)
    (line,) = lines(demo(tmp_path / "face.png", "--json", "-", "--out", tmp_path))
    assert line["frame"] is None and "time_s" not in line
    assert len(line["faces"]) == 1 and "id" not in line["faces"][0]
    assert read_picture(tmp_path / "face-landmarks.png").shape == face.shape
