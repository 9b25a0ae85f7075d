"""Fixtures and functions that generate small data sets; no real data are needed."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from hypothesis import settings

from senet_kp.face.pose import MEAN_LANDMARKS_CM

ROOT = Path(__file__).resolve().parent.parent
settings.register_profile("untimed", deadline=None)  # tests may be slow on a busy machine
settings.load_profile("untimed")

REAL_DATA = ROOT.parent / "shared" / "data"


def run_module(*arguments, timeout=300, **options):
    """Run `python <arguments>` in the root of the project, without checking the exit code."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )


def assert_one_line_error(result, code: int, *words: str):
    """Assert that a command failed with this exit code and one error line with all the words."""
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert str(word) in lines[0], lines[0]


def assert_choices(result, flag: str, *choices: str):
    """The command line refused the value of a flag with exit code 2 and listed the choices."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr and flag in result.stderr, result.stderr
    for choice in choices:
        assert f"'{choice}'" in result.stderr, result.stderr


def face_points(centre, size_px: float, yaw_deg: float = 0.0, seed: int = 0) -> np.ndarray:
    """Return 68 plausible points [68, 2] in pixels: the mean head, rotated, with a little noise."""
    angle = np.radians(yaw_deg)
    x, y, z = MEAN_LANDMARKS_CM.T
    points = np.column_stack([x * np.cos(angle) + z * np.sin(angle), -y])
    points = points / np.ptp(points, axis=0).max() * size_px
    points += np.random.default_rng(seed).normal(0, size_px / 200, points.shape)
    return points - (points.min(0) + points.max(0)) / 2 + centre


def make_picture(points, size=(450, 450), seed: int = 0) -> np.ndarray:
    """Return [H, W, 3] RGB: a smooth background with a dark dot on every point."""
    rng = np.random.default_rng(seed)
    small = rng.integers(90, 255, (6, 6, 3), np.uint8)
    picture = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    for x, y in points:
        cv2.circle(picture, (round(x), round(y)), 3, (10, 10, 10), -1, cv2.LINE_AA)
    return picture


def write_view(root: Path, subset: str, stem: str, points, picture, original=None, pose=None):
    """Write one picture with its labels in the layout of 300W-LP; points are 0-based pixels."""
    labels = root / "landmarks" / subset
    labels.mkdir(parents=True, exist_ok=True)
    (root / subset).mkdir(exist_ok=True)
    cv2.imwrite(str(root / subset / f"{stem}.jpg"), picture[:, :, ::-1])
    own = {"pt2d": (points if original is None else original).T + 1}
    if pose is not None:
        own["Pose_Para"] = np.array([[*pose, 0, 0, 0, 1e-3]], np.float32)
    scipy.io.savemat(root / subset / f"{stem}.mat", own)
    both = {"pts_2d": points + 1, "pts_3d": points + 2}
    scipy.io.savemat(labels / f"{stem}_pts.mat", both)


def write_faces(root: Path, count: int = 30) -> dict[str, np.ndarray]:
    """Write `count` small pictures of one face into two folders; return {picture name: points}."""
    found = {}
    for index in range(count):
        name = f"{'ab'[index % 2]}/person{index:02d}x.png"
        points = face_points((70, 80), 80, seed=index)
        picture = make_picture(points, (160, 140), seed=index)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), picture[:, :, ::-1])
        found[name] = points
    return found


def prepared(data: Path, out: Path, **options):
    """Prepare a data set; return the manifest and {name: (record, points in pixels)}."""
    from senet_kp.data_prep.config import PrepareConfig
    from senet_kp.data_prep.prepare import prepare
    from senet_kp.tfrecords.shards import read_records
    from senet_kp.tfrecords.sides import SIDES

    options = {"detector_pictures": 0, "processes": 1, **options}
    manifest = prepare(PrepareConfig(data=(data,), out=out, **options))
    found = {}
    for side in SIDES:
        for record in read_records(out, manifest, side):
            points = np.column_stack([record.landmarks, np.ones(len(record.landmarks))])
            found[record.name] = (record, points @ record.affine.T)
    return manifest, found


def make_tree(root: Path, photos: int = 48, views: int = 2, subset: str = "AFW") -> Path:
    """Make a folder in the layout of 300W-LP with `views` views of each of `photos` photos."""
    for photo in range(photos):
        original = None
        for view in range(views):
            yaw = 20.0 * view
            points = face_points((225, 230), 200 + photo % 20, yaw, seed=100 * photo + view)
            original = points if original is None else original
            write_view(
                root,
                subset,
                f"{subset}_{1000 + photo}_1_{view}",
                points,
                make_picture(points, seed=photo),
                original,
                pose=(0.0, np.radians(yaw), 0.0),
            )
    return root


@pytest.fixture(scope="session")
def tree(tmp_path_factory) -> Path:
    """96 pictures of 48 photos; tests copy it before changing anything."""
    return make_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def records(tree, tmp_path_factory) -> Path:
    """The record folder of `tree`."""
    from senet_kp.data_prep.config import PrepareConfig
    from senet_kp.data_prep.prepare import prepare

    out = tmp_path_factory.mktemp("records") / "tfrecords"
    prepare(PrepareConfig(data=(tree,), out=out, detector_pictures=2, processes=2))
    return out


@pytest.fixture(scope="session")
def run(records, tmp_path_factory) -> Path:
    """A training of 24 steps, enough to move the batch-norm statistics and write all files."""
    from senet_kp.train.config import TrainConfig
    from senet_kp.train.loop import train

    folder = tmp_path_factory.mktemp("train") / "run"
    config = TrainConfig(
        records=records,
        run=folder,
        steps=24,
        batch_size=8,
        bn_decay=0.8,
        validate_every_steps=12,
        log_every_steps=6,
    )
    assert train(config) == 0
    return folder


@pytest.fixture(scope="session")
def model(run, records, tmp_path_factory) -> Path:
    """The frozen graph of `run` with its model card, with a plausible detector transform."""
    from senet_kp.export.freeze import FreezeConfig, freeze

    path = tmp_path_factory.mktemp("model") / "senet.pb"
    freeze(FreezeConfig(run=run, records=records, out=path))
    card = json.loads(path.with_suffix(".json").read_text())
    card["detector_box"] = {
        "shift_x": 0.02,
        "shift_y": 0.12,
        "scale": 1.1,
        "spread": [0.1, 0.1, 0.1],
        "pictures": 10,
        "found": 9,
    }
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture(scope="session")
def uninterrupted(records, tmp_path_factory) -> Path:
    """An uninterrupted training of senet_classic on one thread, to compare resumed ones with."""
    from runs import config

    from senet_kp.train.loop import train

    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert train(config(records, run)) == 0
    return run


@pytest.fixture(scope="session", autouse=True)
def empty_cache(tmp_path_factory):
    """A cache without YuNet's file, so that dlib finds the faces on every machine."""
    folder = str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENET_KP_CACHE", folder)
        yield


@pytest.fixture(scope="session")
def two_subsets(tmp_path_factory) -> Path:
    """Records of the subsets A (yaws of 0 and 20 degrees) and B (0 to 80)."""
    root = tmp_path_factory.mktemp("two")
    make_tree(root / "data", photos=30, views=2, subset="A")
    make_tree(root / "data", photos=8, views=5, subset="B")
    from senet_kp.face.facebox import BoxRule

    small = {"test_share": 0.1, "val_share": 0.1, "box": BoxRule(size_px=64)}
    prepared(root / "data", root / "records", **small)
    return root / "records"
