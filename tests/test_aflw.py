"""AFLW's database and the table of its crops: points that are missing, pose, groups, rejects."""

import csv
import sqlite3

import cv2
import numpy as np
import pytest
from conftest import REAL_DATA, make_picture, prepared
from hypothesis import given
from hypothesis import strategies as st

from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import aflw, aflw2000, tables
from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.data_prep.recognise import recognise
from senet_kp.face.facebox import BoxRule
from senet_kp.face.known_schemes import AFLW21
from senet_kp.face.pose import rotation_of
from senet_kp.tfrecords.errors import InputError

# 21 points of a plain face of 100x100, in AFLW's order.
FACE = np.array([
    (16, 26), (26, 20), (38, 25), (62, 25), (74, 20), (84, 26),
    (22, 36), (30, 35), (38, 36), (62, 36), (70, 35), (78, 36),
    (4, 50), (40, 58), (50, 55), (60, 58), (96, 50), (34, 76), (50, 78), (66, 76), (50, 98),
], float)  # fmt: skip
NAMES = [
    "LeftBrowLeftCorner", "LeftBrowCenter", "LeftBrowRightCorner",
    "RightBrowLeftCorner", "RightBrowCenter", "RightBrowRightCorner",
    "LeftEyeLeftCorner", "LeftEyeCenter", "LeftEyeRightCorner",
    "RightEyeLeftCorner", "RightEyeCenter", "RightEyeRightCorner",
    "LeftEar", "NoseLeft", "NoseCenter", "NoseRight", "RightEar",
    "MouthLeftCorner", "MouthCenter", "MouthRightCorner", "ChinCenter",
]  # fmt: skip
TABLES = """
CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
CREATE TABLE FaceImages (image_id INTEGER PRIMARY KEY, db_id TEXT, file_id TEXT, filepath TEXT,
                         bw INTEGER, width INTEGER, height INTEGER);
CREATE TABLE FaceRect (face_id INTEGER, x INTEGER, y INTEGER, w INTEGER, h INTEGER,
                       annot_type_id INTEGER);
CREATE TABLE FacePose (face_id INTEGER, roll REAL, pitch REAL, yaw REAL, annot_type_id INTEGER);
CREATE TABLE FeatureCoords (face_id INTEGER, feature_id INTEGER, x REAL, y REAL);
CREATE TABLE FeatureCoordTypes (feature_id INTEGER, descr TEXT, code TEXT, x REAL, y REAL, z REAL);
"""


def shown(face: int) -> list[int]:
    """The points of a face that are annotated: every third is not."""
    return [point for point in range(21) if (point + face) % 3]


def make_database(root, photos: int = 20):
    """Photos in flickr/0, each third with a second face; face ids begin at 39341."""
    folder = root / "aflw" / "data"
    (folder / "flickr" / "0").mkdir(parents=True)
    with sqlite3.connect(folder / "aflw.sqlite") as base:
        base.executescript(TABLES)
        # The numbers of the features are none of the reader's business, their names are.
        features = {name: 100 - index for index, name in enumerate(NAMES)}
        rows = [(number, name, "", 0, 0, 0) for name, number in features.items()]
        base.executemany("INSERT INTO FeatureCoordTypes VALUES (?,?,?,?,?,?)", rows)
        base.execute("INSERT INTO FeatureCoordTypes VALUES (7, 'LeftTemple', '', 0, 0, 0)")
        face = 39341
        for photo in range(photos):
            file = f"image{photo + 13:05d}.jpg"
            values = (photo, "flickr", file, f"0/{file}", 0, 260, 140)
            base.execute("INSERT INTO FaceImages VALUES (?,?,?,?,?,?,?)", values)
            corners = [(20, 20), (140, 20)][: 1 + (photo % 3 == 0)]
            for corner in corners:
                base.execute("INSERT INTO Faces VALUES (?,?,'flickr')", (face, file))
                x, y = corner
                base.execute("INSERT INTO FaceRect VALUES (?,?,?,100,100,1)", (face, x, y))
                pose = (face, 0.1, -0.2, np.radians(photo * 9 - 90))
                base.execute("INSERT INTO FacePose VALUES (?,?,?,?,1)", pose)
                for point in shown(face):
                    values = (face, features[NAMES[point]], *(FACE[point] + corner))
                    base.execute("INSERT INTO FeatureCoords VALUES (?,?,?,?)", values)
                base.execute("INSERT INTO FeatureCoords VALUES (?,7,1,1)", (face,))
                face += 1
            picture = make_picture(np.concatenate([FACE + c for c in corners]), (140, 260), photo)
            cv2.imwrite(str(folder / "flickr" / "0" / file), picture)
    base.close()
    return root


