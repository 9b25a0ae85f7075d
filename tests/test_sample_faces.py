"""The rendered sample set: its layout, its landmarks, and its faces for a face detector."""

import hashlib

import cv2
import numpy as np
import pytest
import scipy.io

from senet_kp.data_prep.sample_faces.body import PIVOT
from senet_kp.data_prep.sample_faces.camera import SIZE_PX, Camera, rotation
from senet_kp.data_prep.sample_faces.dataset import Config, write_samples
from senet_kp.data_prep.sample_faces.head import Head
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.data_prep.sample_faces.landmarks import (
    contour_on_view,
    landmarks_3d,
    mean_landmarks_3d,
)
from senet_kp.data_prep.sample_faces.rasterise import rasterise
from senet_kp.data_prep.sample_faces.render import Model, draw
from senet_kp.data_prep.sample_faces.scene import random_background, random_light
from senet_kp.data_prep.sample_faces.texture import FacePaint
from senet_kp.data_prep.sample_faces.traits import (
    Expression,
    random_expression,
    random_look,
    random_shape,
)
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import flip_table_error
from senet_kp.tfrecords.errors import UserError

JAW = list(IBUG68.contour)
FEATURES = [i for i in range(68) if i not in JAW]
COUNT, VIEWS = 5, 3  # the second identity has two of its three views


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples") / "one"
    write_samples(Config(out=folder, count=COUNT, views=VIEWS, processes=1))
    return folder


@pytest.fixture(scope="module")
def views():
    """Eight views of each of eight identities."""
    return [render_identity(7, identity, 8) for identity in range(8)]


def test_layout_is_that_of_300w_lp(sample):
    stems = sorted(path.stem for path in (sample / "SAMPLE").glob("*.jpg"))
    assert stems == [f"SAMPLE_{i // VIEWS:05d}_1_{i % VIEWS}" for i in range(COUNT)]
    for stem in stems:
        assert cv2.imread(str(sample / "SAMPLE" / f"{stem}.jpg")).shape == (SIZE_PX, SIZE_PX, 3)
        labels = scipy.io.loadmat(sample / "SAMPLE" / f"{stem}.mat")
        assert (labels["pt2d"].shape, labels["pt2d"].dtype) == ((2, 68), np.float64)
        assert (labels["roi"].shape, labels["roi"].dtype) == ((1, 4), np.int16)
        assert (labels["Pose_Para"].shape, labels["Pose_Para"].dtype) == ((1, 7), np.float32)
        points = scipy.io.loadmat(sample / "landmarks" / "SAMPLE" / f"{stem}_pts.mat")
        assert points["pts_2d"].shape == points["pts_3d"].shape == (68, 2)
        assert points["pts_2d"].dtype == np.float64


def test_pt2d_always_holds_the_points_of_the_first_view(sample):
    first = scipy.io.loadmat(sample / "landmarks" / "SAMPLE" / "SAMPLE_00000_1_0_pts.mat")
    for pose in range(VIEWS):
        labels = scipy.io.loadmat(sample / "SAMPLE" / f"SAMPLE_00000_1_{pose}.mat")
        np.testing.assert_array_equal(labels["pt2d"], first["pts_2d"].T)


def test_pose_para_projects_the_head_onto_its_points(sample):
    rng = np.random.default_rng([0, 0])
    head = Head(random_shape(rng), random_expression(rng))
    for pose in range(VIEWS):
        stem = f"SAMPLE_00000_1_{pose}"
        pitch, yaw, roll, x, y, _, scale = scipy.io.loadmat(sample / "SAMPLE" / f"{stem}.mat")[
            "Pose_Para"
        ][0].astype(float)
        micrometres = 1e4 * landmarks_3d(head)
        flat = scale * micrometres @ rotation(*np.rad2deg((pitch, yaw, roll))).T[:, :2] + (x, y)
        flat[:, 1] = SIZE_PX + 1 - flat[:, 1]
        points = scipy.io.loadmat(sample / "landmarks" / "SAMPLE" / f"{stem}_pts.mat")["pts_3d"]
        np.testing.assert_allclose(flat, points, atol=0.01)


def test_same_seed_same_bytes_whatever_the_processes(sample, tmp_path):
    write_samples(Config(out=tmp_path / "two", count=COUNT, views=VIEWS, processes=2))
    write_samples(Config(out=tmp_path / "other", count=1, views=VIEWS, seed=1, processes=1))
    reference = hashes(sample)
    assert hashes(tmp_path / "two") == reference
    other = hashes(tmp_path / "other")
    assert all(reference[name] != other[name] for name in other)


