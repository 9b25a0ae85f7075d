"""Tracking: identities, smoothing, when the detector runs, and the end of a track."""

import numpy as np
import pytest
from conftest import face_points
from hypothesis import given, settings
from hypothesis import strategies as st

from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.inference.box_transform import iou
from senet_kp.inference.detections import Detection
from senet_kp.inference.predictor import Face
from senet_kp.tfrecords.errors import UserError
from senet_kp.tracking import tracker
from senet_kp.tracking.assignment import nearest_lost, overlapping, shape_distance
from senet_kp.tracking.one_euro import OneEuro, OneEuroFilter
from senet_kp.tracking.smoothing import FaceSmoother, SmoothingConfig, smoothed_offline
from senet_kp.tracking.track import Track
from senet_kp.tracking.tracker import LOST_SEARCH_EVERY, FaceTracker, TrackingConfig

FPS = 25
RULE = BoxRule()
WIDE = OneEuro(1e9, 0.0)  # lets everything through


class Scene:
    """A frame, in place of its pixels: the landmarks of the faces that can be seen in it."""

    shape = (480, 640, 3)

    def __init__(self, *faces):
        self.faces = faces


class SceneReader:
    """A predictor of scenes, and their detector.

    The network finds the face whose box overlaps the given one most, and takes what is no face for
    one: landmarks that move with the box. The detector finds the faces that are not `hidden`.
    """

    rule, card, passes = RULE, {}, 2

    def __init__(self, noise_px: float = 0.0):
        self.detector, self.searches, self.looks = self, 0, 0
        self.hidden, self.noise_px = lambda points: False, noise_px
        self.rng = np.random.default_rng(0)

    def detect(self, scene):
        self.searches += 1
        faces = [p for p in scene.faces if p[:, 0].mean() < 640 and not self.hidden(p)]
        return [Detection(face_box(points, RULE), 0.9) for points in faces]

    def predict(self, scene, boxes, rolls_deg):
        self.looks += len(boxes)
        return [self._in_box(scene, box, roll) for box, roll in zip(boxes, rolls_deg, strict=True)]

    def certainty(self, scene, face):
        return float(any(iou(face_box(p, RULE), face.box) > 0.3 for p in scene.faces))

    def _in_box(self, scene, box, roll_deg):
        box = np.asarray(box)
        overlaps = [iou(face_box(points, RULE), box) for points in scene.faces]
        if max(overlaps, default=0) > 0.3:
            points = scene.faces[int(np.argmax(overlaps))]
        else:
            points = face_points(box[:2] + box[2:] / 2, box[2] / 1.3)
        noise = self.rng.normal(0, self.noise_px, points.shape) if self.noise_px else 0
        return Face(box, 0.9, points + noise, roll_deg)


def shown(x, y=240.0, size=100.0, seed=0):
    """The landmarks of a face of this size in pixels."""
    return face_points((x, y), size, seed=seed)


def ids_of(following, scenes) -> list[list[int]]:
    return [
        [face.id for face in following.update(scene, number / FPS)]
        for number, scene in enumerate(scenes)
    ]


# --- the filter ---


def test_the_filter_by_hand():
    # At rest: cutoff 1 Hz at 25 Hz has a weight of 1 / (1 + 25 / (2 pi)) = 0.200849.
    filter = OneEuroFilter(OneEuro(1.0, 0.0))
    assert filter([0.0, 0.0], 0.0).tolist() == [0, 0]
    np.testing.assert_allclose(filter([1.0, 2.0], 0.04), [0.200849, 0.401697], atol=1e-5)
    # With beta: the filtered speed is 0.200849 x 25 x sqrt(5) = 11.2278, half in units of 2.
    filter = OneEuroFilter(OneEuro(1.0, 0.5))
    filter([0.0, 0.0], 0.0, 2.0)
    weight = 1 / (1 + 25 / (2 * np.pi * (1 + 0.5 * 5.6139)))
    np.testing.assert_allclose(filter([1.0, 2.0], 0.04, 2.0), [weight, 2 * weight], atol=1e-5)


def test_the_filter_begins_anew_if_time_does_not_grow():
    filter = OneEuroFilter(OneEuro(1.0, 0.0))
    filter([0.0], 1.0)
    assert filter([5.0], 1.0).tolist() == [5.0]


