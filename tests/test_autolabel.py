"""Automatic labels: their files, the order by uncertainty, and repeated runs."""

import csv
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_one_line_error, run_module
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_orientation import file_of

from senet_kp.data_prep import autolabel as command
from senet_kp.data_prep.autolabel import AutolabelConfig, autolabel
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.pts import write_pts
from senet_kp.data_prep.labellers import VARIANTS, DlibLabeller, open_labeller, spread_percent
from senet_kp.data_prep.recognise import recognise
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.metrics import nme, normalised_errors
from senet_kp.face.turning import inverse, turned_picture
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.tfrecords.errors import InputError, ModelError, UserError
from senet_kp.tfrecords.files import link_or_copy

dlib = pytest.importorskip("dlib")
MODEL = ROOT / "export" / "pretrained" / "senet68.pb"


def read_points(path) -> np.ndarray:
    """Return the points of a .pts file without converting them."""
    head, _, rest = path.read_text().partition("{\n")
    version, count = head.splitlines()
    points = np.array([line.split() for line in rest.removesuffix("}\n").splitlines()], float)
    assert version == "version: 1" and count == f"n_points:  {len(points)}"
    return points


def read_table(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, picture):
    cv2.imwrite(str(path), picture[..., ::-1])


@pytest.fixture(scope="module")
def views():
    """Two rendered photos: [(RGB picture, points [68, 2])]."""
    photos = [render_identity(11, identity, 1)[0] for identity in range(2)]
    return [(np.ascontiguousarray(v.image[..., ::-1]), v.points_2d) for v in photos]


