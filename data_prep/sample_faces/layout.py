"""Writing of pictures and labels in the layout of 300W-LP."""

import io
from pathlib import Path

import cv2
import numpy as np

from senet_kp.data_prep.sample_faces.identity import View

_JPEG_QUALITY = 92
_MAT_HEADER = b"MATLAB 5.0 MAT-file, rendered sample faces".ljust(116)


def write_view(folder: Path, subset: str, stem: str, view: View, original: View):
    """Write one picture and its labels into the folders `subset` and landmarks/`subset`.

    As in 300W-LP, `pt2d` of every view holds the landmarks of the near-frontal `original`.
    """
    _, jpeg = cv2.imencode(".jpg", view.image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    (folder / subset / f"{stem}.jpg").write_bytes(jpeg)
    low, high = view.points_2d.min(axis=0) + 1, view.points_2d.max(axis=0) + 1
    region = np.round([[*low, *high]]).astype(np.int16)
    labels = {"pt2d": original.points_2d.T + 1, "roi": region, "Pose_Para": view.camera.pose_para()}
    _write_mat(folder / subset / f"{stem}.mat", labels)
    points = {"pts_2d": view.points_2d + 1, "pts_3d": view.points_3d + 1}
    _write_mat(folder / "landmarks" / subset / f"{stem}_pts.mat", points)


def _write_mat(path, arrays):
    """Write a MATLAB file whose header, unlike SciPy's, holds no date."""
    import scipy.io  # here, because importing it takes 0.1 s, which `--help` would pay too

    file = io.BytesIO()
    scipy.io.savemat(file, arrays)
    path.write_bytes(_MAT_HEADER + file.getvalue()[len(_MAT_HEADER) :])