@settings(max_examples=30, deadline=None)
@given(st.floats(0.02, 0.2), st.floats(0.1, 5), st.lists(st.floats(-9, 9), min_size=2, max_size=9))
def test_the_filter_stays_between_the_old_and_the_new_value(step_s, cutoff_hz, values):
    filter, before = OneEuroFilter(OneEuro(cutoff_hz, 1.0)), values[0]
    for number, value in enumerate(values):
        after = filter([value], number * step_s)[0]
        assert min(before, value) - 1e-9 <= after <= max(before, value) + 1e-9
        before = after


# --- smoothing ---


def moving_face(frames: int, noise_px: float, speed_px: float = 0.0, seed: int = 0):
    """True and noisy landmarks [frames, 68, 2] of a face that goes to the right."""
    rng = np.random.default_rng(seed)
    truth = np.array([shown(200 + speed_px * number) for number in range(frames)])
    return truth, truth + rng.normal(0, noise_px, truth.shape)


def change(errors) -> float:
    """Root mean square of the change from frame to frame, as in the NMF."""
    return float(np.sqrt((np.diff(errors, axis=0) ** 2).sum(axis=-1).mean()))


def test_smoothing_halves_the_jitter_of_a_face_at_rest_and_keeps_its_place():
    truth, noisy = moving_face(100, 1.0)
    smoother = FaceSmoother()
    smooth = np.array([smoother(one, number / FPS) for number, one in enumerate(noisy)])
    assert change(smooth - truth) < 0.5 * change(noisy - truth)
    assert abs((smooth - truth)[20:].mean(axis=0)).max() < 0.5
    assert np.linalg.norm((smooth - truth)[20:], axis=-1).mean() < 1.0  # raw: 1.25


def test_a_fast_face_is_followed_within_a_frame():
    truth, noisy = moving_face(60, 0.5, speed_px=6.0)
    smoother = FaceSmoother()
    smooth = np.array([smoother(one, number / FPS) for number, one in enumerate(noisy)])
    lag_px = (truth - smooth)[20:, :, 0].mean()
    assert 0 <= lag_px < 6.0


def test_without_low_pass_the_landmarks_come_back_for_any_motion():
    smoother = FaceSmoother(SmoothingConfig(WIDE, WIDE, WIDE))
    points = shown(0, 0) @ (1, 1j)
    for number in range(80):  # two turns of the head in the picture's plane, growing
        turned = points * np.exp(0.16j * number) * (1 + number / 50) + 5 * number
        landmarks = np.column_stack([turned.real, turned.imag])
        np.testing.assert_allclose(smoother(landmarks, number / FPS), landmarks, atol=1e-4)


def test_offline_smoothing_does_not_lag_and_keeps_faces_apart():
    truth, noisy = moving_face(60, 0.5, speed_px=6.0)
    others = noisy + (0, 150)
    frames = [
        [Face(None, 0.9, one, 0.0, 4), *([Face(None, 0.9, other, 0.0, 7)] * (number % 2))]
        for number, (one, other) in enumerate(zip(noisy, others, strict=True))
    ]
    smooth = smoothed_offline(frames, [number / FPS for number in range(60)])
    assert [[face.id for face in faces] for faces in smooth[:2]] == [[4], [4, 7]]
    found = np.array([faces[0].landmarks for faces in smooth])
    assert abs((truth - found)[10:-10, :, 0].mean()) < 0.1
    assert change(found - truth) < 0.5 * change(noisy - truth)
    # The other face is there in every second frame only, and begins anew each time.
    for faces, other in list(zip(smooth, others, strict=True))[1::2]:
        np.testing.assert_allclose(faces[1].landmarks, other)


# --- assignment ---


def test_pairs_have_the_largest_sum_of_overlaps():
    boxes = [[0, 0, 100, 100], [30, 0, 100, 100]]
    # Greedily the second box would take the first of the others, and leave the first box without.
    others = [[20, 0, 100, 100], [60, 0, 100, 100]]
    assert overlapping(boxes, others, 0.3) == {0: 0, 1: 1}
    assert overlapping(boxes, others[1:], 0.3) == {1: 0}
    assert overlapping([], others, 0.3) == overlapping(boxes, [], 0.3) == {}
    assert overlapping(boxes, [[500, 0, 100, 100]], 0.3) == {}


