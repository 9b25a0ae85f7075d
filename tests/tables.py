"""Data sets that are tables, as small as tests like them: Kaggle's, WFLW, AFLW2000-3D."""

import csv

import cv2
import numpy as np
import scipy.io
from conftest import face_points, make_picture

from senet_kp.data_prep.formats import aflw2000, kaggle, wflw

# Kaggle's 15 points on a plain face of 96x96; their left is the person's.
KAGGLE_FACE = np.array([
    (66, 38), (30, 38), (60, 38), (73, 38), (37, 38), (23, 38), (56, 29), (79, 29), (40, 29),
    (16, 29), (48, 57), (62, 78), (34, 78), (48, 73), (48, 84),
], float)  # fmt: skip
FEW = [0, 1, 10, 14]  # the points that two rows in three of the published table know


def kaggle_row(index: int, known=None) -> list:
    """One row: a face of its own, with the known points (all 15 by default) as cells."""
    points = KAGGLE_FACE + np.random.default_rng(index).normal(0, 2, 2)
    picture = make_picture(points, (96, 96), seed=index)[..., 0]
    cells = [""] * 30
    for point in range(15) if known is None else known:
        cells[2 * point : 2 * point + 2] = [f"{value:.6f}" for value in points[point]]
    return [*cells, " ".join(map(str, picture.ravel()))]


def write_table(path, rows, header=(*kaggle.FEATURES, "Image")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def make_kaggle(root, rows: int = 66):
    """A folder with training.csv, two rows in three with four known points."""
    table = [kaggle_row(index, FEW if index % 3 else None) for index in range(rows)]
    write_table(root / kaggle.TABLE, table)
    return root


def wflw_points(centre, size_px: float, seed: int) -> np.ndarray:
    """98 distinct points [98, 2] whose mirror twins lie where the scheme has them."""
    rng = np.random.default_rng(5)
    flip, points = np.array(wflw.FORMAT.scheme.flip), rng.uniform(-0.5, 0.5, (98, 2))
    points = (points + points[flip] * (-1, 1)) / 2
    corner, other = wflw.FORMAT.scheme.outer_eye_corners
    points[[corner, other]] = (-0.3, -0.2), (0.3, -0.2)
    noise = np.random.default_rng(seed).normal(0, 0.005, points.shape)
    return (points + noise) * size_px + centre


def wflw_line(points, flags, picture: str) -> str:
    low, high = points.min(0).astype(int), points.max(0).astype(int) + 1
    numbers = [*(f"{value:.6f}" for value in points.ravel()), *low, *high, *flags, picture]
    return " ".join(map(str, numbers))


def make_wflw(root, photos: int = 30, folder: str = wflw.FOLDERS[0]):
    """`photos` photos of one or two faces; every third is of the test list."""
    lines = {part: [] for part in wflw.LISTS}
    (root / folder).mkdir(parents=True)
    for photo in range(photos):
        picture = f"{photo % 2}--Event/{photo % 2}_Event_{photo}.jpg"
        faces = [wflw_points((90, 100), 100, photo)]
        if photo % 4 == 0:
            faces.append(wflw_points((230, 110), 90, 1000 + photo))
        for face, points in enumerate(faces):
            flags = [int(photo % 5 == 0), 0, 0, 0, int(photo % 2 == 0), face]
            part = "train" if photo % 3 else "test"
            lines[part].append(wflw_line(points, flags, picture))
        path = root / wflw.PICTURES / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), make_picture(np.concatenate(faces), (200, 300), photo))
    for part, name in wflw.LISTS.items():
        (root / folder / name).write_text("\n".join(lines[part]) + "\n")
    return root


def make_aflw2000(root, yaws_deg=(0, 10, -20, 45, -50, 70, 90, 95)):
    """A picture for every yaw; corrected points lie half a pixel to the right of the others."""
    root.mkdir(parents=True)
    corrected = []
    for index, yaw in enumerate(yaws_deg):
        points = face_points((225, 230), 200, min(abs(yaw), 60), seed=index)
        stem = root / f"image{index + 2:05d}"
        cv2.imwrite(f"{stem}.jpg", make_picture(points, seed=index))
        shape = np.vstack([points.T + 1, np.zeros(68)])
        pose = np.array([[0.1, np.radians(yaw), -0.2, 10, 20, 0, 1e-3]])
        scipy.io.savemat(f"{stem}.mat", {"pt3d_68": shape, "Pose_Para": pose})
        corrected.append(shape + [[0.5], [0], [0]])
    np.save(root / aflw2000.REANNOTATED, np.array(corrected, np.float32))
    return root
