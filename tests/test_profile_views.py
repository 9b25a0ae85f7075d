"""Turned views of photos: their landmarks and pixels against the renderer's, files, and rejects."""

import hashlib
import json
from functools import cache

import cv2
import numpy as np
import pytest
import scipy.io
from conftest import (
    assert_one_line_error,
    face_points,
    make_picture,
    run_module,
    write_view,
)

from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.pts import write_pts
from senet_kp.data_prep.profile_views.command import ViewsConfig, tasks_of, write_views
from senet_kp.data_prep.profile_views.head_fit import fit_head
from senet_kp.data_prep.profile_views.make_views import yaws_deg
from senet_kp.data_prep.profile_views.photo import FACE_PX, framed_photo
from senet_kp.data_prep.profile_views.turn import turned_head
from senet_kp.data_prep.sample_faces import body
from senet_kp.data_prep.sample_faces.camera import SIZE_PX, Camera, framed
from senet_kp.data_prep.sample_faces.head import Head, grid_angles_deg
from senet_kp.data_prep.sample_faces.landmarks import contour_on_view, landmarks_3d, on_contour
from senet_kp.data_prep.sample_faces.render import CANVAS_PX, Light, Model, draw
from senet_kp.data_prep.sample_faces.shapes import random_shapes
from senet_kp.data_prep.sample_faces.texture import FacePaint
from senet_kp.data_prep.sample_faces.traits import random_expression, random_look, random_shape
from senet_kp.face.known_schemes import IBUG68
from senet_kp.tfrecords.errors import CheckError, UserError
from senet_kp.tfrecords.files import read_csv

INNER = [point for point in range(68) if point not in IBUG68.contour]
# Light from all sides alike: the colour of skin then does not depend on the pose.
_NONE, _SOME = np.zeros(3, np.float32), np.full(3, 0.8, np.float32)
_DIRECTION = np.float32((0, 0, 1))
EVEN_LIGHT = Light(_DIRECTION, _NONE, _DIRECTION, _NONE, _SOME, _SOME, 0.0)


@cache
def person(seed: int):
    """A random head, its landmarks and its model: skin and ears."""
    rng = np.random.default_rng(seed)
    head, look = Head(random_shape(rng), random_expression(rng)), random_look(rng)
    skin = FacePaint(head, look, rng).surface()
    body.paint_scalp(skin, look, grid_angles_deg(skin.positions.shape[1]), rng)
    return head, landmarks_3d(head), Model([skin, *body.ears(head, look)])


def rendered(seed: int, yaw_deg: float, scale=None):
    """The renderer's own picture of a person, its landmarks and its camera."""
    head, points, model = person(seed)
    camera = Camera(0.0, yaw_deg, 0.0, scale or 1.0)
    seen = contour_on_view(head, points, camera.rotation)
    both = np.concatenate([points, seen])
    size = np.ptp(camera.project(both), axis=0).max() if scale else FACE_PX
    camera = framed(camera, both, size, (SIZE_PX / 2, SIZE_PX / 2))
    grey = np.full((CANVAS_PX, CANVAS_PX, 3), 0.2, np.float32)
    linear, _ = draw(model, camera, camera.rotation, body.PIVOT, EVEN_LIGHT, grey)
    picture = np.uint8(255 * np.sqrt(np.clip(linear, 0, 1)))
    return picture, camera.project(seen), camera


