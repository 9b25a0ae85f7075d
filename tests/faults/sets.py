"""Small data sets of every format, made from a few rendered faces."""

import csv
import io
import sqlite3
from functools import cache
from pathlib import Path

import cv2
import h5py
import numpy as np
import scipy.io

from senet_kp.data_prep.formats import aflw, aflw2000, celeba, imglab_xml, kaggle, pts, wflw
from senet_kp.data_prep.formats.face_sample import FaceLabel
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import BoxRule, crop, face_box, to_relative
from senet_kp.face.known_schemes import SCHEMES

SIDE_PX = 160  # width and height of the pictures
FACES = 4  # of a data set
Face = tuple[np.ndarray, np.ndarray]  # picture [SIDE_PX, SIDE_PX, 3] uint8 RGB, points [68, 2]


@cache
def faces() -> tuple[Face, ...]:
    """FACES rendered faces; they take half a second each."""
    views = [render_identity(0, identity, 1)[0] for identity in range(FACES)]
    factor = SIDE_PX / views[0].image.shape[0]
    return tuple(
        (
            cv2.resize(view.image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA),
            (view.points_2d + 0.5) * factor - 0.5,
        )
        for view in views
    )


def points_of(scheme: str, face: int) -> np.ndarray:
    """Points [N, 2] of a face: its own 68, or distinct points in its box that mirror each other."""
    own = faces()[face][1]
    if scheme == "ibug68":
        return own
    flip = np.array(SCHEMES[scheme].flip)
    points = np.random.default_rng(5).uniform(-0.5, 0.5, (len(flip), 2))
    points = (points + points[flip] * (-1, 1)) / 2
    low, high = own.min(axis=0), own.max(axis=0)
    return points * (high - low) + (low + high) / 2


def encoded(face: int, suffix: str) -> bytes:
    picture = faces()[face][0]
    code = cv2.COLOR_RGB2GRAY if suffix == ".pgm" else cv2.COLOR_RGB2BGR
    return cv2.imencode(suffix, cv2.cvtColor(picture, code))[1].tobytes()


