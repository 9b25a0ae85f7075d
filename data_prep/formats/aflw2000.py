"""AFLW2000-3D: 2,000 faces of AFLW to evaluate on (Zhu et al., "Face Alignment Across Large
Poses", 2016).

    image00002.jpg, image00002.mat          pt3d_68 (3x68), Pose_Para, ...
    AFLW2000-3D-Reannotated.pts68.npy       [2000, 2 or 3, 68], in the order of the pictures' names

    python -m data_prep.prepare --data AFLW2000 --format aflw2000-3d --split official
    python -m senet_kp.evaluate --records out/tfrecords --normaliser box

Two sets of points circulate, and scores on them differ: the `pt3d_68` of the .mat files, projected
from the fitted head, and the corrected ones, which lie beside the pictures or where
`--points reannotated=FILE.npy` says. Only x and y count, as in the published evaluations.

Both are in pixels of the 450x450 pictures. They are taken as MATLAB's, the first pixel's centre at
1, like the labels of 300W-LP, which the same authors made with the same programs: their projection
mirrors y as height + 1 - y. No document says so, and the published evaluations subtract nothing
from labels and predictions alike; the other reading would move every point by one pixel.
"""

from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, whole_points
from senet_kp.data_prep.formats.matlab import FIRST_PIXEL, pose_deg, read_variable
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

NAME = "aflw2000-3d"
SCHEME = IBUG68
LABELS = ("pt3d_68", "reannotated")
PICTURES = "image[0-9]*.jpg"
FOLDERS = (".", "AFLW2000", "AFLW2000-3D")  # the archive's own, or what it was unpacked to
REANNOTATED = "AFLW2000-3D-Reannotated.pts68.npy"
EXPECTS = "image00002.jpg, ... with .mat files of the same names"
OFFICIAL_COUNT = 2000
TERMS = "AFLW2000-3D's pictures, those of AFLW, are for non-commercial research only"


def recognises(root: Path) -> bool:
    """Whether a folder is laid out like this, by its files' names."""
    return any(picture.with_suffix(".mat").is_file() for picture in _pictures(Path(root))[:1])


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every picture, sorted by name, with the label that `points` asks for.

    `flips` changes nothing. Raises InputError for no pictures, and for corrected points that are
    not there or not as many.
    """
    root = Path(root)
    pictures = _pictures(root)
    if not pictures:
        raise InputError(f"{root}: no pictures found; expected {PICTURES} with .mat files in it")
    kind, _, file = points.partition("=")
    labels = [(picture.with_suffix(".mat"), None) for picture in pictures]
    if kind == "reannotated":
        table = Path(file) if file else pictures[0].with_name(REANNOTATED)
        labels = [(table, row) for row in _reannotated(table, len(pictures))]
    return [
        FaceSource(
            name=picture.relative_to(root).as_posix(),
            format=NAME,
            picture=picture,
            label=label,
            row=row,
            photo=picture.stem,
            group=f"AFLW2000_{picture.stem}",
            subset="AFLW2000-3D",
            official="test",
        )
        for picture, (label, row) in zip(pictures, labels, strict=True)
    ]


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found, against the official count."""
    return [f"  {'AFLW2000':<10} {len(sources):>7,} pictures (official: {OFFICIAL_COUNT:,})"]


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for."""
    return TERMS


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label in a .mat file's bytes, or in a row of corrected points; pose from the .mat.

    Raises Rejected.
    """
    if points == "reannotated":
        shape, where = np.frombuffer(data, np.float64).reshape(2, -1), str(source.label)
    else:
        shape = np.atleast_2d(read_variable(source.label, data, points))[:2]
        where = f"{source.label}: {points}"
    landmarks = whole_points(shape.T, where, scheme.count) - FIRST_PIXEL
    return FaceLabel(landmarks, np.ones(scheme.count, bool), pose_deg(source.picture))


def _pictures(root: Path) -> list[Path]:
    """The pictures of the first of FOLDERS that holds any, in the order of their names."""
    found = (sorted((root / folder).glob(PICTURES)) for folder in FOLDERS)
    return next(filter(None, found), [])


def _reannotated(table: Path, pictures: int) -> list[bytes]:
    """The corrected x and y of every picture, 2 x 68 float64 each."""
    try:
        points = np.load(table, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{table}: no readable array of corrected points ({error}); --points"
            " reannotated=FILE.npy names it"
        ) from None
    if points.ndim != 3 or points.shape[1] not in (2, 3) or points.shape[2] != SCHEME.count:
        raise InputError(f"{table}: is {points.shape}, not [n, 2 or 3, {SCHEME.count}]")
    if len(points) != pictures:
        raise InputError(
            f"{table}: {len(points):,} faces for {pictures:,} pictures; it needs all of them, since"
            " it goes by the order of their names"
        )
    return [np.ascontiguousarray(shape[:2], np.float64).tobytes() for shape in points]