def cells_of(points, known) -> list[str]:
    return [f"{v:.2f}" if k else "" for p, k in zip(points, known, strict=True) for v in p]


HEADER = ["picture", "photo", "yaw_deg"] + [f"{axis}{n}" for n in range(1, 22) for axis in "xy"]


def write_table(root, rows):
    (root / "pictures").mkdir(parents=True, exist_ok=True)
    with open(root / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return root


def make_table(root, count: int = 12):
    rows = []
    for index in range(count):
        name = f"image{index:05d}_{index % 2}.png"
        known = [(point + index) % 4 > 0 for point in range(21)]
        row = [name, f"image{index // 2:05d}", f"{index * 15 - 90}"]
        rows.append(row + cells_of(FACE + 10, known))
        (root / "pictures").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / "pictures" / name), make_picture(FACE + 10, (120, 120), index))
    return write_table(root, rows)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return make_database(tmp_path_factory.mktemp("aflw"))


def read(source):
    return aflw.FORMAT.read_label(source, source.row, AFLW21)


def test_the_scheme_mirrors_the_plain_face():
    np.testing.assert_array_equal(FACE[list(AFLW21.flip)] * (-1, 1) + (100, 0), FACE)
    left, right = AFLW21.outer_eye_corners
    assert (NAMES[left], NAMES[right]) == ("LeftEyeLeftCorner", "RightEyeRightCorner")
    assert tuple(NAMES) == aflw.POINTS


# --- the official database ---


def test_a_face_has_its_points_by_name_its_pose_and_its_box(database):
    sources = aflw.FORMAT.scan(database)
    assert len(sources) == 27  # 20 photos, of which numbers 0, 3, ..., 18 have two faces
    first, second, third = sources[:3]
    assert first.name == "aflw/data/flickr/0/image00013.jpg" and first.picture.is_file()
    assert second.name == f"{first.name}#2" and second.group == first.group != third.group
    label = read(second)  # the face 39342, at (140, 20)
    known = [point for point in range(21) if (point + 39342) % 3]
    assert np.flatnonzero(label.mask).tolist() == known and len(known) == 14
    np.testing.assert_allclose(label.landmarks[known], FACE[known] + (140, 20))
    assert not label.landmarks[~label.mask].any()
    assert label.box.tolist() == [140, 20, 100, 100]
    np.testing.assert_allclose(label.pose_deg, [np.degrees(-0.2), -90, -np.degrees(0.1)])
    assert first.official is None and first.subset == "AFLW"


@pytest.mark.parametrize("folder", [".", "aflw", "aflw/data"])
def test_the_database_is_found_in_the_folders_of_the_archive(database, folder):
    assert recognise(database / folder) == "aflw"
    assert len(aflw.FORMAT.scan(database / folder)) == 27


def test_faces_without_pose_or_box_are_read(database, tmp_path):
    root = make_database(tmp_path, photos=1)
    base = sqlite3.connect(root / "aflw/data/aflw.sqlite")
    with base:
        base.executescript("DELETE FROM FacePose; DELETE FROM FaceRect")
    base.close()
    label = read(aflw.FORMAT.scan(root)[0])
    assert np.isnan(label.pose_deg).all() and label.box is None and label.mask.any()


