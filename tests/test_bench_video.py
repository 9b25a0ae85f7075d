"""The benchmark of videos: its clips have exact landmarks, and its measures are right."""

import json
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks import bench_video
from benchmarks.clips import rendered
from benchmarks.clips.actor import ORIGIN_PX, RENDERED_PX_PER_CM, Layer, placed
from benchmarks.clips.clip import FPS, Clip, read_clip
from benchmarks.clips.motion import step
from benchmarks.clips.rendered import EYES_CLOSED, Scene, rendered_clip
from benchmarks.clips.scripts import SCRIPTS
from benchmarks.clips.stills import camera_motion, moved_points, still_clip
from benchmarks.video_measures import (
    Followed,
    blink_f1,
    flicker,
    followed,
    identity_switches,
    lag_frames,
    measures,
)
from senet_kp.data_prep.sample_faces.scene import random_light
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.measures import eye_aspect_ratios
from senet_kp.face.pictures import read_picture
from senet_kp.face.pose import MEAN_LANDMARKS_CM
from senet_kp.inference.predictor import Face
from senet_kp.tfrecords.errors import InputError, UserError

SHAPE = MEAN_LANDMARKS_CM[:, :2] * (1, -1) * 10  # pixels
EYES_PX = np.linalg.norm(SHAPE[36] - SHAPE[45])
TIMES = np.arange(100.0)


def path(times) -> np.ndarray:
    """A smooth motion [T, 2] in pixels."""
    return np.stack([40 * np.sin(times / 7) + 9 * np.cos(times / 4), 20 * np.sin(times / 9)], 1)


def track(times) -> np.ndarray:
    """A face on that path, [T, 1, 68, 2]."""
    return (SHAPE + path(times)[:, None])[:, None]


def seen(predicted, truth) -> list[Followed]:
    return [Followed(truth, predicted, np.zeros(truth.shape[:2]), None, 0)]


def test_a_constant_error_does_not_flicker_and_known_jitter_has_its_size():
    truth = track(TIMES)
    assert flicker(seen(truth + 5, truth), IBUG68) == pytest.approx(0, abs=1e-12)
    jitter = np.where(TIMES % 2, 1.5, -1.5)[:, None, None, None] * (0.6, 0.8)  # 3 px to and fro
    assert flicker(seen(truth + jitter, truth), IBUG68) == pytest.approx(3 / EYES_PX)
    gap = truth + jitter
    gap[50] = np.nan  # not found: neither the change to it nor from it counts
    gap[51:] += 1000
    assert flicker(seen(gap, truth), IBUG68) == pytest.approx(3 / EYES_PX)
    assert np.isnan(flicker(seen(truth[:1], truth[:1]), IBUG68))


@pytest.mark.parametrize("lag", [0, 1, 2, 0.5, -1])
def test_a_shifted_track_lags_by_its_shift(lag):
    truth = track(TIMES)
    found = lag_frames(seen(track(TIMES - lag) + 3, truth), IBUG68)
    assert found == pytest.approx(lag, abs=0.02)


def test_the_lag_is_found_in_spite_of_gaps_and_jitter():
    truth, late = track(TIMES), track(TIMES - 1)
    late = late + np.random.default_rng(0).normal(0, 1, late.shape)
    late[40:45] = np.nan
    assert lag_frames(seen(late, truth), IBUG68) == pytest.approx(1, abs=0.05)
    assert np.isnan(lag_frames(seen(truth[:3], truth[:3]), IBUG68))


def test_switches_are_counted_when_a_face_is_found_again_with_another_id():
    nan = np.nan
    assert identity_switches(np.array([[0, 0, 0, 0], [1, 1, 1, 1]]).T) == 0
    assert identity_switches(np.array([[0, nan, nan, 0], [nan, 1, nan, 1]]).T) == 0
    assert identity_switches(np.array([[0, 0, nan, 2], [1, 1, 1, 1]]).T) == 1
    assert identity_switches(np.array([[0, 0, 1, 1], [1, 1, 0, 0]]).T) == 2


# --- matching and counting


def faces_at(*places, ids=None) -> list[Face]:
    """Found faces with these shifts in pixels."""
    numbers = ids or [None] * len(places)
    shapes = [SHAPE + np.array(place) for place in places]
    return [Face(None, 1.0, one, id=n) for one, n in zip(shapes, numbers, strict=True)]