def write_pictures(folder: Path, names) -> list[Path]:
    """Write the faces under these names, in the format of each name's suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for face, path in enumerate(paths):
        path.write_bytes(encoded(face, path.suffix))
    return paths


def lp300w(root: Path) -> list[Path]:
    names = [f"AFW_{1000 + face}_1_0.jpg" for face in range(FACES)]
    labels = root / "landmarks" / "AFW"
    labels.mkdir(parents=True)
    damaged = []
    for face, picture in enumerate(write_pictures(root / "AFW", names)):
        points, own = points_of("ibug68", face), picture.with_suffix(".mat")
        pose = np.array([[0.1, 0.2, 0, 0, 0, 0, 1e-3]], np.float32)
        scipy.io.savemat(own, {"pt2d": points.T + 1, "Pose_Para": pose})
        label = labels / f"{picture.stem}_pts.mat"
        both = {"pts_2d": points + 1, "pts_3d": points + 2}
        scipy.io.savemat(label, both, do_compression=bool(face % 2))
        damaged += [own, label]
    return damaged


def aflw2000_3d(root: Path) -> list[Path]:
    pictures = write_pictures(root, [f"image{face + 2:05d}.jpg" for face in range(FACES)])
    shapes = [np.vstack([points_of("ibug68", face).T + 1, np.zeros(68)]) for face in range(FACES)]
    for picture, shape in zip(pictures, shapes, strict=True):
        pose = np.array([[0.1, 0.3, -0.2, 10, 20, 0, 1e-3]])
        scipy.io.savemat(picture.with_suffix(".mat"), {"pt3d_68": shape, "Pose_Para": pose})
    np.save(root / aflw2000.REANNOTATED, np.array(shapes, np.float32))
    return [picture.with_suffix(".mat") for picture in pictures]


def reannotated(root: Path) -> list[Path]:
    aflw2000_3d(root)
    return [root / aflw2000.REANNOTATED]


def pts_files(root: Path) -> list[Path]:
    labels = []
    for face, picture in enumerate(write_pictures(root, [f"photo{i}.jpg" for i in range(FACES)])):
        labels.append(picture.with_suffix(".pts"))
        pts.write_pts(labels[-1], points_of("ibug68", face))
    return labels


def own_csv(root: Path) -> list[Path]:
    names = [f"photo{face}.png" for face in range(FACES)]
    write_pictures(root, names)
    header = ["picture", *(f"{axis}{point}" for point in range(68) for axis in "xy")]
    header += ["group", "subset", "box_x", "box_y", "box_w", "box_h"]
    rows = []
    for face, name in enumerate(names):
        points = points_of("ibug68", face)
        cells = [f"{value:.3f}" for value in points.ravel()]
        cells[20:22] = "", ""
        low, high = points.min(axis=0), points.max(axis=0)
        rows.append([name, *cells, f"person{face}", "own", *low.round(1), *(high - low).round(1)])
    return [_table(root / "faces.csv", [header, *rows])]


def imglab(root: Path) -> list[Path]:
    names = [f"photo{face}.png" for face in range(FACES)]
    write_pictures(root, names)
    pictures = []
    for face, name in enumerate(names):
        points, known = points_of("ibug68", face), np.arange(68) != 67 if face == 1 else np.ones(68)
        low, high = points.min(axis=0), points.max(axis=0)
        label = FaceLabel(points, known.astype(bool), np.full(3, np.nan))
        pictures.append((name, [(np.array([*low, *(high - low)]), label)]))
    text = "\n".join(imglab_xml.format_imglab(pictures, 68, False))
    # One line for each picture, so that it is known which of them are damaged.
    text = text.replace(">\n      ", ">").replace("\n    </box>\n  ", "</box>")
    text = text.replace(">\n    <box", "><box")
    (root / "faces.xml").write_text(text + "\n")
    return [root / "faces.xml"]


def kaggle_table(root: Path) -> list[Path]:
    rows = []
    for face, (picture, points) in enumerate(faces()):
        box = face_box(points, BoxRule())
        small = cv2.cvtColor(crop(picture, box, kaggle.PICTURE_PX), cv2.COLOR_RGB2GRAY)
        own = points_of("kaggle15", face)
        shown = to_relative(own, box) * kaggle.PICTURE_PX - 0.5
        cells = [f"{value:.4f}" for value in shown.ravel()]
        cells[4:8] = [""] * 4
        rows.append([*cells, " ".join(map(str, small.ravel()))])
    return [_table(root / kaggle.TABLE, [[*kaggle.FEATURES, kaggle.IMAGE], *rows])]


def wflw_lists(root: Path) -> list[Path]:
    write_pictures(root / wflw.PICTURES / "0--Event", [f"{face}.jpg" for face in range(FACES)])
    lines = []
    for face in range(FACES):
        points = points_of("wflw98", face)
        low, high = points.min(axis=0).astype(int), points.max(axis=0).astype(int) + 1
        cells = [
            *(f"{value:.4f}" for value in points.ravel()),
            *low,
            *high,
            0,
            0,
            1,
            0,
            face % 2,
            0,
        ]
        lines.append(" ".join(map(str, [*cells, f"0--Event/{face}.jpg"])))
    paths = [root / wflw.FOLDERS[0] / name for name in wflw.LISTS.values()]
    paths[0].parent.mkdir(parents=True)
    for path, part in zip(paths, (lines[:2], lines[2:]), strict=True):
        path.write_text("\n".join(part) + "\n")
    return paths


def p1_table(root: Path) -> list[Path]:
    names = [f"Some_{'abcdef'[face]}_00.jpg" for face in range(FACES)]
    write_pictures(root / "training", names)
    rows = [
        [name, *(f"{value:.1f}" for value in points_of("ibug68", face).ravel())]
        for face, name in enumerate(names)
    ]
    return [_table(root / "training_frames_keypoints.csv", [["", *range(136)], *rows])]


def celeba_lists(root: Path) -> list[Path]:
    names = [f"{face + 1:06d}.jpg" for face in range(FACES)]
    write_pictures(root / "Img" / "img_align_celeba", names)
    lists = {
        "Anno/list_landmarks_align_celeba.txt": (
            [str(FACES), " ".join(f"{p}_{axis}" for p in "abcde" for axis in "xy")],
            [points_of("celeba5", face).round().astype(int).ravel() for face in range(FACES)],
        ),
        "Anno/identity_CelebA.txt": ([], [[2880 + face] for face in range(FACES)]),
        "Anno/list_attr_celeba.txt": (
            [str(FACES), " ".join(celeba.ATTRIBUTES)],
            [[1, -1, 1, -1] for _ in range(FACES)],
        ),
        "Eval/list_eval_partition.txt": ([], [[face % 3] for face in range(FACES)]),
    }
    for name, (head, rows) in lists.items():
        lines = [" ".join(map(str, [n, *row])) for n, row in zip(names, rows, strict=True)]
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join([*head, *lines]) + "\n")
    return [root / name for name in lists]


def lapa_folders(root: Path) -> list[Path]:
    pictures = write_pictures(root / "train" / "images", [f"{f + 100}_0.jpg" for f in range(FACES)])
    labels = [root / "train" / "landmarks" / f"{picture.stem}.txt" for picture in pictures]
    labels[0].parent.mkdir()
    for face, label in enumerate(labels):
        lines = [f"{x:.4f} {y:.4f}" for x, y in points_of("lapa106", face)]
        label.write_text("\n".join(["106", *lines]) + "\n")
    return labels


def bioid_folders(root: Path) -> list[Path]:
    pictures = write_pictures(root, [f"BioID_{50 * face:04d}.pgm" for face in range(FACES)])
    labels = []
    for face, picture in enumerate(pictures):
        labels.append(root / "points_20" / f"{picture.stem.lower()}.pts")
        labels[-1].parent.mkdir(exist_ok=True)
        lines = [f"{x:.4f} {y:.4f}" for x, y in points_of("bioid20", face)]
        labels[-1].write_text("\n".join(["version: 1", "n_points: 20", "{", *lines, "}"]) + "\n")
    return labels


def cofw_file(root: Path) -> list[Path]:
    path = root / "COFW_test_color.mat"
    with h5py.File(path, "w") as file:
        pictures = file.create_dataset("IsT", (1, FACES), dtype=h5py.ref_dtype)
        phis = []
        for face, (picture, _) in enumerate(faces()):
            points = points_of("cofw29", face) + 1
            phis.append([*points[:, 0], *points[:, 1], *(np.arange(29) < 3 * face)])
            pictures[0, face] = file.create_dataset(f"#refs#/{face}", data=picture.T).ref
        file["phisT"] = np.array(phis).T
        file["bboxesT"] = np.tile([30.0, 30.0, 80.0, 80.0], (FACES, 1)).T
    return [path]


def aflw_crops(root: Path) -> list[Path]:
    names = [f"image{face:05d}_0.png" for face in range(FACES)]
    write_pictures(root / aflw.PICTURES, names)
    rows = []
    for face, name in enumerate(names):
        cells = [f"{value:.2f}" for value in points_of("aflw21", face).ravel()]
        cells[2 * face : 2 * face + 2] = "", ""
        rows.append([name, f"image{face:05d}", f"{10 * face}", *cells])
    return [_table(root / aflw.TABLE, [aflw.COLUMNS, *rows])]


def aflw_database(root: Path) -> list[Path]:
    names = [f"image{face:05d}.jpg" for face in range(FACES)]
    write_pictures(root / aflw.PHOTOS / "0", names)
    path = root / aflw.DATABASE
    base = sqlite3.connect(path)
    base.executescript("""
        CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
        CREATE TABLE FaceImages (image_id INTEGER PRIMARY KEY, db_id TEXT, file_id TEXT,
            filepath TEXT);
        CREATE TABLE FaceRect (face_id INTEGER, x INTEGER, y INTEGER, w INTEGER, h INTEGER);
        CREATE TABLE FacePose (face_id INTEGER, roll REAL, pitch REAL, yaw REAL);
        CREATE TABLE FeatureCoords (face_id INTEGER, feature_id INTEGER, x REAL, y REAL);
        CREATE TABLE FeatureCoordTypes (feature_id INTEGER, descr TEXT);
    """)
    base.executemany("INSERT INTO FeatureCoordTypes VALUES (?,?)", enumerate(aflw.POINTS))
    for face, name in enumerate(names):
        base.execute("INSERT INTO Faces VALUES (?,?,'flickr')", (face, name))
        base.execute("INSERT INTO FaceImages VALUES (?,'flickr',?,?)", (face, name, f"0/{name}"))
        base.execute("INSERT INTO FaceRect VALUES (?,40,40,80,80)", (face,))
        base.execute("INSERT INTO FacePose VALUES (?,0.1,-0.2,0.3)", (face,))
        rows = [(face, point, x, y) for point, (x, y) in enumerate(points_of("aflw21", face))]
        base.executemany("INSERT INTO FeatureCoords VALUES (?,?,?,?)", rows[face:])
    base.commit()
    base.close()
    return [path]


def _table(path: Path, rows) -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue())
    return path
