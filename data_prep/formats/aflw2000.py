"""AFLW2000-3D: 2,000 faces of AFLW for evaluation.

Zhu et al., "Face Alignment Across Large Poses: A 3D Solution", 2016.

    image00002.jpg, image00002.mat          pt3d_68 (3x68), Pose_Para, ...
    AFLW2000-3D-Reannotated.pts68.npy       [2000, 2 or 3, 68], in the order of the pictures' names

    senet-kp prepare --data AFLW2000 --format aflw2000-3d --split official
    senet-kp evaluate --records out/tfrecords --normaliser box

Two sets of points are in circulation, and scores on them differ: `pt3d_68` of the .mat files,
projected from the fitted head model, and the corrected points, read from the .npy file beside the
pictures or from `--points reannotated=FILE.npy`. Only x and y are used, as in the published
evaluations.

Both are in pixels of the 450x450 pictures. They are read with MATLAB's origin, the centre of the
first pixel at 1, like the labels of 300W-LP, which the same authors made with the same programs:
their projection mirrors y as height + 1 - y. No document confirms this, and the published
evaluations subtract nothing from labels and predictions alike; the other origin would move every
point by one pixel.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, complete_points
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.matlab import FIRST_PIXEL, pose_deg, read_variable
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import load_array

PICTURES = "image[0-9]*.jpg"
FOLDERS = (".", "AFLW2000", "AFLW2000-3D")  # the folder in the archive, or an unpacked archive
REANNOTATED = "AFLW2000-3D-Reannotated.pts68.npy"
OFFICIAL_COUNT = 2000


class Aflw2000(Format):
    """A folder of pictures, each with a .mat file, all of them for evaluation."""

    name = "aflw2000-3d"
    expects = "image00002.jpg, ... with .mat files of the same names"
    scheme = IBUG68
    terms_of_use = "AFLW2000-3D's pictures, those of AFLW, are for non-commercial research only"
    label_pixels = "stored"  # as in 300W-LP, MATLAB does not turn pictures
    label_sets = {
        "pt3d_68": "projected from the 3-D head model",
        "reannotated": f"corrected, from reannotated=FILE.npy or {REANNOTATED}",
    }

    def recognises(self, root: Path) -> bool:
        return any(picture.with_suffix(".mat").is_file() for picture in _pictures(root)[:1])

    def find_faces(self, root: Path) -> list[FaceSource]:
        return [
            FaceSource(
                name=picture.relative_to(root).as_posix(),
                format=self.name,
                picture=picture,
                label=picture.with_suffix(".mat"),
                variable="pt3d_68",
                photo=picture.stem,
                group=group_of_photo(picture.stem),
                subset="AFLW2000-3D",
                official="test",
            )
            for picture in _pictures(root)
        ]

    def choose_labels(self, faces: list[FaceSource], points: str) -> list[FaceSource]:
        if self.label_set(points) != "reannotated":
            return faces
        file = points.partition("=")[2]
        table = Path(file) if file else faces[0].picture.with_name(REANNOTATED)
        rows = _reannotated(table, len(faces))
        return [replace(face, label=table, row=row) for face, row in zip(faces, rows, strict=True)]

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        if source.row is not None:
            shape, where = np.frombuffer(data, np.float64).reshape(2, -1), str(source.label)
        else:
            shape = np.atleast_2d(read_variable(source.label, data, source.variable))[:2]
            where = f"{source.label}: {source.variable}"
        landmarks = complete_points(shape.T, where, scheme.count) - FIRST_PIXEL
        return FaceLabel(landmarks, np.ones(scheme.count, bool), pose_deg(source.picture))

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        return [f"  {'AFLW2000':<10} {len(sources):>7,} pictures (official: {OFFICIAL_COUNT:,})"]


def group_of_photo(stem: str) -> str:
    """Return the group of a photo of AFLW, to which AFLW2000-3D's photos belong under their names.

    The formats of both use it, so that the groups show when a model is scored on the 2,000 photos
    after it was trained on AFLW.
    """
    return f"AFLW2000_{stem}"


def _pictures(root: Path) -> list[Path]:
    """Return the pictures in the first of FOLDERS that contains any, sorted by name."""
    found = (sorted((root / folder).glob(PICTURES)) for folder in FOLDERS)
    return next(filter(None, found), [])


def _reannotated(table: Path, pictures: int) -> list[bytes]:
    """Return the corrected x and y of every picture, 2 x 68 float64 each. Raises InputError."""
    try:
        points = load_array(table)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{table}: not a readable array of corrected points ({error}); name another file with"
            " --points reannotated=FILE.npy"
        ) from None
    if points.ndim != 3 or points.shape[1] not in (2, 3) or points.shape[2] != IBUG68.count:
        raise InputError(f"{table}: has the shape {points.shape}, not [n, 2 or 3, {IBUG68.count}]")
    if len(points) != pictures:
        raise InputError(
            f"{table}: has {len(points):,} faces for {pictures:,} pictures; all pictures must be"
            " there, because its rows follow the order of their names"
        )
    return [np.ascontiguousarray(shape[:2], np.float64).tobytes() for shape in points]


FORMAT = Aflw2000()