def clip_of(places, visible=None, closed=None) -> Clip:
    """A clip without frames; places [T, F, 2]: the shifts of the true faces."""
    landmarks = SHAPE + np.asarray(places, float)[:, :, None]
    visible = np.ones(landmarks.shape[:2]) if visible is None else np.asarray(visible)
    return Clip("clip", [b""] * len(landmarks), landmarks, visible, closed)


LEFT, RIGHT, FAR = (0, 0), (300, 0), (900, 0)


def test_lost_and_false_faces_are_counted():
    clip = clip_of([[LEFT, RIGHT]] * 3)
    frames = [faces_at(RIGHT, LEFT), faces_at(LEFT), faces_at(RIGHT, FAR, LEFT)]
    found = measures([followed(clip, frames)], IBUG68)
    assert (found.lost, found.false, found.faces, found.frames) == (1, 1, 6, 3)
    assert found.nme == 0 and found.switches is None and found.blink_f1 is None
    unknown = replace(clip, all_known=False)
    assert measures([followed(unknown, frames)], IBUG68).false is None


def test_the_error_is_divided_by_the_distance_of_the_outer_eye_corners():
    clip = clip_of([[LEFT, RIGHT]] * 2)
    frames = [faces_at((3, 4), (300, 0)), faces_at((0, 0))]  # 5 px, 0, 0 and a lost face
    found = measures([followed(clip, frames)], IBUG68)
    assert found.nme == pytest.approx(5 / EYES_PX / 3)


@pytest.mark.parametrize("second, switches", [([4, 7], 0), ([4, 8], 1), ([7, 4], 2)])
def test_new_ids_are_switches_and_an_exchange_is_two(second, switches):
    clip = clip_of([[LEFT, RIGHT]] * 2)
    frames = [faces_at(LEFT, RIGHT, ids=[4, 7]), faces_at(LEFT, RIGHT, ids=second)]
    assert measures([followed(clip, frames)], IBUG68).switches == switches


def test_a_hidden_face_may_be_found_or_not_and_its_identity_counts_when_it_is_seen_again():
    clip = clip_of([[LEFT, RIGHT]] * 3, visible=[[1, 1], [1, 0.4], [1, 1]])
    seen = [faces_at(LEFT, RIGHT, ids=[0, number]) for number in (1, 2, 3)]
    found = measures([followed(clip, seen)], IBUG68)
    assert (found.lost, found.false, found.faces, found.switches) == (0, 0, 5, 1)
    seen[1] = faces_at(LEFT, ids=[0])
    assert measures([followed(clip, seen)], IBUG68).lost == 0


def test_a_pair_stays_while_it_overlaps_though_another_face_is_nearer():
    clip = clip_of([[LEFT]] * 2)
    frames = [faces_at(LEFT, ids=[5]), faces_at((9, 0), LEFT, ids=[5, 6])]
    found = measures([followed(clip, frames)], IBUG68)
    assert (found.switches, found.false) == (0, 1)


def blinking(closed) -> np.ndarray:
    """Faces [T, 1, 68, 2] whose lids meet in some frames."""
    shapes = np.repeat(SHAPE[None, None], len(closed), axis=0)
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        middle = (SHAPE[upper] + SHAPE[lower]) / 2
        shapes[np.asarray(closed), 0, upper] = shapes[np.asarray(closed), 0, lower] = middle
    return shapes


def test_blinks_are_found_missed_or_made_up():
    def closed_at(*starts):
        return np.isin(np.arange(100), [start + n for start in starts for n in range(4)])

    def f1(predicted, true):
        ids = np.zeros((100, 1))
        one = Followed(blinking(true), blinking(predicted), ids, true[:, None], 0)
        return blink_f1([one])

    both = closed_at(20, 60)
    assert f1(both, both) == 1 and f1(closed_at(22, 61), both) == 1
    assert f1(closed_at(20), both) == pytest.approx(2 / 3)  # a hit and a miss
    assert f1(closed_at(20, 40, 60), both) == pytest.approx(4 / 5)
    assert f1(closed_at(20), closed_at(20, 94)) == 1  # the clip ends with the second
    assert np.isnan(f1(closed_at(), closed_at()))


# --- rendered clips


@pytest.fixture(scope="module")
def scene():
    """A scene of four seconds with one person, who talks and blinks."""
    return Scene("talking", 100, seed=0)


