"""LaPa: 22,176 faces for face parsing, 106 points (Liu et al., "A New Dataset and
Boundary-Attention Semantic Segmentation for Face Parsing", 2020).

    train/images/<picture>.jpg, train/landmarks/<picture>.txt, and the same in val/ and test/

A label's first line is 106; then follow x and y of one point a line. labels/, the parsing masks,
are not read. Coordinates are used unchanged, with the centre of the first pixel at 0; the
publishers do not document the origin.

Pictures are of 300W-LP, with its names, and of other photos, named <photo>_<face>.jpg. Faces of one
photo are one group, which has the name that 300W-LP's photos have in that format, so that a photo
in both data sets is on one side. Faces in train/ or val/ whose photo is also in test/ are left out.
val/ is treated as training data, and the validation side is chosen by hash, as for all data sets.
"""

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import group_of, left_out, not_read
from senet_kp.data_prep.formats.tables import numbers
from senet_kp.face.folders import Contents, contents_of
from senet_kp.face.known_schemes import LAPA106
from senet_kp.face.pictures import damage
from senet_kp.face.scheme import LandmarkScheme

FOLDERS = (".", "LaPa")
OFFICIAL_COUNTS = {"train": 18_176, "val": 2_000, "test": 2_000}


class LaPa(Format):
    """Three parts with a folder of pictures and a folder of labels each."""

    name = "lapa"
    expects = "train/, val/ and test/ with images/*.jpg and landmarks/*.txt in each"
    scheme = LAPA106
    terms_of_use = "LaPa is for non-commercial research only"

    def recognises(self, root: Path) -> bool:
        return any(
            (folder / "images").is_dir() and next((folder / "landmarks").glob("*.txt"), None)
            for folder in _parts(root).values()
        )

    def find_faces(self, root: Path) -> list[FaceSource]:
        faces = _labelled(root)
        test = {group_of_face(picture) for part, picture, _ in faces if part == "test"}
        return [
            self._source(root, part, picture, label)
            for part, picture, label in faces
            if part == "test" or group_of_face(picture) not in test
        ]

    def _source(self, root: Path, part: str, picture: Path, label: Path) -> FaceSource:
        return FaceSource(
            name=picture.relative_to(root).as_posix(),
            format=self.name,
            picture=picture,
            label=label,
            photo=picture.relative_to(root).as_posix(),
            group=group_of_face(picture),
            subset=part,
            official="test" if part == "test" else "train",
        )

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = str(source.label)
        if problem := damage(data):
            raise Rejected(problem[0], f"{where}: {problem[1]}")
        values = numbers(where, data.decode(errors="replace").split())
        if len(values) % 2 == 0 or values[0] != len(values) // 2:
            raise Rejected(
                "point-count", f"{where}: its first line is not the number of points that follow"
            )
        points = values[1:].reshape(-1, 2)
        return checked_label(where, points, np.ones(len(points), bool), scheme)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        counts, taken = Counter(s.subset for s in sources), {s.picture for s in sources}
        labelled = {picture for _, picture, _ in _labelled(Path(root))}
        found = [_contents(folder) for folder in _parts(Path(root)).values()]
        rest = labelled - taken
        bare = {picture for contents in found for picture in contents.pictures} - labelled
        return [
            *(
                f"  {part:<10} {counts[part]:>7,} pictures (official: {official:,})"
                for part, official in OFFICIAL_COUNTS.items()
            ),
            *left_out(rest, "pictures of train/ and val/ show a photo of test/: left out"),
            *left_out(bare, "pictures have no .txt file and are left out"),
            *(line for contents in found for line in not_read(contents)),
        ]


def group_of_face(picture: Path) -> str:
    """Return the photo of a face: 300W-LP's name of it, or LaPa_<photo>."""
    photo = group_of(picture.stem, PurePosixPath(picture.name))
    return f"LaPa_{photo}" if photo[0].isdigit() else photo


def _parts(root: Path) -> dict[str, Path]:
    """Return {"train": folder, "val": folder, "test": folder} of those that exist."""
    folders = [{part: root / folder / part for part in OFFICIAL_COUNTS} for folder in FOLDERS]
    existing = ({part: path for part, path in found.items() if path.is_dir()} for found in folders)
    return next(filter(None, existing), {})


def _contents(part: Path) -> Contents:
    """Return what the folder of the pictures of one part holds."""
    pictures = part / "images"
    return contents_of(pictures) if pictures.is_dir() else Contents()


def _labelled(root: Path) -> list[tuple[str, Path, Path]]:
    """Return part, picture and label of every picture that has a label, sorted in each part."""
    faces = []
    for part, folder in _parts(root).items():
        labels = {path.stem: path for path in (folder / "landmarks").glob("*.txt")}
        pictures = _contents(folder).pictures
        faces += [(part, path, labels[path.stem]) for path in pictures if path.stem in labels]
    return faces


FORMAT = LaPa()