def test_photos_have_the_groups_of_aflw2000(database):
    source = aflw.FORMAT.scan(database)[0]
    assert source.group == aflw2000.group_of_photo("image00013") == "AFLW2000_image00013"


@pytest.mark.parametrize(
    "content",
    [b"no database at all, but longer than the header of one", b""],
    ids=["text", "empty"],
)
def test_what_is_no_database_is_refused(tmp_path, content):
    (tmp_path / "aflw.sqlite").write_bytes(content)
    with pytest.raises(InputError, match=r"aflw\.sqlite: not AFLW's database"):
        aflw.FORMAT.scan(tmp_path)


def test_the_records_mask_missing_points(database, tmp_path):
    manifest, found = prepared(database, tmp_path / "out", test_share=0.3)
    assert manifest["scheme"]["name"] == "aflw21" and manifest["rejects"] == 0
    assert manifest["groups_on_two_sides"] == 0
    record, points = found["aflw/data/flickr/0/image00014.jpg"]  # the face 39343
    known = [point for point in range(21) if (point + 39343) % 3]
    assert np.flatnonzero(record.mask).tolist() == known
    np.testing.assert_allclose(points[known], FACE[known] + (20, 20), atol=1e-2)
    assert record.pose[1] == pytest.approx(-81)


def test_as_68_landmarks_the_records_keep_pose_and_group(database, tmp_path):
    manifest, found = prepared(database, tmp_path / "out", test_share=0.3, scheme="ibug68")
    assert manifest["scheme"]["name"] == "ibug68" and manifest["rejects"] == 0
    assert manifest["sources"][0]["label_map"]["name"] == "aflw21-ibug68"
    record, points = found["aflw/data/flickr/0/image00014.jpg"]  # the face 39343
    known = {0: 17, 2: 21, 3: 22, 5: 26, 6: 36, 8: 39, 9: 42, 11: 45, 14: 30, 17: 48, 20: 8}
    known = {point: twin for point, twin in known.items() if (point + 39343) % 3}
    assert set(known.values()) <= set(np.flatnonzero(record.mask))
    for point, twin in known.items():
        np.testing.assert_allclose(points[twin], FACE[point] + (20, 20), atol=1e-2)
    assert record.pose[1] == pytest.approx(-81) and record.group == "AFLW2000_image00014"


# --- the table of crops ---


def test_a_row_is_a_crop(tmp_path):
    root = make_table(tmp_path / "data")
    assert aflw.FORMAT.recognises(root)
    sources = aflw.FORMAT.scan(root)
    assert [source.group for source in sources[:3]] == [
        "AFLW2000_image00000",
        "AFLW2000_image00000",
        "AFLW2000_image00001",
    ]
    label = read(sources[1])
    assert sources[1].name == "pictures/image00001_1.png"
    assert np.flatnonzero(~label.mask).tolist() == [3, 7, 11, 15, 19]
    np.testing.assert_allclose(label.landmarks[label.mask], (FACE + 10)[label.mask])
    assert label.pose_deg[1] == -75 and np.isnan(label.pose_deg[[0, 2]]).all()
    manifest, _ = prepared(root, tmp_path / "out", test_share=0.3)
    assert manifest["rejects"] == 0 and manifest["groups_on_two_sides"] == 0


def test_the_sign_of_yaw_is_that_of_the_project():
    """A negative yaw turns the head's forward axis to the right in the picture, as in AFLW."""
    assert rotation_of([0, -60, 0])[0, 2] > 0.8


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"x5": ""}, "half-point"),
        ({"y5": "low"}, "not-numbers"),
        ({"yaw_deg": "left"}, "not-numbers"),
        ({"y5": "inf"}, "not-finite"),
        (dict.fromkeys(HEADER[3:], ""), "no-points"),
        ({"picture": "gone.png"}, "missing"),
    ],
)
def test_unusable_rows_have_a_reason(tmp_path, change, reason):
    root = make_table(tmp_path, 1)
    row = ["image00000_0.png", "image00000", "10", *cells_of(FACE + 10, [True] * 21)]
    write_table(root, [list((dict(zip(HEADER, row, strict=True)) | change).values())])
    (source,) = aflw.FORMAT.scan(root)
    rejected = crop_record(source, CropRule(BoxRule(), 1.5, 95, AFLW21))
    assert rejected.reason == reason and str(root) in rejected.message


