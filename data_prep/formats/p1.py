"""P1: frames of YouTube Faces videos with 68 points, the layout of Udacity's facial keypoints.

    training_frames_keypoints.csv     a row per picture: its name, then x0, y0, ..., x67, y67
    training/<Person>_<video><frame>.jpg

The first row is a header. Coordinates are whole pixels; the centre of the first pixel is 0.
<video> and <frame> have one digit each. A person may appear in several videos.
"""

import re
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import left_out
from senet_kp.data_prep.formats.tables import numbers, read_rows
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

TABLE, PICTURES = "training_frames_keypoints.csv", "training"
_COLUMNS = 1 + 2 * IBUG68.count


class P1(Format):
    """Udacity's table of keypoints beside a folder of pictures."""

    name = "p1"
    expects = f"the table {TABLE} beside a folder {PICTURES}/"
    scheme = IBUG68
    terms_of_use = "P1's pictures, frames of YouTube Faces, are for non-commercial research only"

    def recognises(self, root: Path) -> bool:
        return (root / TABLE).is_file()

    def find_faces(self, root: Path) -> list[FaceSource]:
        table, sources = root / TABLE, {}
        for picture, *values in _rows(table):
            source = self._source(table, picture, values)
            if sources.setdefault(source.name, source) is not source:
                raise InputError(f"{table}: has two rows for {picture}; delete one of them")
        if not sources:
            raise InputError(f"{table}: contains no picture")
        return sorted(sources.values(), key=lambda source: source.name)

    def _source(self, table: Path, picture: str, values: list[str]) -> FaceSource:
        name = f"{PICTURES}/{picture}"
        return FaceSource(
            name=name,
            format=self.name,
            picture=table.with_name(PICTURES) / picture,
            label=table,
            row=",".join(values).encode(),
            photo=name,  # not the video, because frames of a video may have identical landmarks
            group=f"P1_{_person(picture)}",
            subset="P1",
        )

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = f"{source.label}: the row of {source.picture.name}"
        values = data.decode().split(",")
        if len(values) != 2 * scheme.count:
            raise Rejected(
                "point-count", f"{where} has {len(values)} numbers, not {2 * scheme.count}"
            )
        landmarks = numbers(where, values).reshape(-1, 2)
        return checked_label(where, landmarks, np.ones(scheme.count, bool), scheme)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        people = len({source.group for source in sources})
        pictures = {picture.name for picture in (Path(root) / PICTURES).glob("*.jpg")}
        without_row = pictures - {source.picture.name for source in sources}
        return [
            f"  {'P1':<10} {len(sources):>7,} pictures of {people:,} people",
            *left_out(without_row, f"pictures in {PICTURES}/ have no row in {TABLE}: left out"),
        ]


def _person(picture: str) -> str:
    """Return Luis_Fonsi for Luis_Fonsi_21.jpg; all trailing digits are removed."""
    return re.sub(r"_?\d+$", "", Path(picture).stem)


def _rows(table: Path) -> list[list[str]]:
    """Return the rows without the header and empty rows. Raises InputError."""
    header, *rows = read_rows(table, f"--data must name the folder with {TABLE} and {PICTURES}/")
    if len(header) != _COLUMNS:
        raise InputError(
            f"{table}: its first line has {len(header)} columns, not {_COLUMNS}:"
            f" name, x0, y0, ..., x{IBUG68.count - 1}, y{IBUG68.count - 1}"
        )
    return rows


FORMAT = P1()
