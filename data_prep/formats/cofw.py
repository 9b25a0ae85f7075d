"""COFW: faces with occlusions, 29 points (Burgos-Artizzu et al., ICCV 2013).

    COFW_train.mat or COFW_train_color.mat     1,345 faces, 845 of them of LFPW
    COFW_test.mat or COFW_test_color.mat         507 faces

The files are MATLAB 7.3 files. `phisTr` [n, 87] holds x of all points, then y, then whether each
is occluded (1) or visible (0); `bboxesTr` [n, 4] boxes as x, y, width and height; the cell array
`IsTr` the pictures, grey or in colour. In the test file the names end with T instead of Tr.
Coordinates are MATLAB's: the centre of the first pixel is 1.

An occluded point is known: its annotated position is used like any other. Faces on which at least
OCCLUDED_SHARE of the points are occluded have the tag "occlusion". Pictures have no names, so every
face is a group of its own. LFPW's photos are also in 300-W: `senet-kp overlap` finds them.
"""

from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import Element, FaceLabel, FaceSource, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.matlab import FIRST_PIXEL
from senet_kp.data_prep.formats.matlab73 import read_arrays
from senet_kp.data_prep.formats.tables import found_in
from senet_kp.face.known_schemes import COFW29
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

FILES = {part: (f"COFW_{part}_color.mat", f"COFW_{part}.mat") for part in ("train", "test")}
SUFFIX = {"train": "Tr", "test": "T"}  # of the variables
FOLDERS = (".", "common/xpburgos/behavior/code/pose")  # the second is that of the grey archive
OFFICIAL_COUNTS = {"train": 1345, "test": 507}
OCCLUSION = "occlusion"
OCCLUDED_SHARE = 0.25  # a little above COFW's mean, which its paper gives as 23 %
_BOX = 4


class Cofw(Format):
    """A MATLAB file with the faces for training and one with those for testing."""

    name = "cofw"
    expects = "COFW_train.mat and COFW_test.mat, or COFW_train_color.mat and COFW_test_color.mat"
    scheme = COFW29
    terms_of_use = (
        "COFW's files state no terms; its pictures are from the web and from LFPW, so treat them as"
        " for non-commercial research only"
    )

    def recognises(self, root: Path) -> bool:
        return bool(_files(root))

    def find_faces(self, root: Path) -> list[FaceSource]:
        if not (files := _files(root)):
            raise InputError(f"{root}: expected {self.expects} in it")
        return [face for part, path in files.items() for face in self._faces(part, path)]

    def _faces(self, part: str, path: Path) -> list[FaceSource]:
        shapes, boxes, pictures = (f"{name}{SUFFIX[part]}" for name in ("phis", "bboxes", "Is"))
        labels, boxes = read_arrays(path, (shapes, boxes))
        if labels.shape[1:] != (3 * COFW29.count,) or boxes.shape != (len(labels), _BOX):
            raise InputError(
                f"{path}: {shapes} and the boxes have the shapes {labels.shape} and {boxes.shape},"
                f" not [n, {3 * COFW29.count}] and [n, {_BOX}]"
            )
        return [
            FaceSource(
                name=f"COFW_{part}#{index + 1:04d}",
                format=self.name,
                picture=path,
                label=path,
                row=np.concatenate([label, box]).tobytes(),
                cell=Element(pictures, index),
                photo=f"COFW_{part}#{index + 1:04d}",
                group=f"COFW_{part}_{index + 1:04d}",
                subset=part,
                official=part,
                tags=(OCCLUSION,) if _occluded(label).mean() >= OCCLUDED_SHARE else (),
            )
            for index, (label, box) in enumerate(zip(labels, boxes, strict=True))
        ]

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        values = np.frombuffer(data, np.float64)
        points = values[: 2 * COFW29.count].reshape(2, -1).T - FIRST_PIXEL
        box = values[-_BOX:] - (FIRST_PIXEL, FIRST_PIXEL, 0, 0)
        usable = np.isfinite(box).all() and (box[2:] > 0).all()
        where = f"{source.label}: {source.name}"
        known = np.ones(len(points), bool)
        return checked_label(where, points, known, scheme, box if usable else None)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        lines = []
        for part, official in OFFICIAL_COUNTS.items():
            found = [source for source in sources if source.official == part]
            occluded = sum(OCCLUSION in source.tags for source in found)
            lines.append(
                f"  {part:<10} {len(found):>7,} faces (official: {official:,}), {occluded:,} of"
                f" them with at least {OCCLUDED_SHARE:.0%} of the points occluded"
            )
        return lines


def _files(root: Path) -> dict[str, Path]:
    """Return {"train": path, "test": path} of the files that exist, in colour if there are both."""
    found = {}
    for part, names in FILES.items():
        paths = (found_in(root, FOLDERS, name) for name in names)
        if path := next(filter(None, paths), None):
            found[part] = path
    return found


def _occluded(label) -> np.ndarray:
    return label[2 * COFW29.count :] > 0


FORMAT = Cofw()
