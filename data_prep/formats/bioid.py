"""BioID: 1,521 grey pictures of 23 people in offices, 20 points in the markup of the FGnet project.

    BioID-FaceDatabase-V1.2/BioID_0000.pgm     384x286, or directly in the data set's folder
    points_20/bioid_0000.pts                   version, n_points, then x and y between braces

The .eye files are not read. The origin of the coordinates is not documented; they are used
unchanged, with the centre of the first pixel at 0, unlike those of iBUG's .pts files.

The publishers give the number of people, but no list of who is in which picture. The reader assumes
that neighbouring numbers show the same person, and makes one group of every PICTURES_PER_GROUP
numbers. That does not separate people: one who is in several groups may be on both sides of the
split. BioID was published for comparing methods, so `--split official` puts all of it on the test
side, which is the only split that certainly tests on people who were not used for training.
"""

from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import left_out
from senet_kp.data_prep.formats.pts import FIRST_PIXEL, parse_pts
from senet_kp.face.known_schemes import BIOID20
from senet_kp.face.pictures import damage
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import brief

PICTURES, LABELS = "BioID_[0-9][0-9][0-9][0-9].pgm", "bioid_[0-9][0-9][0-9][0-9].pts"
PICTURE_FOLDERS = ("BioID-FaceDatabase-V1.2", ".")
LABEL_FOLDERS = ("points_20", "bioid_pts/points_20", ".")
OFFICIAL_COUNT, PEOPLE = 1521, 23
PICTURES_PER_GROUP = 50


class BioId(Format):
    """Pictures with numbers, and .pts files with the same numbers in another folder."""

    name = "bioid"
    expects = "BioID_0000.pgm, ... and points_20/bioid_0000.pts, ..."
    scheme = BIOID20
    terms_of_use = "BioID's pictures are published for comparing methods in research"

    def recognises(self, root: Path) -> bool:
        return bool(_files(root, PICTURE_FOLDERS, PICTURES)) and bool(_labels(root))

    def find_faces(self, root: Path) -> list[FaceSource]:
        labels = _labels(root)
        return [
            FaceSource(
                name=picture.relative_to(root).as_posix(),
                format=self.name,
                picture=picture,
                label=labels[number],
                photo=picture.stem,
                group=f"BioID_{int(number) // PICTURES_PER_GROUP:02d}",
                subset="BioID",
                official="test",
            )
            for number, picture in _files(root, PICTURE_FOLDERS, PICTURES).items()
            if number in labels
        ]

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        if problem := damage(data):
            raise Rejected(problem[0], f"{source.label}: {problem[1]}")
        try:
            landmarks = parse_pts(data.decode("utf-8-sig", errors="replace")) + FIRST_PIXEL
        except ValueError as error:
            raise Rejected("bad-pts", f"{source.label}: {brief(error)}") from None
        return checked_label(str(source.label), landmarks, np.ones(len(landmarks), bool), scheme)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        pictures = _files(Path(root), PICTURE_FOLDERS, PICTURES).values()
        return [
            f"  {'BioID':<10} {len(sources):>7,} pictures (official: {OFFICIAL_COUNT:,})",
            f"  {'':<10} {PEOPLE} people, who are not named: groups are {PICTURES_PER_GROUP}"
            " numbers, and a person may be on two sides; with --split official all are for testing",
            *left_out(
                set(pictures) - {source.picture for source in sources},
                "pictures have no .pts file and are left out",
            ),
        ]


def _labels(root: Path) -> dict[str, Path]:
    return _files(root, LABEL_FOLDERS, LABELS)


def _files(root: Path, folders: tuple[str, ...], pattern: str) -> dict[str, Path]:
    """Return {number of four digits: file} from the first folder that contains any, sorted."""
    found = (sorted((root / folder).glob(pattern)) for folder in folders)
    return {path.stem[-4:]: path for path in next(filter(None, found), [])}


FORMAT = BioId()