def test_shape_distance_knows_shapes_not_places():
    points = shown(100, 100, 80)
    turned = points @ np.array([[0.6, 0.8], [-0.8, 0.6]]) * 2 + (30, -7)
    assert shape_distance(points, turned) == pytest.approx(0, abs=1e-9)
    mouth_open = points.copy()
    mouth_open[55:60, 1] += 10
    assert 0.01 < shape_distance(mouth_open, points) < 0.1


def track_of(points, number, time_s=0.0):
    track = Track(number)
    track.enter(Face(face_box(points, RULE), 0.9, points), time_s, None)
    track.lost = True
    return track


def test_a_lost_face_is_continued_where_its_motion_leads():
    left, right = track_of(shown(100), 0), track_of(shown(500), 1)
    left.free_way = left.free_way._replace(speed=np.array([200.0, 0.0]))
    left.sure_way = left.free_way
    face = Face(None, 0.9, shown(205))
    assert nearest_lost(face, [left, right], 0.5) is left
    assert nearest_lost(Face(None, 0.9, shown(205, size=190)), [left, right], 0.5) is None
    assert nearest_lost(Face(None, 0.9, shown(330, 60)), [left, right], 0.5) is None
    assert nearest_lost(face, [], 0.5) is None


def test_a_lost_face_is_continued_where_the_detector_saw_it_last():
    track = track_of(shown(200), 0)
    for number in range(1, 8):  # something that hides the face carries the track away
        track.enter(
            Face(face_box(shown(200 + 40 * number), RULE), 0.9, shown(200)), 0.04 * number, None
        )
        track.way = track.way._replace(centre=shown(200 + 40 * number).mean(axis=0))
        track.keep_way()
    track.lost = True
    assert nearest_lost(Face(None, 0.9, shown(205)), [track], 0.5) is track


# --- tracking ---


@pytest.fixture(autouse=True)
def scenes_as_pictures(monkeypatch):
    """Scenes stand for pictures."""
    real = tracker.rgb_picture
    as_it_is = lambda one: one if isinstance(one, Scene) else real(one)  # noqa: E731
    monkeypatch.setattr(tracker, "rgb_picture", as_it_is)


def test_time_has_to_grow_and_frames_have_to_be_pictures():
    following = FaceTracker(SceneReader())
    following.update(Scene(shown(200)), 1.0)
    with pytest.raises(ValueError, match="time_s is 1.0, but has to be above 1.0"):
        following.update(Scene(shown(200)), 1.0)
    with pytest.raises(ValueError):
        following.update(np.zeros((4, 4, 3), np.float32), 2.0)


def test_a_detection_beside_the_picture_is_left_out():
    reader = SceneReader()
    reader.detect = lambda scene: [Detection(np.array([700.0, 100, 120, 120]), 0.9)]
    assert ids_of(FaceTracker(reader), [Scene()]) == [[]]


def test_one_face_is_searched_rarely_and_looked_at_once_a_frame():
    reader = SceneReader()
    following = FaceTracker(reader, TrackingConfig(detect_every=10))
    scenes = [Scene(shown(200 + 3 * number)) for number in range(41)]
    assert ids_of(following, scenes) == [[0]] * 41
    assert (reader.searches, reader.looks) == (5, 2 + 40)


def test_a_jump_gets_a_second_look():
    reader = SceneReader()
    following = FaceTracker(reader)
    scenes = [Scene(shown(200)), Scene(shown(230)), Scene(shown(230))]
    assert ids_of(following, scenes) == [[0]] * 3
    assert reader.looks == 2 + 2 + 1  # half of the jump's speed is not too far off


def test_landmarks_are_the_networks_own_without_smoothing():
    reader = SceneReader()
    following = FaceTracker(reader, TrackingConfig(smooth="off"))
    for number in range(5):
        scene = Scene(shown(200 + 10 * number))
        (face,) = following.update(scene, number / FPS)
        assert (face.landmarks == scene.faces[0]).all() and face.score == 0.9
        assert (following.found()[0].landmarks == scene.faces[0]).all()


def test_what_was_found_is_kept_beside_what_is_smoothed():
    following = FaceTracker(SceneReader(noise_px=1.0))
    for number in range(9):
        (face,) = following.update(Scene(shown(200)), number / FPS)
    (found,) = following.found()
    assert found.id == face.id == 0 and np.abs(found.landmarks - face.landmarks).max() > 0.5