@pytest.fixture
def photos(views, tmp_path):
    """A folder with two faces, a picture without a face, and a file that is not a picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, (picture, _) in zip(("anna", "bert"), views, strict=True):
        write(folder / f"{name}.png", picture)
    write(folder / "empty.png", np.full((120, 160, 3), 128, np.uint8))
    (folder / "junk.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture
def config(photos, tmp_path):
    return AutolabelConfig((photos,), MODEL, tmp_path / "labels")


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --- .pts ---


def test_the_file_has_exactly_the_format_of_ibug(tmp_path):
    write_pts(tmp_path / "a.pts", [[0, 0], [29.25, 103.5]])
    text = "version: 1\nn_points:  2\n{\n1.000000 1.000000\n30.250000 104.500000\n}\n"
    assert (tmp_path / "a.pts").read_text() == text
    with pytest.raises(ValueError, match="b.pts.*not finite"):
        write_pts(tmp_path / "b.pts", [[np.nan, 0]])
    assert files(tmp_path) == ["a.pts"]


@given(arrays(float, (5, 2), elements=st.floats(-1e4, 1e4)))
def test_points_survive_a_round_trip_through_a_file(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("pts") / "a.pts"
    write_pts(path, points)
    np.testing.assert_allclose(read_points(path) - 1, points, atol=1e-6)


# --- uncertainty ---


class Scripted:
    """Predicts the same shape in every box, and its mirror image in the mirrored picture."""

    scheme = IBUG68

    def __init__(self, shape):
        self.shape = shape

    def place(self, picture, box, roll_deg=0.0):
        shape = self.shape if picture[0, 0, 0] == 0 else IBUG68.mirror(self.shape)
        return shape * box[2:] + box[:2]


def test_spread_by_hand():
    shape = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2))
    shape[[36, 45]] = (0.3, 0.4), (0.7, 0.4)
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 100:] = 1  # so that the mirrored picture can be distinguished
    labeller, box = Scripted(shape), np.array([30.0, 10.0, 80.0, 80.0])
    face = Face(box, 1.0, labeller.place(picture, box))
    # Four shifts by 0.04 box sizes, two scales by 0.06 about the centre of the box, and the
    # mirrored picture, whose prediction is the same. The eye corners are 0.4 box sizes apart.
    from_centre = np.linalg.norm(shape - 0.5, axis=1).mean()
    expected = 100 * (4 * 0.04 + 2 * 0.06 * from_centre + 0) / 7 / 0.4
    assert len(VARIANTS) == 6
    assert spread_percent(labeller, picture, face) == pytest.approx(expected)


def test_a_prediction_that_only_mirroring_changes_is_uncertain():
    """Predictions at fixed pixels, mirrored or not: mirroring moves them by 2 x 20 px."""
    fixed = np.tile([[70.0, 50.0]], (68, 1))
    fixed[[36, 45]] = (60.0, 50.0), (80.0, 50.0)
    labeller = SimpleNamespace(scheme=IBUG68, place=lambda picture, box, roll_deg: fixed)
    picture = np.zeros((100, 181, 3), np.uint8)  # its middle is 90
    face = Face(np.array([30.0, 10.0, 80.0, 80.0]), 1.0, fixed)
    assert spread_percent(labeller, picture, face) == pytest.approx(100 * 40 / 7 / 20)


# --- whole runs ---


def test_every_face_gets_a_label_and_every_other_picture_a_reject(config, photos, views):
    done = autolabel(config)
    assert done == {"faces": 2, "pictures": 2, "rejects": 2, "skipped": 0}
    out = config.out
    assert files(out) == [
        "anna.png",
        "anna.pts",
        "bert.png",
        "bert.pts",
        "rejects.csv",
        "review.csv",
        "review.png",
        "review/anna.jpg",
        "review/bert.jpg",
    ]
    predictor = LandmarkPredictor(MODEL)
    for name, (_, truth) in zip(("anna", "bert"), views, strict=True):
        found = read_points(out / f"{name}.pts") - 1
        (face,) = predictor.predict(photos / f"{name}.png")
        np.testing.assert_allclose(found, face.landmarks, atol=1e-5)
        mask = np.ones((1, 68), bool)
        assert nme(normalised_errors(found[None], truth[None], mask, IBUG68, "inter-ocular")) < 0.09
    rejects = {row["picture"].split("/")[-1]: row for row in read_table(out / "rejects.csv")}
    assert {k: row["reason"] for k, row in rejects.items()} == {
        "empty.png": "no-face",
        "junk.jpg": "unreadable",
    }
    assert all(name in row["message"] for name, row in rejects.items())


def test_the_labels_are_a_data_set(config, photos, capsys):
    """The pictures lie beside their labels, and what was drawn for review is not read."""
    autolabel(config)
    assert (config.out / "anna.png").read_bytes() == (photos / "anna.png").read_bytes()
    assert recognise(config.out) == "pts"
    sources = FORMATS["pts"].scan(config.out)
    assert [source.name for source in sources] == ["anna.png", "bert.png"]
    assert "no .pts file" not in "".join(FORMATS["pts"].survey(config.out, sources))
    (config.out / "anna.png").unlink()  # labels of an earlier version had no pictures
    autolabel(config)
    assert len(FORMATS["pts"].scan(config.out)) == 2


def test_labels_of_turned_pictures_lie_in_upright_pixels(config, views, tmp_path):
    picture, _ = views[0]
    for orientation, folder in ((1, "upright"), (6, "turned")):
        stored = turned_picture(picture, inverse(orientation))
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(file_of(stored, "PNG", orientation))
        autolabel(AutolabelConfig((tmp_path / folder,), MODEL, tmp_path / folder))
    upright, turned = ((tmp_path / name / "a.pts").read_text() for name in ("upright", "turned"))
    assert upright == turned
    assert FORMATS["pts"].label_pixels == "upright"


def test_labels_beside_their_pictures_add_no_second_copy(photos):
    before = files(photos)
    autolabel(AutolabelConfig((photos,), MODEL, photos))
    assert [name for name in files(photos) if name.endswith((".png", ".jpg"))] == sorted(
        [*(n for n in before), "review.png", "review/anna.jpg", "review/bert.jpg"]
    )


def test_a_picture_is_copied_where_it_cannot_be_linked(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"picture")
    link_or_copy(tmp_path / "a", tmp_path / "sub" / "linked")
    assert (tmp_path / "a").stat().st_nlink == 2

    def refuse(*_):
        raise OSError("another disk")

    monkeypatch.setattr("os.link", refuse)
    link_or_copy(tmp_path / "a", tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == b"picture"
    assert (tmp_path / "a").stat().st_nlink == 2


def test_the_most_uncertain_face_comes_first_in_table_and_sheet(config):
    autolabel(config)
    rows = read_table(config.out / "review.csv")
    spreads = [float(row["spread_percent"]) for row in rows]
    assert len(rows) == 2 and spreads == sorted(spreads, reverse=True) and min(spreads) > 0.1
    sheet = cv2.imread(str(config.out / "review.png"))
    first, second = (
        cv2.imread(str(config.out / "review" / row["label"].replace("pts", "jpg"))) for row in rows
    )
    assert first.shape == (192, 192, 3)
    assert np.abs(sheet[4:196, 4:196].astype(int) - first).max() == 0
    assert np.abs(sheet[4:196, 200:392].astype(int) - second).max() == 0


@pytest.mark.parametrize("name", ["review.csv", "rejects.csv", "review.png"])
def test_a_file_of_somebody_else_is_not_replaced(config, name):
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / name).write_text("title,stars\nJaws,5\n")
    with pytest.raises(UserError, match=f"{name}: .* has not written this one"):
        autolabel(config)
    assert (config.out / name).read_text() == "title,stars\nJaws,5\n"
    assert [path.name for path in config.out.iterdir()] == [name]


def test_an_existing_label_is_kept_without_overwrite(config, capsys):
    autolabel(config)
    label = config.out / "anna.pts"
    review = (config.out / "review.csv").read_text()
    label.write_text("mended by hand")
    done = autolabel(config)
    assert done["faces"] == 0 and done["skipped"] == 2 and label.read_text() == "mended by hand"
    assert (config.out / "review.csv").read_text() == review
    label.unlink()
    assert autolabel(config)["faces"] == 1 and label.exists()
    assert (config.out / "review.csv").read_text() == review
    label.write_text("mended by hand")
    again = AutolabelConfig(config.pictures, MODEL, config.out, overwrite=True)
    assert autolabel(again)["faces"] == 2 and len(read_points(label)) == 68
    assert (config.out / "review.csv").read_text() == review


def test_a_killed_run_is_resumed(config, monkeypatch):
    calls = []

    def killed(path, landmarks):
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write_pts(path, landmarks)

    monkeypatch.setattr(command, "write_pts", killed)
    with pytest.raises(KeyboardInterrupt):
        autolabel(config)
    assert [name for name in files(config.out) if name.endswith(".pts")] == ["anna.pts"]
    with open(config.out / "review.csv", "a") as file:
        file.write("carl.p")  # an incomplete row
    assert autolabel(config)["faces"] == 1 and calls == ["anna.pts", "bert.pts", "bert.pts"]
    rows = read_table(config.out / "review.csv")
    assert sorted(row["label"] for row in rows) == ["anna.pts", "bert.pts"]


def test_further_faces_are_numbered_and_do_not_take_other_pictures_names(config, photos, views):
    both = np.concatenate([picture for picture, _ in views], axis=1)
    for path in photos.iterdir():
        path.unlink()
    write(photos / "pair.png", both)
    assert autolabel(config)["faces"] == 2
    first, second = (read_points(config.out / f"pair{end}.pts") for end in ("", "_2"))
    assert abs(first[:, 0].mean() - second[:, 0].mean()) > views[0][0].shape[1] / 2
    shutil.rmtree(config.out)
    write(photos / "pair_2.png", views[1][0])
    assert autolabel(config)["rejects"] == 1
    assert [name for name in files(config.out) if name.endswith(".pts")] == [
        "pair.pts",
        "pair_2.pts",
    ]
    assert read_points(config.out / "pair_2.pts")[:, 0].max() < views[1][0].shape[1]
    (row,) = read_table(config.out / "rejects.csv")
    assert row["reason"] == "name-taken" and "pair_2.pts" in row["message"]


def test_the_command(photos, tmp_path):
    flags = ("-m", "data_prep.autolabel", photos / "anna.png", "--model", MODEL, "--out")
    result = run_module(*flags, tmp_path / "out")
    assert result.returncode == 0 and "1 faces of 1 pictures" in result.stdout, result.stderr
    again = run_module(*flags, tmp_path / "out")
    assert again.returncode == 0 and "nothing to do" in again.stdout
    gone = run_module(*flags[:-2], tmp_path / "gone.pb", "--out", tmp_path / "new")
    assert_one_line_error(gone, 4, "gone.pb")
    assert not (tmp_path / "new").exists()


def test_pictures_with_the_same_label_name_are_refused(config, photos, tmp_path):
    shutil.copy(photos / "anna.png", photos / "anna.bmp")
    with pytest.raises(InputError, match="anna.bmp and .*anna.png would have one label"):
        autolabel(config)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="a folder without pictures"):
        autolabel(AutolabelConfig((tmp_path / "none",), MODEL, config.out))
    with pytest.raises(UserError, match="no picture"):
        autolabel(AutolabelConfig((), MODEL, config.out))
    assert not config.out.exists()


# --- dlib's shape predictors ---


def train_predictor(path, views, points):
    """Train a predictor on some points of these pictures, in the rectangles of dlib's detector."""
    detector, images, shapes = dlib.get_frontal_face_detector(), [], []
    for picture, truth in views:
        rectangle = detector(picture, 0)[0]
        parts = [dlib.point(*map(int, np.round(point))) for point in truth[points]]
        images.append(picture)
        shapes.append([dlib.full_object_detection(rectangle, parts)])
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level = 3, 20
    options.oversampling_amount, options.num_threads = 5, 1
    dlib.train_shape_predictor(images, shapes, options).save(str(path))
    return path