def differences(first, second, points):
    """Mean absolute difference of two blurred pictures inside the features' convex hull, 0..255."""
    hull = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.int32(points[INNER].round())), 1)
    first, second = (cv2.GaussianBlur(p, (0, 0), 2.0).astype(float) for p in (first, second))
    return np.abs(first - second)[cv2.erode(hull, np.ones((7, 7))) > 0].mean()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_views_agree_with_the_renderers_own(seed):
    """Measured on 8 people: points at most 0.4 % of the face off at 30 degrees, 1.6 % at 90.

    Pixels, which have 255 levels, differ by 3 to 9; those of the photo before its turn by 9 to 25.
    """
    picture, labels, camera = rendered(seed, 4.0)
    head = turned_head(framed_photo(picture, labels))
    scale = camera.scale_px_per_cm * FACE_PX / np.ptp(labels, axis=0).max()
    for yaw_deg, most_percent in ((30.0, 1.0), (60.0, 2.0), (90.0, 2.5)):
        view = head.turned_to(yaw_deg)
        truth, points, _ = rendered(seed, yaw_deg, scale)
        apart = np.hypot(*(view.points_2d - points).T).mean() / FACE_PX
        assert 100 * apart < most_percent, yaw_deg
        assert view.camera.yaw_deg == yaw_deg
        pixels = differences(view.image, truth, points)
        assert pixels < 11, yaw_deg
        assert pixels < 0.8 * differences(picture, truth, points), yaw_deg  # turning helped


def test_the_photo_itself_has_the_labels_on_the_surface():
    picture, labels, _ = rendered(4, 20.0)
    labels = labels + 3 * np.sin(labels[:, ::-1] / 20)  # of no head that the renderer knows
    head = turned_head(framed_photo(picture, labels))
    flat = head.fit.camera.project(on_contour(head.points, head.arcs, head.fit.camera.rotation))
    before = head.fit.camera.project(head.fit.seen)
    own = head.original().points_2d
    assert np.hypot(*(before - own).T).mean() > 1.0
    assert np.hypot(*(flat - own).T).mean() < 0.4
    assert np.hypot(*(flat - own).T).max() < 4.0  # of points that the model has in one place


def test_fits_find_pose_and_shape_of_other_heads():
    """Measured on 60 views up to 60 degrees: yaw 0.24 degrees off on average, landmarks 0.3 %."""
    shapes, yaws = random_shapes(heads=10, views=9, seed=5)
    chosen = np.flatnonzero(np.abs(yaws) < 60)[:60]
    fits = [fit_head(200 / 15 * shapes[i]) for i in chosen]
    assert np.mean([fit.error_percent for fit in fits]) < 0.5
    off = [abs(fit.camera.yaw_deg - yaws[i]) for fit, i in zip(fits, chosen, strict=True)]
    assert np.mean(off) < 0.6


def test_yaws_reach_the_profile_in_equal_steps():
    assert yaws_deg(-30.0, 15.0) == pytest.approx([-45, -60, -75, -90])
    assert yaws_deg(4.0, 15.0) == pytest.approx(4 + 86 / 6 * np.arange(1, 7))
    assert len(yaws_deg(86.0, 15.0)) == 0


def test_black_borders_and_edges_are_continued():
    points = face_points((70, 80), 100)
    picture = make_picture(points, (150, 150)) // 2 + 100
    photo = framed_photo(np.pad(picture, ((0, 90), (40, 0), (0, 0))), points + (40, 0))
    assert photo.canvas.min() > 60
    assert np.ptp(photo.landmarks, axis=0).max() == pytest.approx(FACE_PX)
    middle = (photo.landmarks.min(axis=0) + photo.landmarks.max(axis=0)) / 2
    assert middle == pytest.approx([225, 225])  # 226 in MATLAB's coordinates


