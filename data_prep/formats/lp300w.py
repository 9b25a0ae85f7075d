"""300W-LP: the layout of the official archive.

Zhu et al., "Face Alignment Across Large Poses: A 3D Solution", 2016.

    <SET>/<name>.jpg, <SET>/<name>.mat      pt2d (2x68), roi, Pose_Para, ...
    landmarks/<SET>/<name>_pts.mat          pts_2d (68x2), pts_3d (68x2)

<name> is <SET>_<photo>_<pose index>. Pose index 0 is the photo itself; the other indices are
synthetic views of it with the head turned. `pt2d` of every view holds the points of the photo, so
it is correct only for pose index 0. Coordinates are MATLAB's: the centre of the first pixel is 1.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import (
    FaceLabel,
    FaceSource,
    Rejected,
    complete_points,
)
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.matlab import FIRST_PIXEL, pose_deg, read_variable
from senet_kp.data_prep.formats.photos import not_read
from senet_kp.face.folders import contents_of
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

# Pictures in the official archive. The mirrored copies, in <SET>_Flip, are as many again.
OFFICIAL_COUNTS = {"AFW": 5207, "HELEN": 37676, "IBUG": 1786, "LFPW": 16556}
OWN_VARIABLE = "pt2d"  # in the .mat file beside a picture
_FLIP = "_Flip"
# AFW_134212_2_0, HELEN_100032540_1_0, IBUG_image_008_1_0: photo, face in the photo, pose index.
# LFPW_image_train_0001_0 has no face number.
_NAME = re.compile(r"(?P<photo>.+?)(_(?P<face>\d+))?_(?P<pose>\d+)$")
_FACELESS = "LFPW"


class Lp300W(Format):
    """Folders of pictures with .mat files, and a folder landmarks/ with the points of all views."""

    name = "300w-lp"
    expects = "folders AFW/, HELEN/, ... of pictures with .mat files, and a folder landmarks/"
    scheme = IBUG68
    terms_of_use = "300W-LP's pictures, those of 300-W, are for non-commercial research only"
    label_pixels = "stored"  # MATLAB does not turn pictures
    label_sets = {
        "pts_2d": "the jaw follows the visible contour",
        "pts_3d": "projected from the 3-D head model",
    }

    def recognises(self, root: Path) -> bool:
        if not root.is_dir() or _has_pictures(root):
            return False
        folders = _subset_folders(root)
        return any(_has_landmarks(root, f) or next(f.glob("*.mat"), None) for f in folders)

    def find_faces(self, root: Path) -> list[FaceSource]:
        if _has_pictures(root):  # the folder of one subset
            raise InputError(f"{root}: contains pictures itself; name the folder above it instead")
        folders = _subset_folders(root) if root.is_dir() else []
        sources = [source for folder in folders for source in self._sources(root, folder)]
        return sorted(sources, key=lambda source: source.name)

    def _sources(self, root: Path, folder: Path) -> Iterator[FaceSource]:
        landmarks = root / "landmarks" / folder.name
        labelled = {path.name for path in landmarks.glob("*_pts.mat")}
        for picture in contents_of(folder).pictures:
            view = _parse(picture.stem)
            label = landmarks / f"{picture.stem}_pts.mat"
            own = label.name not in labelled
            yield FaceSource(
                name=f"{folder.name}/{picture.name}",
                format=self.name,
                picture=picture,
                label=picture.with_suffix(".mat") if own else label,
                variable=OWN_VARIABLE if own else self.label_set(""),
                # A mirrored copy is of the same group, but not a view with the same landmarks.
                photo=f"{folder.name}/{view['photo']}_{view['face']}",
                group=view["photo"],
                subset=folder.name,
            )

    def is_mirrored(self, source: FaceSource) -> bool:
        return source.subset.endswith(_FLIP)

    def choose_labels(self, faces: list[FaceSource], points: str) -> list[FaceSource]:
        chosen = self.label_set(points)
        return [
            face if face.variable == OWN_VARIABLE else replace(face, variable=chosen)
            for face in faces
        ]

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        own = source.variable == OWN_VARIABLE
        if own and _parse(source.picture.stem)["pose"] != "0":
            raise Rejected(
                "no-landmarks",
                f"{source.label}: {OWN_VARIABLE} holds the points of the unturned photo; this view"
                f" needs landmarks/{source.subset}/{source.picture.stem}_pts.mat",
            )
        points = read_variable(source.label, data, source.variable)
        where = f"{source.label}: {source.variable}"
        landmarks = complete_points(points.T if own else points, where, scheme.count) - FIRST_PIXEL
        return FaceLabel(landmarks, np.ones(scheme.count, bool), pose_deg(source.picture))

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        counts, lines = Counter(source.subset for source in sources), []
        for subset in sorted({*counts, *OFFICIAL_COUNTS}):
            official = OFFICIAL_COUNTS.get(subset.removesuffix(_FLIP))
            note = f" (official archive: {official:,})" if official else ""
            lines.append(f"  {subset:<10} {counts[subset]:>7,} pictures{note}")
            if subset in counts and not (Path(root) / "landmarks" / subset).is_dir():
                lines.append(
                    f"  {'':<10} landmarks/{subset} is missing: only the photos (pose index 0) can"
                    f" be used, with the points {OWN_VARIABLE} of their own .mat files"
                )
            lines += not_read(contents_of(Path(root) / subset)) if subset in counts else []
        return lines

    def terms(self, sources: list[FaceSource]) -> str:
        subsets = {source.subset.removesuffix(_FLIP) for source in sources}
        return self.terms_of_use if subsets & OFFICIAL_COUNTS.keys() else ""


def _subset_folders(root: Path) -> list[Path]:
    """Return the official subset folders, and any other folder with a twin in landmarks/."""
    return sorted(
        folder
        for folder in root.iterdir()
        if folder.is_dir()
        and (folder.name.removesuffix(_FLIP) in OFFICIAL_COUNTS or _has_landmarks(root, folder))
    )


def _has_landmarks(root: Path, folder: Path) -> bool:
    return folder.name != "landmarks" and (root / "landmarks" / folder.name).is_dir()


def _has_pictures(folder: Path) -> bool:
    return any(not path.name.startswith(".") for path in folder.glob("*.jpg"))


def _parse(stem: str) -> dict:
    """Return photo, face number (or None) and pose index (or None) from a picture's name."""
    if stem.startswith(_FACELESS):
        photo, _, pose = stem.rpartition("_")
        return {"photo": photo, "face": None, "pose": pose}
    match = _NAME.match(stem)
    return match.groupdict() if match else {"photo": stem, "face": None, "pose": None}


FORMAT = Lp300W()