@pytest.fixture(scope="module")
def dat(views, tmp_path_factory):
    return train_predictor(tmp_path_factory.mktemp("dat") / "own.dat", views, slice(None))


def test_a_dlib_predictor_takes_dlibs_own_rectangle(dat, views, photos, tmp_path):
    picture, truth = views[0]
    expected = dlib.shape_predictor(str(dat))(picture, dlib.get_frontal_face_detector()(picture)[0])
    config = AutolabelConfig((photos / "anna.png",), dat, tmp_path / "labels")
    assert autolabel(config)["faces"] == 1
    found = read_points(config.out / "anna.pts") - 1
    assert np.abs(found - [(part.x, part.y) for part in expected.parts()]).max() < 6
    mask = np.ones((1, 68), bool)
    assert nme(normalised_errors(found[None], truth[None], mask, IBUG68, "inter-ocular")) < 0.1


def test_a_box_is_its_rectangle(dat, views):
    labeller = DlibLabeller(dat)
    assert labeller.scheme is IBUG68
    picture = views[0][0]
    direct = dlib.shape_predictor(str(dat))(picture, dlib.rectangle(100, 90, 299, 289))
    placed = labeller.place(picture, np.array([99.5, 89.5, 200.0, 200.0]))
    assert placed.tolist() == [[part.x, part.y] for part in direct.parts()]


def test_unsuitable_predictors_are_refused(dat, views, tmp_path):
    seven = train_predictor(tmp_path / "seven.dat", views[:1], slice(0, 7))
    with pytest.raises(ModelError, match="predicts 7 points.*68"):
        open_labeller(seven)
    own = shutil.copy(dat, tmp_path / "dlib68.dat")
    (tmp_path / "dlib68.json").write_text('{"records_sha256": "0"}')
    with pytest.raises(ModelError, match="dlib68.json: not a model card: .*has no box, scheme"):
        open_labeller(own)
    (tmp_path / "broken.dat").write_bytes(b"no predictor")
    for name, words in (
        ("broken.dat", "dlib cannot read it as a shape predictor"),
        ("gone.dat", "no such"),
    ):
        with pytest.raises(ModelError, match=f"{name}: {words}"):
            open_labeller(tmp_path / name)
    with pytest.raises(UserError, match="--detector: .*dlib's own boxes"):
        open_labeller(dat, tmp_path / "yunet.onnx")