def test_a_finished_set_is_kept_and_a_folder_of_other_files_refused(sample, tmp_path, capsys):
    before = [(p, p.stat().st_mtime_ns) for p in sorted(sample.rglob("*"))]
    write_samples(Config(out=sample, count=COUNT, views=VIEWS, processes=2))
    assert "nothing to do" in capsys.readouterr().out
    assert before == [(p, p.stat().st_mtime_ns) for p in sorted(sample.rglob("*"))]
    (tmp_path / "thesis.txt").write_text("four years of work")
    with pytest.raises(UserError, match="something else"):
        write_samples(Config(out=tmp_path, count=1))
    assert (tmp_path / "thesis.txt").read_text() == "four years of work"


@pytest.mark.parametrize("wrong", [{"count": 0}, {"views": 0}, {"processes": 0}, {"seed": -1}])
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(UserError, match="--" + next(iter(wrong))):
        Config(**wrong)


def test_dlib_finds_the_faces_that_look_at_the_camera():
    dlib = pytest.importorskip("dlib")
    detector = dlib.get_frontal_face_detector()
    pictures = [view for identity in range(24) for view in render_identity(3, identity, 3)]
    frontal = [view for view in pictures if abs(view.camera.yaw_deg) <= 30]
    found = [len(detector(np.ascontiguousarray(v.image[..., ::-1]), 0)) > 0 for v in frontal]
    assert len(frontal) >= 40
    assert np.mean(found) >= 0.9


def test_mean_shape_is_symmetric_and_fits_the_scheme():
    mean = mean_landmarks_3d()
    np.testing.assert_allclose(mean[list(IBUG68.flip)] * (-1, 1, 1), mean, atol=1e-9)
    assert flip_table_error(IBUG68, mean[:, :2] * (1, -1)) is None


def test_mean_proportions_are_those_of_the_scheme():
    """Ratios to the distance of the outer eye corners are typical of frontal photos in 300-W."""
    rng = np.random.default_rng(0)
    heads = [Head(random_shape(rng), random_expression(rng)) for _ in range(200)]
    mean = np.mean([landmarks_3d(head) for head in heads], axis=0)[:, :2]
    eyes = mean[45, 0] - mean[36, 0]

    def width(left, right):
        return (mean[right, 0] - mean[left, 0]) / eyes

    def below_eyes(point):
        return (mean[[36, 45], 1].mean() - mean[point, 1]) / eyes

    assert width(0, 16) == pytest.approx(1.62, abs=0.08)
    assert width(4, 12) == pytest.approx(1.29, abs=0.08)
    assert width(39, 42) == pytest.approx(0.42, abs=0.04)
    assert width(17, 26) == pytest.approx(1.34, abs=0.08)
    assert width(31, 35) == pytest.approx(0.33, abs=0.04)
    assert width(48, 54) == pytest.approx(0.62, abs=0.06)
    assert below_eyes(19) == pytest.approx(-0.27, abs=0.05)
    assert below_eyes(30) == pytest.approx(0.39, abs=0.05)
    assert below_eyes(33) == pytest.approx(0.54, abs=0.05)
    assert below_eyes(51) == pytest.approx(0.69, abs=0.05)
    assert below_eyes(57) == pytest.approx(0.91, abs=0.06)
    assert below_eyes(8) == pytest.approx(1.27, abs=0.08)


def test_all_points_are_inside_the_picture(views):
    for identity in views:
        for view in identity:
            points = np.concatenate([view.points_2d, view.points_3d])
            assert points.min() > 0 and points.max() < SIZE_PX - 1
            size = np.ptp(points, axis=0).max()
            assert 149 < size < 241


def test_views_cover_both_sides(views):
    for first, *turned in views:
        assert abs(first.camera.yaw_deg) <= 20
        yaws = [view.camera.yaw_deg for view in turned]
        assert min(yaws) < -50 and max(yaws) > 50 and max(np.abs(yaws)) <= 80


def test_negative_yaw_faces_the_pictures_right():
    points = landmarks_3d(Head())
    turned = Camera(0, -40, 0, 15.0, (225.0, 225.0)).project(points)
    assert turned[30, 0] - turned[[36, 45], 0].mean() > 20
    lifted = Camera(20, 0, 0, 15.0, (225.0, 225.0)).project(points)
    assert lifted[30, 1] < Camera(0, 0, 0, 15.0, (225.0, 225.0)).project(points)[30, 1]
    tilted = Camera(0, 0, 20, 15.0, (225.0, 225.0)).project(points)
    assert tilted[45, 1] > tilted[36, 1]  # clockwise