def test_a_row_of_another_length_is_rejected(tmp_path):
    root = write_table(tmp_path, [["a.png", "a"], ["b.png", "b", "3", "1"]])
    for source in aflw.FORMAT.scan(root):
        with pytest.raises(Rejected, match="another number of columns") as caught:
            read(source)
        assert caught.value.reason == "column-count"


def test_a_table_of_68_points_is_not_aflws(tmp_path):
    (tmp_path / "labels.csv").write_text("picture,photo,yaw_deg,x1,y1\n")
    assert not aflw.FORMAT.recognises(tmp_path)
    with pytest.raises(InputError, match="expected aflw.sqlite beside flickr/"):
        aflw.FORMAT.scan(tmp_path)


number = st.floats(-1e4, 1e4, allow_nan=False).map(lambda value: round(value, 3))


@given(st.lists(st.one_of(st.none(), st.tuples(number, number)), min_size=1, max_size=30))
def test_points_survive_as_cells(points):
    cells = [str(v) for point in points for v in (("", " ") if point is None else point)]
    found, mask = tables.points_with_gaps("here", cells)
    assert mask.tolist() == [point is not None for point in points]
    given = [point for point in points if point is not None]
    np.testing.assert_array_equal(found[mask], np.reshape(given, (-1, 2)))


@pytest.mark.skipif(not (REAL_DATA / "AFLW21").is_dir(), reason="needs the real crops")
def test_on_the_real_crops_noses_point_where_the_yaw_says():
    labels, rejected = [], []
    for source in aflw.FORMAT.scan(REAL_DATA / "AFLW21"):
        try:
            labels.append(read(source))
        except Rejected as error:
            rejected.append(error.reason)
    assert len(labels) == 12_221 and rejected == ["far-point"]  # the chin lies off the picture
    points = np.array([np.where(lab.mask[:, None], lab.landmarks, np.nan) for lab in labels])
    yaw = np.array([label.pose_deg[1] for label in labels])
    known = np.isfinite(points[:, 14, 0])
    known &= np.isfinite(points[:, 6:12, 0]).any(axis=1)
    to_right = points[known, 14, 0] - np.nanmean(points[known, 6:12, 0], axis=1)
    assert known.sum() > 11_000 and np.corrcoef(to_right, yaw[known])[0, 1] < -0.9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE FaceImages SET filepath = x'00ff'", "is not a path"),
        ("UPDATE FeatureCoordTypes SET descr = CAST(x'ff' AS TEXT)", "damaged"),
    ],
)
def test_a_damaged_database_is_named(tmp_path, change, said):
    root = make_database(tmp_path / "aflw")
    (path,) = root.rglob("aflw.sqlite")
    with sqlite3.connect(path) as base:
        base.execute(change)
    base.close()
    with pytest.raises(InputError, match=f"aflw.sqlite: .*{said}"):
        aflw.FORMAT.scan(root)


def test_values_of_other_types_in_the_database_are_unknown(tmp_path):
    root = make_database(tmp_path / "aflw")
    (path,) = root.rglob("aflw.sqlite")
    with sqlite3.connect(path) as base:
        base.execute("UPDATE FacePose SET yaw = 'left'")
        base.execute("UPDATE FaceRect SET w = x'00'")
    base.close()
    source = aflw.FORMAT.scan(root)[0]
    label = aflw.FORMAT.read_label(source, source.row, AFLW21)
    assert np.isnan(label.pose_deg[1]) and np.isfinite(label.pose_deg[[0, 2]]).all()
    assert label.box is None