# ---- the command


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three photos of the format 300w-lp, the last with wrong landmarks, and a view of another."""
    root = tmp_path_factory.mktemp("photos")
    for number in (1, 2):
        picture, labels, _ = rendered(number, 15.0 * number)
        write_view(root, "HELEN", f"HELEN_{number}_1_0", labels, picture[:, :, ::-1])
    write_view(root, "HELEN", "HELEN_1_1_5", labels + 1, picture)
    wrong = np.roll(labels, 1, axis=0)
    write_view(root, "HELEN", "HELEN_3_1_0", wrong, picture)
    return root


@pytest.fixture(scope="module")
def views(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("views") / "one"
    write_views(ViewsConfig((photos,), out, steps_deg=30, max_rejects=0.4, processes=1))
    return out


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_folder_is_a_300w_lp_set(views):
    format = FORMATS["300w-lp"]
    assert [name for name, f in FORMATS.items() if f.recognises(views)] == ["300w-lp"]
    faces = format.scan(views)
    assert [face.name for face in faces] == [
        *(f"HELEN/HELEN_1_1_{k}.jpg" for k in range(4)),
        *(f"HELEN/HELEN_2_1_{k}.jpg" for k in range(3)),
    ]
    assert {face.group for face in faces} == {"HELEN_1", "HELEN_2"}
    yaws = []
    for face in faces:
        label = format.read_label(face, face.label.read_bytes(), IBUG68)
        assert label.landmarks.min() > 50 and label.landmarks.max() < 400
        yaws.append(label.pose_deg[1])
        own = scipy.io.loadmat(face.picture.with_suffix(".mat"))
        first = views / "HELEN" / f"{face.picture.stem[:-1]}0.mat"
        assert (own["pt2d"] == scipy.io.loadmat(first)["pt2d"]).all()
        assert own["Pose_Para"].shape == (1, 7) and own["roi"].shape == (1, 4)
    assert yaws == pytest.approx([15, 40, 65, 90, 30, 60, 90], abs=2)


def test_pose_para_projects_as_in_300w_lp(views):
    """pts_3d of two views of one head, in the frame of the head, are the same points."""
    flat = []
    for k in range(4):
        pose = scipy.io.loadmat(views / f"HELEN/HELEN_1_1_{k}.mat")["Pose_Para"][0]
        points = scipy.io.loadmat(views / f"landmarks/HELEN/HELEN_1_1_{k}_pts.mat")["pts_3d"]
        y = (451 - points[:, 1] - pose[4]) / pose[6] / 1e4
        flat.append(y)  # pitch and roll are those of the photo; turning keeps heights if both are 0
    assert np.abs(np.array(flat) - flat[0]).max() < 0.35


def test_rejects_are_listed_with_the_error(views):
    (row,) = read_csv(views / "rejects.csv")
    assert (row["picture"], row["reason"]) == ("HELEN/HELEN_3_1_0.jpg", "bad-fit")
    assert "% of the face's size" in row["message"] and "HELEN_3_1_0.jpg" in row["message"]
    assert [fit["views"] for fit in read_csv(views / "fits.csv")] == ["4", "3"]
    assert json.loads((views / "views.json").read_text())["views"] == 7


def test_too_many_rejects_fail_and_leave_the_list(photos, tmp_path):
    with pytest.raises(CheckError, match="1 of 3 photos cannot be used"):
        write_views(ViewsConfig((photos,), tmp_path / "out", processes=1, steps_deg=90))
    assert not (tmp_path / "out").exists()
    assert len(read_csv(tmp_path / "out-rejects.csv")) == 1


def test_two_processes_write_the_same_bytes_and_a_repeat_nothing(photos, views, tmp_path, capsys):
    config = ViewsConfig((photos,), tmp_path / "two", steps_deg=30, max_rejects=0.4, processes=2)
    write_views(config)
    assert hashes(tmp_path / "two") == hashes(views)
    write_views(config)
    assert "nothing to do" in capsys.readouterr().out


def test_a_folder_with_other_files_is_refused(photos, tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="diary.txt"):
        write_views(ViewsConfig((photos,), tmp_path, processes=1))
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_groups_of_other_formats_survive(tmp_path):
    """Faces of one photo are one group again when the views are read as 300W-LP."""
    for number in (1, 2):
        points = face_points((100, 100), 120)
        picture = make_picture(points, (200, 200))
        cv2.imwrite(str(tmp_path / f"image_003_{number}.jpg"), picture)
        write_pts(tmp_path / f"image_003_{number}.pts", points)
    tasks = tasks_of(FORMATS["pts"].scan(tmp_path))
    assert len({task.stem for task in tasks}) == 2
    assert {task.stem.rpartition("_")[0] for task in tasks} == {tasks[0].stem.rpartition("_")[0]}


def test_unusable_arguments_are_one_line(tmp_path):
    result = run_module("-m", "data_prep.profile_views", tmp_path, "--steps-deg", "0")
    assert_one_line_error(result, 2, "--steps-deg")
    result = run_module("-m", "data_prep.profile_views", tmp_path / "none")
    assert_one_line_error(result, 3, "none")