def test_identities_survive_a_crossing_in_which_one_face_hides_the_other():
    def crossing(number):
        front, back = shown(100 + 8 * number, seed=1), shown(500 - 8 * number, 250, 90, seed=2)
        hidden = iou(face_box(front, RULE), face_box(back, RULE)) > 0.2
        return Scene(front) if hidden else Scene(front, back)

    for noise_px in (0.0, 1.0):
        following = FaceTracker(SceneReader(noise_px))
        scenes = [crossing(number) for number in range(50)]
        assert min(len(scene.faces) for scene in scenes) == 1
        for number, scene in enumerate(scenes):
            faces = {face.id: face for face in following.update(scene, number / FPS)}
            assert faces.keys() <= {0, 1}
            assert np.linalg.norm(faces[0].landmarks - scene.faces[0], axis=1).mean() < 15
        assert faces.keys() == {0, 1}
        assert np.linalg.norm(faces[1].landmarks - scenes[-1].faces[1], axis=1).mean() < 15


def test_a_hidden_face_keeps_its_identity_for_a_while():
    # It is lost at the next search, after up to 10 frames, and then kept for keep_s, 25 frames.
    for gap, ids in ((20, [0]), (40, [1])):
        scenes = [Scene(shown(200))] * 5 + [Scene()] * gap + [Scene(shown(200))] * 5
        found = ids_of(FaceTracker(SceneReader()), scenes)
        assert found[4] == [0] and found[-1] == ids
        # What the network finds where no face is any more ends with the next search.
        assert all(not faces for faces in found[5 + 10 : 5 + gap])


def test_new_faces_are_found_by_the_next_search():
    scenes = [Scene(shown(200))] * 3 + [Scene(shown(200), shown(450))] * 12
    found = ids_of(FaceTracker(SceneReader(), TrackingConfig(detect_every=10)), scenes)
    assert found[9] == [0] and found[10] == [0, 1] and found[-1] == [0, 1]


def test_a_detection_in_which_the_network_finds_no_face_is_dropped():
    reader = SceneReader()
    reader.detect = lambda scene: [Detection(np.array([100.0, 100, 120, 120]), 0.8)]
    assert ids_of(FaceTracker(reader), [Scene(), Scene(shown(160, 160))]) == [[], [0]]


def test_a_lost_face_is_searched_more_often_beside_others():
    reader = SceneReader()
    following = FaceTracker(reader, TrackingConfig(detect_every=30, keep_s=10))
    ids_of(following, [Scene(shown(100), shown(600, 240))] * 2)
    (lost,) = [track for track in following._tracks if track.id == 1]
    lost.lost, before = True, reader.searches
    for number in range(2, 2 + 2 * LOST_SEARCH_EVERY):
        following.update(Scene(shown(100)), number / FPS)
    assert reader.searches - before == 2


def test_a_face_that_only_the_detector_misses_stays():
    reader = SceneReader()
    following = FaceTracker(reader, TrackingConfig(detect_every=5))
    ids_of(following, [Scene(shown(200))])
    reader.hidden = lambda points: True
    for number in range(1, 40):
        faces = following.update(Scene(shown(200 + number)), number / FPS)
        assert [face.id for face in faces] == [0]


def test_a_face_that_leaves_the_picture_ends():
    scenes = [Scene(shown(500 + 12 * number)) for number in range(30)]
    found = ids_of(FaceTracker(SceneReader()), scenes)
    assert found[5] == [0] and found[-1] == []


def test_boxes_that_landmarks_do_not_give_are_searched_in_every_frame():
    reader = SceneReader()
    reader.rule = BoxRule(source="label")
    scenes = [Scene(shown(200 + number)) for number in range(6)]
    assert ids_of(FaceTracker(reader), [*scenes, Scene()]) == [[0]] * 6 + [[]]
    assert (reader.searches, reader.looks) == (7, 6)


@pytest.mark.parametrize("options", [{"detect_every": 0}, {"keep_s": -1.0}])
def test_senseless_settings_are_refused(options):
    with pytest.raises(UserError, match="detect_every has to be at least 1"):
        FaceTracker(SceneReader(), TrackingConfig(**options))