def test_landmarks_lie_on_the_frame_where_the_single_view_has_them(scene):
    pose, light = scene.script.people[0].at(40), random_light(np.random.default_rng(0))
    view = scene.actors[0].rendered(pose, light)
    there = replace(pose, px_per_cm=RENDERED_PX_PER_CM, x_px=330, y_px=250)
    whole = placed(view, there, (640, 480))
    x, y = np.array((330, 250)) - ORIGIN_PX.astype(int)
    np.testing.assert_allclose(whole.linear[y:, x : x + 450], view.linear[: 480 - y], atol=1e-5)
    np.testing.assert_allclose(whole.landmarks, view.landmarks + (x, y))
    assert not whole.coverage[:, :x].any() and not whole.coverage[:y].any()


def test_landmarks_of_a_scaled_person_are_where_its_pixels_are(scene):
    y, x = np.mgrid[:450, :450]
    dot = np.exp(-((x - 200) ** 2 + (y - 170) ** 2) / 50).astype(np.float32)
    view = Layer(np.repeat(dot[..., None], 3, axis=2), dot, np.array([(200.0, 170.0)]))
    pose = replace(scene.script.people[0].at(0), px_per_cm=11.3, x_px=310.4, y_px=220.7)
    whole = placed(view, pose, (640, 480))
    np.testing.assert_allclose(whole.landmarks[0], centroid(whole.coverage), atol=0.02)


def centroid(weights) -> np.ndarray:
    """The centre of a dot (x, y) in pixels."""
    y, x = np.indices(weights.shape)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


def test_the_truth_says_in_which_frames_the_eyes_are_closed(scene):
    opening = scene.script.people[0].eyes_open
    assert 3 <= (opening < EYES_CLOSED).sum() < 30
    ratios, closed = [], []
    for number in (opening.argmax(), opening.argmin()):
        _, landmarks, _, shut = scene.frame(number)
        ratios.append(np.mean(eye_aspect_ratios(landmarks[0])))
        closed.append(shut.tolist())
    assert closed == [[False], [True]] and ratios[1] < 0.1 * ratios[0]


@pytest.mark.parametrize("name", ["crossing", "hidden"])
def test_faces_are_hidden_by_what_passes_in_front_of_them(name):
    scene = Scene(name, 100, seed=0)
    places = [np.stack([one.x_px, one.y_px], axis=1) for one in scene.script.people]
    nearest = places[-1] if name == "crossing" else scene.script.board_px
    hidden = np.linalg.norm(nearest - places[0], axis=1).argmin()
    _, _, before, _ = scene.frame(0)
    _, landmarks, during, _ = scene.frame(hidden)
    assert before.min() == 1 and during[0] < 0.2 and during[1:].tolist() == [1] * len(during[1:])
    assert landmarks.shape == (len(during), 68, 2) and np.isfinite(landmarks).all()


@pytest.mark.parametrize("name", SCRIPTS)
def test_motion_is_smooth(name):
    """In a frame, heads move by less than a fifth of a face and turn by a few degrees."""
    times_s = np.arange(120) / FPS
    for person in SCRIPTS[name](np.random.default_rng(1), times_s).people:
        face_px = 15 * person.px_per_cm.min()
        assert np.abs(np.diff(person.x_px)).max() < face_px / 5
        assert max(np.abs(np.diff(a)).max() for a in (person.yaw_deg, person.roll_deg)) < 8
        second = np.abs(np.diff(person.x_px, 2)).max()
        assert 0 < second < face_px / 40


def test_a_step_has_minimum_jerk():
    np.testing.assert_allclose(step(np.array([0, 1, 2, 3, 4.0]), 1, 3), [0, 0, 0.5, 1, 1])


def test_a_rendered_clip_is_kept_and_read_again(tmp_path, monkeypatch):
    clip = rendered_clip("light", 2, 0, tmp_path)
    assert len(clip) == 2 and clip.frame(1).shape == (480, 640, 3)
    assert clip.landmarks.shape == (2, 1, 68, 2) and clip.times_s == [0, 1 / FPS]
    monkeypatch.setattr(rendered, "Scene", None)  # nothing is rendered any more
    again = rendered_clip("light", 2, 0, tmp_path)
    assert again.jpegs == clip.jpegs and again.name == "light" and again.all_known is True
    for name in ("landmarks", "visible", "closed"):
        np.testing.assert_array_equal(getattr(again, name), getattr(clip, name))
    (path,) = tmp_path.iterdir()
    assert read_clip(path, "other settings") is None
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="light-2-0.npz: not a readable clip"):
        rendered_clip("light", 2, 0, tmp_path)