def test_only_the_hidden_jaw_moves_to_the_contour():
    head = Head()
    points = landmarks_3d(head)
    frontal = contour_on_view(head, points, rotation(0, 0, 0))
    np.testing.assert_allclose(frontal, points, atol=1e-6)
    far_right = contour_on_view(head, points, rotation(0, -50, 0))  # hides the right in the picture
    np.testing.assert_allclose(far_right[:9], points[:9], atol=1e-6)
    np.testing.assert_array_equal(far_right[FEATURES], points[FEATURES])
    assert (np.linalg.norm(far_right[9:17] - points[9:17], axis=1) > 0.5).all()


def test_the_moved_jaw_lies_on_the_silhouette():
    """On a head without hair or neck, the cheek turned away borders on the background."""
    rng = np.random.default_rng(5)
    light, background = random_light(rng), random_background(rng)
    for yaw, hidden in ((-45, range(10, 16)), (30, range(1, 7))):
        head = Head(random_shape(rng))
        skin = FacePaint(head, random_look(rng), rng).surface()
        camera = Camera(4, yaw, -6, 13.0, (225.0, 225.0))
        _, coverage = draw(Model([skin]), camera, camera.rotation, PIVOT, light, background)
        inside = (coverage > 0.5).astype(np.uint8)
        from_edge = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
        from_edge += cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        seen = camera.project(contour_on_view(head, landmarks_3d(head), camera.rotation))
        fixed = camera.project(landmarks_3d(head))
        for index in hidden:
            x, y = np.round(seen[index]).astype(int)
            assert from_edge[y, x] <= 4, (yaw, index)
        x, y = np.round(fixed[hidden[len(hidden) // 2]]).astype(int)
        assert from_edge[y, x] > 4  # without the correction the point would not be there


def test_landmarks_follow_lids_and_lips():
    def gaps(**expression):
        points = landmarks_3d(Head(expression=Expression(**expression)))[:, 1]
        return points[37] - points[41], points[62] - points[66], points[8]

    closed, squinting, open_eyes = (gaps(eyes_open=v)[0] for v in (0.0, 0.5, 1.0))
    assert closed == pytest.approx(0, abs=1e-9)
    assert closed < squinting < open_eyes
    assert gaps()[1] == pytest.approx(0, abs=1e-9)
    assert gaps(mouth_open=1.5)[1] == pytest.approx(1.5)
    assert gaps(mouth_open=1.5, jaw_drop=1.0)[2] == pytest.approx(gaps()[2] - 1.0)


def test_closed_lids_hide_the_eye():
    """In the middle of the eye there is a black pupil, or skin."""

    def redness(eyes_open):
        rng = np.random.default_rng(2)
        head, look = Head(expression=Expression(eyes_open=eyes_open)), random_look(rng)
        skin = FacePaint(head, look, rng).surface()
        away = np.hypot(*np.moveaxis(skin.positions[..., :2] - head.eye_centre, -1, 0))
        return skin.albedo[(away < 0.15) & (skin.positions[..., 2] > 0), 0].mean() / look.skin[0]

    assert redness(1.0) < 0.1
    assert redness(0.0) > 0.4


def test_rasteriser_keeps_the_nearest_and_leaves_no_cracks():
    square = np.float32([[2, 2, 0], [2, 12, 0], [12, 2, 0], [12, 12, 0]])
    quad = np.array([[0, 1, 2], [2, 1, 3]])
    nearer = square[:3] + np.float32([0, 0, 5])
    vertices = np.concatenate([square, nearer])
    covered = rasterise(vertices, np.concatenate([quad, [[4, 5, 6]]]), 20)
    assert sorted(covered.pixels) == [y * 20 + x for y in range(2, 13) for x in range(2, 13)]
    owner = dict(zip(covered.pixels.tolist(), covered.triangles.tolist(), strict=True))
    assert owner[4 * 20 + 4] == 2  # the triangle with the larger depth
    assert owner[11 * 20 + 11] == 1
    np.testing.assert_allclose(covered.weights.sum(axis=1), 1, atol=1e-5)
    place = np.einsum(
        "pc,pcj->pj", covered.weights, vertices[np.array([*quad, [4, 5, 6]])[covered.triangles]]
    )
    np.testing.assert_allclose(place[:, 0], covered.pixels % 20, atol=0.01)
    np.testing.assert_allclose(place[:, 1], covered.pixels // 20, atol=0.01)
    assert len(rasterise(vertices, quad[:, ::-1], 20).pixels) == 0  # seen from behind
