"""WFLW: 98 points, a box and six attributes (Wu et al., "Look at Boundary", 2018).

    WFLW_images/<event>/<picture>.jpg
    WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt and ..._test.txt

A line of a list is a face: 196 coordinates x0 y0 ... x97 y97, its box as x_min y_min x_max y_max,
the attributes pose, expression, illumination, make-up, occlusion and blur as 0 or 1, and the path
of the picture below WFLW_images. A photo has a line for each labelled face and is one group. The
lists may be in any of the folders above them, or beside WFLW_images. Coordinates are used
unchanged, with the centre of the first pixel at 0; the publishers do not document the origin.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import (
    FaceLabel,
    FaceSource,
    Rejected,
    checked_label,
)
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.tables import found_in, numbers, read_lines, slashed
from senet_kp.face.known_schemes import WFLW98
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.schema import face_name

PICTURES = "WFLW_images"
LISTS = {part: f"list_98pt_rect_attr_{part}.txt" for part in ("train", "test")}
FOLDERS = (
    "WFLW_annotations/list_98pt_rect_attr_train_test",
    "list_98pt_rect_attr_train_test",
    "WFLW_annotations",
    ".",
)
ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
OFFICIAL_COUNTS = {"train": 7500, "test": 2500}  # faces
_BOX = 4


class Wflw(Format):
    """A train list and a test list with a line for each face."""

    name = "wflw"
    expects = f"{PICTURES}/ and the lists {' and '.join(LISTS.values())}"
    scheme = WFLW98
    terms_of_use = "WFLW is for non-commercial research only"

    def recognises(self, root: Path) -> bool:
        return (root / PICTURES).is_dir() and bool(_lists(root))

    def find_faces(self, root: Path) -> list[FaceSource]:
        if not self.recognises(root):
            raise InputError(f"{root}: expected {self.expects} in it or in {FOLDERS[0]}/")
        lists = _lists(root)
        faces = Counter()  # of each photo so far, in both lists
        sources = []
        for part, path in lists.items():
            for line in read_lines(path):
                *values, picture = slashed(line).split()
                faces[picture] += 1
                sources.append(self._source(root, part, path, picture, values, faces[picture]))
        if not sources:
            raise InputError(f"{', '.join(map(str, lists.values()))}: contains no face")
        return sources

    def _source(
        self, root: Path, part: str, path: Path, picture: str, values: list[str], number: int
    ) -> FaceSource:
        """Return face `number` (from 1) of a picture from its line in the list `path`."""
        name = face_name(f"{PICTURES}/{picture}", number)
        flags = zip(ATTRIBUTES, values[-len(ATTRIBUTES) :], strict=False)
        return FaceSource(
            name=name,
            format=self.name,
            picture=root / PICTURES / picture,
            label=path,
            row=" ".join(values).encode(),
            photo=name,
            group=f"WFLW_{picture}",
            subset=part,
            official=part,
            tags=tuple(attribute for attribute, flag in flags if flag == "1"),
        )

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = f"{source.label}: a line of {source.picture.name}"
        cells = data.decode(errors="replace").split()
        expected = 2 * scheme.count + _BOX + len(ATTRIBUTES)
        if len(cells) != expected:
            raise Rejected("point-count", f"{where} has {len(cells)} numbers, not {expected}")
        pairs = numbers(where, cells)[: 2 * scheme.count + _BOX].reshape(-1, 2)
        low, high = pairs[scheme.count :]
        if not (high > low).all():
            raise Rejected("no-box", f"{where} has a box without an area")
        box, known = np.array([*low, *(high - low)]), np.ones(scheme.count, bool)
        return checked_label(where, pairs[: scheme.count], known, scheme, box)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        lines = []
        for part, official in OFFICIAL_COUNTS.items():
            found = [source for source in sources if source.official == part]
            photos = len({source.group for source in found})
            lines.append(
                f"  {part:<10} {len(found):>7,} faces of {photos:,} photos (official: {official:,})"
            )
        tags = Counter(tag for source in sources for tag in source.tags)
        counts = ", ".join(f"{name} {tags[name]:,}" for name in ATTRIBUTES)
        return [*lines, f"  {'':<10} with the attributes {counts}"]


def _lists(root: Path) -> dict[str, Path]:
    """Return {"train": path, "test": path} of the lists that exist."""
    found = {part: found_in(root, FOLDERS, name) for part, name in LISTS.items()}
    return {part: path for part, path in found.items() if path}


FORMAT = Wflw()
