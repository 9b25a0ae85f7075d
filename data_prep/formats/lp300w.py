"""300W-LP: the official folder layout (Zhu et al., "Face Alignment Across Large Poses", 2016).

    <SET>/<name>.jpg, <SET>/<name>.mat      pt2d (2x68), roi, Pose_Para, ...
    landmarks/<SET>/<name>_pts.mat          pts_2d (68x2), pts_3d (68x2)

<name> is <SET>_<photo>_<pose index>. Pose index 0 is the photo itself, the others are views of it
turned by synthesis. `pt2d` of every view holds the points of the photo, so it is right for pose
index 0 alone. Coordinates are MATLAB's: the first pixel's centre is 1.
"""

import re
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, whole_points
from senet_kp.data_prep.formats.matlab import FIRST_PIXEL, pose_deg, read_variable
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

NAME = "300w-lp"
SCHEME = IBUG68
LABELS = ("pts_2d", "pts_3d")
# Pictures in the official archive, without and (the same number again) in the _Flip twin.
OFFICIAL_COUNTS = {"AFW": 5207, "HELEN": 37676, "IBUG": 1786, "LFPW": 16556}
TERMS = "300W-LP's pictures, those of 300-W, are for non-commercial research only"
EXPECTS = "folders AFW/, HELEN/, ... of pictures with .mat files, or with twins in landmarks/"
# AFW_134212_2_0, HELEN_100032540_1_0, IBUG_image_008_1_0: photo, face in the photo, pose index.
# LFPW_image_train_0001_0 has no face number.
_NAME = re.compile(r"(?P<photo>.+?)(_(?P<face>\d+))?_(?P<pose>\d+)$")
_FACELESS = "LFPW"


def recognises(root: Path) -> bool:
    """Whether `root` looks like this format, without reading labels."""
    if not root.is_dir() or _holds_pictures(root):
        return False
    folders = _subset_folders(root, flips=True)
    return any(_has_labels(root, f) or next(f.glob("*.mat"), None) for f in folders)


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every picture of the subsets under `root`, sorted by name; raises InputError for none.

    `points` changes nothing: one file holds both.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; DATA= names the folder that holds {_layout()}")
    sources = [source for folder in _subset_folders(root, flips) for source in _scan(folder, root)]
    if not sources:
        raise InputError(f"{root}: no pictures found; expected {_layout()} in it")
    return sorted(sources, key=lambda source: source.name)


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found, against the official counts, and what is missing."""
    counts = {}
    for source in sources:
        counts[source.subset] = counts.get(source.subset, 0) + 1
    lines = []
    for subset in sorted({*counts, *OFFICIAL_COUNTS}):
        official = OFFICIAL_COUNTS.get(subset.removesuffix("_Flip"))
        note = f" (official archive: {official:,})" if official else ""
        lines.append(f"  {subset:<10} {counts.get(subset, 0):>7,} pictures{note}")
        if subset in counts and not (root / "landmarks" / subset).is_dir():
            lines.append(
                f"  {'':<10} landmarks/{subset} is missing: only its photos (pose index 0) are"
                " usable, by their own pt2d"
            )
    return lines


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for; empty where none is of the official archive."""
    subsets = {source.subset.removesuffix("_Flip") for source in sources}
    return TERMS if subsets & OFFICIAL_COUNTS.keys() else ""


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label of one picture from its file's bytes; `points` is pts_2d or pts_3d.

    Raises Rejected.
    """
    own = not source.label.stem.endswith("_pts")
    if own and _parse(source.picture.stem)["pose"] != "0":
        raise Rejected(
            "no-landmarks",
            f"{source.label}: pt2d holds the points of the unturned photo; this view needs its"
            f" landmarks/{source.subset}/{source.picture.stem}_pts.mat",
        )
    key = "pt2d" if own else points
    landmarks = read_variable(source.label, data, key)
    landmarks = whole_points(
        landmarks.T if own else landmarks, f"{source.label}: {key}", scheme.count
    )
    return FaceLabel(landmarks - FIRST_PIXEL, np.ones(scheme.count, bool), pose_deg(source.picture))


def _subset_folders(root: Path, flips: bool) -> list[Path]:
    """Folders that hold pictures: the official ones, and any other that has labels of its own."""
    if _holds_pictures(root):  # somebody named one subset's folder
        raise InputError(f"{root}: holds pictures itself; name the folder above, with {_layout()}")
    return sorted(
        folder
        for folder in root.iterdir()
        if folder.is_dir()
        and (folder.name.removesuffix("_Flip") in OFFICIAL_COUNTS or _has_labels(root, folder))
        and (flips or not folder.name.endswith("_Flip"))
    )


def _has_labels(root: Path, folder: Path) -> bool:
    return folder.name != "landmarks" and (root / "landmarks" / folder.name).is_dir()


def _holds_pictures(folder: Path) -> bool:
    return next(folder.glob("*.jpg"), None) is not None


def _scan(folder: Path, root: Path):
    labels = root / "landmarks" / folder.name
    for picture in folder.glob("*.jpg"):
        view = _parse(picture.stem)
        label = labels / f"{picture.stem}_pts.mat"
        yield FaceSource(
            name=f"{folder.name}/{picture.name}",
            format=NAME,
            picture=picture,
            label=label if label.exists() else picture.with_suffix(".mat"),
            # A flipped twin is the same photo, but not a view with the same points.
            photo=f"{folder.name}/{view['photo']}_{view['face']}",
            group=view["photo"],
            subset=folder.name,
        )


def _parse(stem: str) -> dict:
    """Photo, face number (or None) and pose index (or None) in a picture's name."""
    if stem.startswith(_FACELESS):
        photo, _, pose = stem.rpartition("_")
        return {"photo": photo, "face": None, "pose": pose}
    match = _NAME.match(stem)
    return match.groupdict() if match else {"photo": stem, "face": None, "pose": None}


def _layout() -> str:
    return "AFW/, HELEN/, IBUG/ or LFPW/ and landmarks/ as the official 300W-LP archive does"
