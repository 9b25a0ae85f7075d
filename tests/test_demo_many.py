"""The demo on many pictures: processes, killed runs, tables, crops, names, and what it says."""

import csv
import json
import sys

import cv2
import numpy as np
import pytest
from conftest import assert_one_line_error, face_points, make_picture, run_module

from senet_kp.demo import command
from senet_kp.demo.crops import aligned_crop, aligned_square, check_crops
from senet_kp.demo.names import CropNames, crop_file
from senet_kp.demo.one_picture import Done, Task
from senet_kp.demo.sources import pictures_of
from senet_kp.demo.telling import MOST_NOTES, Tally, Teller
from senet_kp.face.facebox import BoxRule
from senet_kp.face.pictures import read_picture, write_picture
from senet_kp.face.turned import from_turned
from senet_kp.inference.model_card import read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.tfrecords.errors import InputError, ModelError, UserError

COUNT = 24  # more pictures than one process does alone
BOX = [20.0, 20.0, 160.0, 160.0]
MEAN = np.array(read_card(PRETRAINED)["mean_shape"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """COUNT pictures, 0.jpg to 7.jpg in each of three folders, of which b/3.jpg is damaged."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    for number in range(COUNT):
        inner = folder / ("", "b", "b/c")[number % 3]
        inner.mkdir(parents=True, exist_ok=True)
        points = face_points((100, 100), 120, seed=number)
        write_picture(inner / f"{number // 3}.jpg", make_picture(points, (200, 200), seed=number))
    bad = folder / "b" / "3.jpg"
    bad.write_bytes(bad.read_bytes()[:-200])
    return folder


@pytest.fixture(scope="module")
def boxes(photos):
    """Given boxes, so that no detector is needed: two for 5.jpg, none for 7.jpg."""
    given = {f"{number}.jpg": [BOX] for number in range(7)}
    given["5.jpg"] = [BOX, [30.0, 25.0, 150.0, 150.0]]
    path = photos.parent / "boxes.json"
    path.write_text(json.dumps(given))
    return path


def demo(photos, boxes, folder, *more, **options):
    """Run the demo with all its results in a folder."""
    return run_module(*arguments(photos, boxes, folder, *more), **options)


def arguments(photos, boxes, folder, *more) -> list[str]:
    files = ("--json", folder / "points.jsonl", "--csv", folder / "points.csv")
    drawn = ("--out", folder / "drawn", "--crops", folder / "faces", "--crops-px", 32)
    return list(map(str, ("demo.py", photos, "--boxes", boxes, *files, *drawn, *more)))


def contents(folder) -> dict[str, bytes]:
    """{relative path: bytes} of the files below a folder, whose own path is a star in them.

    Without hidden ones: a worker ends a moment after a killed run, and leaves an unfinished file.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    own = str(folder).encode()
    return {str(p.relative_to(folder)): p.read_bytes().replace(own, b"*") for p in files}


@pytest.fixture(scope="module")
def undisturbed(photos, boxes, tmp_path_factory) -> dict[str, bytes]:
    """What one process leaves without an interruption."""
    folder = tmp_path_factory.mktemp("undisturbed")
    result = demo(photos, boxes, folder, "--processes", 1)
    assert_one_line_error(result, 3, "b/3.jpg", "a truncated JPEG")
    last = "24 pictures with 23 faces, 3 without a face, 1 could not be read"
    assert result.stderr.splitlines()[-1] == last
    assert len([line for line in result.stderr.splitlines() if "no usable box" in line]) == 3
    return contents(folder)


# --- results ---


def test_the_results_do_not_depend_on_the_number_of_processes(photos, boxes, undisturbed, tmp_path):
    result = demo(photos, boxes, tmp_path, "--processes", 2)
    assert result.returncode == 3 and contents(tmp_path) == undisturbed


def test_every_picture_has_its_line_also_one_that_cannot_be_read(photos, undisturbed):
    lines = [json.loads(line) for line in undisturbed["points.jsonl"].splitlines()]
    order = [photos, photos / "b", photos / "b" / "c"]
    paths = [str(folder / f"{number}.jpg") for folder in order for number in range(8)]
    assert [line["source"] for line in lines] == paths
    (bad,) = [line for line in lines if "error" in line]
    assert bad == {
        "source": str(photos / "b" / "3.jpg"),
        "frame": None,
        "width": None,
        "height": None,
        "faces": [],
        "error": "a truncated JPEG: its end is missing; download the file again",
    }


def test_the_table_says_the_same_as_the_json_lines(undisturbed):
    lines = [json.loads(line) for line in undisturbed["points.jsonl"].splitlines()]
    rows = list(csv.DictReader(undisturbed["points.csv"].decode().splitlines()))
    expected = [
        (line, number, face)
        for line in lines
        for number, face in enumerate(line["faces"] or [None], 1 if line["faces"] else 0)
    ]
    assert len(rows) == len(expected) == 27  # 23 faces, and 4 pictures without one
    for row, (line, number, face) in zip(rows, expected, strict=True):
        assert (row["source"], int(row["face"]), row["frame"]) == (line["source"], number, "")
        assert row["error"] == line.get("error", "")
        assert row["picture_width"] == ("" if "error" in line else "200")
        if face is None:
            assert row["x0"] == row["box_x"] == row["crop"] == ""
            continue
        assert [float(row[f"box_{key}"]) for key in ("x", "y", "width", "height")] == face["box"]
        points = [[float(row[f"x{index}"]), float(row[f"y{index}"])] for index in range(68)]
        assert points == face["landmarks"]
        assert (row["score"], row["crop"]) == ("", face["crop"])


def test_frames_and_poses_are_in_the_table_too(tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (200, 200)
    )
    for _ in range(2):
        writer.write(make_picture(face_points((100, 100), 120), (200, 200)))
    writer.release()
    (tmp_path / "boxes.json").write_text(json.dumps({"clip.avi": [BOX]}))
    flags = ("--boxes", tmp_path / "boxes.json", "--out", tmp_path, "--pose", "--json", "-")
    table = tmp_path / "points.csv"
    result = run_module("demo.py", tmp_path / "clip.avi", *flags, "--csv", table)
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(table.read_text().splitlines()))
    faces = [json.loads(line)["faces"][0] for line in result.stdout.splitlines()]
    assert [row["frame"] for row in rows] == ["0", "1"]
    for row, face in zip(rows, faces, strict=True):
        pose = [float(row[f"pose_{angle}_deg"]) for angle in ("pitch", "yaw", "roll")]
        assert pose == face["pose"]


# --- runs that are killed or interrupted ---

# Ends the process by a signal in the middle of what it writes at the given time: half of it is
# written. The journal's header and the starts of the two results are the first three times, and
# each picture takes three more.
STRIKE = """
import os, signal, sys
from senet_kp.demo import resumable
from senet_kp.demo.command import main
from senet_kp.tfrecords.errors import exit_code_of
time, number, sys.argv = int(sys.argv[1]), getattr(signal, sys.argv[2]), sys.argv[3:]
write, calls = resumable.write_whole, 0
def strike(file, data, target):
    global calls
    calls += 1
    if calls == time:
        file.write(data[: len(data) // 2])
        os.kill(os.getpid(), number)
    return write(file, data, target)
resumable.write_whole = strike
raise SystemExit(exit_code_of(main))
"""


@pytest.mark.parametrize(
    "strike, done, processes",
    [
        (1, 0, 1),  # the header
        (3, 0, 1),  # the start of the table
        (4 + 3 * 7, 7, 1),  # a JSON line
        (5 + 3 * 13, 13, 2),  # the rows of a picture with two faces
        (6 + 3 * 23, 23, 1),  # the journal, for the last picture
    ],
)
def test_a_killed_run_goes_on_and_nothing_is_there_twice(
    photos, boxes, undisturbed, tmp_path, strike, done, processes
):
    words = arguments(photos, boxes, tmp_path, "--processes", processes)
    assert run_module("-c", STRIKE, strike, "SIGKILL", *words).returncode == -9
    assert not (tmp_path / "points.jsonl").exists()
    again = demo(photos, boxes, tmp_path, "--processes", processes)
    assert again.returncode == 3 and contents(tmp_path) == undisturbed
    assert (f"\n{done} of 24 pictures are done already\n" in again.stderr) == bool(done)
    assert "24 pictures with 23 faces, 3 without a face, 1 could not be read" in again.stderr


def test_ctrl_c_says_how_to_go_on(photos, boxes, undisturbed, tmp_path):
    words = arguments(photos, boxes, tmp_path)
    result = run_module("-c", STRIKE, 6 + 3 * 9, "SIGINT", *words)
    assert_one_line_error(result, 130, "interrupted")
    places = [
        tmp_path / name for name in ("drawn", "faces", "points.jsonl.part", "points.csv.part")
    ]
    goes_on = "; the same command goes on from there"
    assert f"9 of 24 sources are done: {', '.join(map(str, places))}{goes_on}" in result.stderr
    assert demo(photos, boxes, tmp_path).returncode == 3
    assert contents(tmp_path) == undisturbed


def test_other_settings_are_not_mixed_and_a_finished_file_is_replaced(photos, boxes, tmp_path):
    words = arguments(photos, boxes, tmp_path, "--processes", 1)
    run_module("-c", STRIKE, 10, "SIGKILL", *words)
    before = contents(tmp_path)
    other = demo(photos, boxes, tmp_path, "--passes", 3, "--points", "3d")
    assert_one_line_error(other, 2, "points.jsonl.part", "(model, points, passes)", "to begin anew")
    assert contents(tmp_path) == before and "sources are done" not in other.stderr
    for name in ("points.jsonl.part", "points.csv.part"):
        (tmp_path / name).unlink()
    for name in ("points.jsonl", "points.csv"):
        (tmp_path / name).write_text("of an earlier run")
    third = demo(photos / "b" / "c", boxes, tmp_path)
    assert third.returncode == 0 and "done already" not in third.stderr
    assert len((tmp_path / "points.jsonl").read_text().splitlines()) == 8
    assert sorted(path.name for path in tmp_path.glob("points*")) == ["points.csv", "points.jsonl"]


def test_a_folder_that_has_gone_does_not_end_an_unfinished_run(
    photos, boxes, undisturbed, tmp_path
):
    """As on a disk that was unplugged, which is why the run was interrupted."""
    words = arguments(photos, boxes, tmp_path, "--processes", 1)
    run_module("-c", STRIKE, 10, "SIGKILL", *words)
    photos.rename(photos.with_name("elsewhere"))
    try:
        assert_one_line_error(demo(photos, boxes, tmp_path), 2, "(folders)")
    finally:
        photos.with_name("elsewhere").rename(photos)
    assert demo(photos, boxes, tmp_path).returncode == 3 and contents(tmp_path) == undisturbed


# --- names ---


def test_equal_names_of_two_folders_keep_their_drawings_and_crops(photos, boxes, tmp_path):
    """The folder c holds 0.jpg to 7.jpg, of which 7.jpg has no face, as b/c does."""
    words = arguments(photos / "b" / "c", boxes, tmp_path)
    result = run_module(*words[:2], photos / "b", *words[2:])
    assert result.returncode == 3, result.stderr
    names = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert {"drawn/0-landmarks.jpg", "drawn/0-landmarks-2.jpg", "drawn/c/0-landmarks.jpg"} <= names
    assert {"faces/0-face-1.png", "faces/0-2-face-1.png", "faces/c/5-face-2.png"} <= names
    assert len([name for name in names if name.startswith("drawn/")]) == 8 + 7 + 8
    assert len([name for name in names if name.startswith("faces/")]) == 8 + 7 + 8


def test_names_of_crops_never_collide(tmp_path):
    names = CropNames(tmp_path)
    stems = ["photo", "photo", "photo-2", "PHOTO", "photo-face-1", "photo{}"]
    starts = [names.start(stem) for stem in stems]
    files = [crop_file(start, face) for start in starts for face in (1, 2)]
    assert [file.name for file in files[:4]] == [
        "photo-face-1.png",
        "photo-face-2.png",
        "photo-2-face-1.png",
        "photo-2-face-2.png",
    ]
    assert len({str(file).casefold() for file in files}) == len(files)


def test_drawings_and_crops_of_earlier_runs_are_no_pictures(tmp_path):
    for name in ("a.jpg", "sub/b-landmarks.jpg", "out/demo/a-landmarks-2.jpg", "out/a-face-1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, left_out = pictures_of(str(tmp_path), tmp_path / "out" / "demo", tmp_path / "out")
    assert [source.path for source in found] == [
        str(tmp_path / "a.jpg"),
        str(tmp_path / "sub" / "b-landmarks.jpg"),
    ]
    assert left_out == [
        "2 drawings and crops of earlier runs are left out, for example"
        f" {tmp_path / 'out' / 'a-face-1.png'}"
    ]
    with pytest.raises(InputError, match="without pictures .*2 drawings and crops"):
        pictures_of(str(tmp_path / "out"), tmp_path / "out" / "demo", tmp_path / "out")


# --- crops ---


@pytest.mark.parametrize("roll_deg", [0.0, 15.0, -70.0, 180.0])
@pytest.mark.parametrize("side", [60.0, 700.0])
def test_landmarks_that_are_the_mean_shape_coincide_with_it_in_the_crop(roll_deg, side):
    """To 1e-9 px in coordinates; what the crop shows there, to 0.2 px of 128."""
    box = np.array([150.0, 170.0, side, side])
    landmarks = from_turned(MEAN, box, roll_deg)
    np.testing.assert_allclose(
        from_turned(MEAN, *aligned_square(landmarks, MEAN)), landmarks, rtol=0, atol=1e-9
    )
    y, x = np.mgrid[:1000, :1000]
    for index in (8, 36, 45, 54):  # chin, outer corners of the eyes, a corner of the mouth
        square = (x - landmarks[index, 0]) ** 2 + (y - landmarks[index, 1]) ** 2
        spot = (250 * np.exp(-square / (side / 30) ** 2)).astype(np.uint8)
        shown = aligned_crop(cv2.merge([spot] * 3), landmarks, MEAN, BoxRule())[..., 0].astype(
            float
        )
        centre = [(shown * grid).sum() / shown.sum() for grid in np.mgrid[:128, :128][::-1]]
        np.testing.assert_allclose(centre, MEAN[index] * 128 - 0.5, rtol=0, atol=0.2)


def test_crops_have_the_size_of_the_network_or_the_given_one(photos, boxes, tmp_path, undisturbed):
    face = cv2.imdecode(
        np.frombuffer(undisturbed["faces/0-face-1.png"], np.uint8), cv2.IMREAD_COLOR
    )
    assert face.shape == (32, 32, 3)
    words = ("demo.py", photos / "0.jpg", "--boxes", boxes, "--no-draw", "--crops", tmp_path / "f")
    result = run_module(*words, "--out", tmp_path / "drawn")
    assert result.returncode == 0 and f"{photos / '0.jpg'}: 1 face\n" in result.stderr
    assert read_picture(tmp_path / "f" / "0-face-1.png").shape == (128, 128, 3)
    assert not (tmp_path / "drawn").exists()


def test_crops_need_the_mean_shape_and_a_size():
    predictor = LandmarkPredictor()
    with pytest.raises(UserError, match="from 16 to 4096"):
        check_crops(predictor, 5)
    del predictor.card["mean_shape"]
    with pytest.raises(ModelError, match="no mean_shape"):
        check_crops(predictor, None)


# --- what it says, and what it refuses ---


def told(count: int, capsys) -> list[str]:
    """The lines on so many pictures without a face, and one that cannot be read."""
    tally = Tally()
    with Teller(count + 1, 0, many=count > 3) as teller:
        for number in range(count):
            teller.tell(Task(f"{number}.jpg", None, None, None), Done({"faces": []}, []))
            tally.add(0, False)
        bad = {"faces": [], "error": "the file is empty"}
        teller.tell(Task("bad.jpg", None, None, None), Done(bad, []))
        tally.add(0, True)
    return [*capsys.readouterr().err.splitlines(), tally.summary()]


def test_few_pictures_have_a_line_each(capsys):
    assert told(1, capsys) == [
        "0.jpg: no face found",
        "0.jpg: 0 faces",
        "error: bad.jpg: the file is empty",
        "2 pictures with 0 faces, 1 without a face, 1 could not be read",
    ]


def test_many_pictures_without_a_face_are_counted_and_errors_always_told(capsys):
    lines = told(MOST_NOTES + 80, capsys)
    assert lines[MOST_NOTES - 1] == f"{MOST_NOTES - 1}.jpg: no face found"
    assert lines[MOST_NOTES:] == [
        "such pictures are only counted from here on; --json or --csv lists them all",
        "error: bad.jpg: the file is empty",
        "101 pictures with 0 faces, 100 without a face, 1 could not be read",
    ]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--no-draw"], "nothing would be written"),
        (["--no-draw", "--csv", "a", "--beside"], "nothing for --show or --beside"),
        (["--crops-px", "64"], "give --crops, too"),
        (["--processes", "0"], "at least 1"),
        (["--json", "a", "--csv", "a"], "choose another file"),
        (["clip.mp4", "--crops", "a"], "videos in another command"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(monkeypatch, flags, words):
    monkeypatch.setattr(sys, "argv", ["demo.py", "photo.jpg", *flags])
    with pytest.raises(UserError, match=words):
        command.main()