# --- clips of photos


def test_landmarks_of_a_moved_photo_agree_with_its_warp():
    y, x = np.mgrid[:400, :500]
    places = np.array([(140.0, 150.0), (330.0, 180.0), (250.0, 290.0)])
    transforms = camera_motion(np.random.default_rng(3), 30, (500, 400))
    moved = moved_points(places, transforms)
    for transform, points in zip(transforms, moved, strict=True):
        back = cv2.transform(points[None], cv2.invertAffineTransform(transform))[0]
        np.testing.assert_allclose(back, places, atol=1e-3)
        for place, point in zip(places, points, strict=True):
            dot = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 50).astype(np.float32)
            shown = cv2.warpAffine(dot, transform, (500, 400))
            np.testing.assert_allclose(centroid(shown), point, atol=0.02)
    scale = np.linalg.norm(transforms[:, :, 0], axis=1)
    assert np.ptp(scale) > 0.02 and np.abs(np.diff(moved, axis=0)).max() < 20


def test_a_moved_photo_is_recorded_with_noise_and_compression():
    photo = np.full((400, 500, 3), 128, np.uint8)
    cv2.circle(photo, (250, 200), 40, (255, 255, 255), cv2.FILLED)
    clip = still_clip("photo", photo, [(250.0, 200.0), (-20.0, 200.0)], 20, seed=0)
    again = still_clip("photo", photo, [(250.0, 200.0), (-20.0, 200.0)], 20, seed=0)
    assert again.jpegs == clip.jpegs and not clip.all_known and clip.closed is None
    assert (clip.visible == 0.5).any()  # one of the two points is beside the photo
    for number in (0, 19):
        frame = clip.frame(number).astype(float)
        bright = np.where(frame[..., 0] > 190, 1.0, 0)
        np.testing.assert_allclose(centroid(bright), clip.landmarks[number, 0, 0], atol=0.5)
        assert 0.5 < frame[:50, :50].std() < 8


# --- the command


def test_the_table_shows_what_is_not_measured_as_a_dash():
    row = {
        "clips": "photos",
        "way": "each frame",
        "nme": 0.0312,
        "nmf": 0.01,
        "lag_frames": None,
        "blink_f1": None,
        "switches": None,
        "lost_per_1000": 4.0,
        "false_per_1000": None,
        "frames_per_s": 20.4,
    }
    parts = {"detector, a frame": {"median": 25.0, "min": 20.0, "max": 30.0}}
    lines = bench_video.table({"rows": [row], "parts": parts}).splitlines()
    assert lines[2] == "| photos | each frame | 3.12% | 1.00% | - | - | - | 4.0 | - | 20 |"
    assert lines[-1] == "| detector, a frame | 25.00 | 40 |"


def test_the_command_measures_every_way_and_draws_a_strip(tmp_path, monkeypatch, capsys):
    pytest.importorskip("dlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["bench_video", "--clips", "light", "--frames", "3"])
    monkeypatch.setattr("sys.argv", [*sys.argv, "--strip", "strip.png", "--detect-every", "2"])
    threads = cv2.getNumThreads()
    bench_video.main()
    cv2.setNumThreads(threads)
    lines = capsys.readouterr().out.splitlines()
    ways = [line.split(" | ")[1] for line in lines if line.startswith("| rendered")]
    assert ways == ["each frame", "tracked", "tracked, live", "tracked, offline"]
    kept = json.loads((tmp_path / "out/benchmarks/video.json").read_text())["measurements"]
    assert [row["measured"] for row in kept] == [f"light, {way}" for way in ways]
    assert all(row["lost_per_1000"] == 0 and row["nme"] < 0.1 for row in kept)
    assert read_picture(tmp_path / "strip.png").shape[0] > 2 * 250


def test_impossible_settings_are_refused():
    for wrong in ({"frames": 0}, {"photos": 0}, {"processes": 0}, {"seed": -1}):
        with pytest.raises(UserError, match="at least 1"):
            bench_video.Config(**wrong)
    with pytest.raises(UserError, match="--clips"):
        bench_video.Config(clips=())
