"""AFLW: faces in photos of Flickr, 21 points, seen from all sides (Koestinger et al., "Annotated
Facial Landmarks in the Wild", 2011). Points that are not visible are not annotated: they are
missing. Two layouts are read.

    aflw.sqlite, flickr/<folder>/<photo>.jpg     the official one, also in data/ or aflw/data/

The tables Faces, FaceImages, FaceRect and FacePose give the file of every face, its box and its
pose; FeatureCoords the annotated points, with their names in FeatureCoordTypes. Pose angles are in
radians. Pitch and yaw have the signs of 300W-LP's, and roll the opposite one, according to the
programs of published pose networks.

    labels.csv, pictures/<picture>               crops of single faces
    picture,photo,yaw_deg,x1,y1,...,x21,y21      its header; cells of missing points are empty

yaw_deg has the sign of 300W-LP's yaw: a face that looks to the right in the picture has a negative
one. Pitch and roll are unknown.

Coordinates of both are pixels; the centre of the first pixel is 0. Left and right in the names of
points are those of the picture. All faces of a photo are one group. AFLW2000-3D consists of 2,000
of these photos and has the same groups. On a turned face one of the outer eye corners is missing:
score with `--normaliser box`.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.aflw2000 import group_of_photo
from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.tables import (
    found_in,
    numbers,
    points_with_gaps,
    read_header,
    read_rows,
)
from senet_kp.face.known_schemes import AFLW21
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError, brief
from senet_kp.tfrecords.schema import face_name

DATABASE, FOLDERS, PHOTOS = "aflw.sqlite", (".", "data", "aflw/data"), "flickr"
TABLE, PICTURES = "labels.csv", "pictures"
POINTS = (
    *(
        f"{part}{point}"
        for part in ("LeftBrow", "RightBrow", "LeftEye", "RightEye")
        for point in ("LeftCorner", "Center", "RightCorner")
    ),
    *("LeftEar", "NoseLeft", "NoseCenter", "NoseRight", "RightEar"),
    *("MouthLeftCorner", "MouthCenter", "MouthRightCorner", "ChinCenter"),
)
COLUMNS = (
    "picture",
    "photo",
    "yaw_deg",
    *(f"{axis}{number}" for number in range(1, AFLW21.count + 1) for axis in "xy"),
)
_FACES = """
    SELECT Faces.face_id, FaceImages.filepath, FacePose.pitch, FacePose.yaw, FacePose.roll,
        FaceRect.x, FaceRect.y, FaceRect.w, FaceRect.h
    FROM Faces
    JOIN FaceImages ON FaceImages.file_id = Faces.file_id AND FaceImages.db_id = Faces.db_id
    LEFT JOIN FacePose ON FacePose.face_id = Faces.face_id
    LEFT JOIN FaceRect ON FaceRect.face_id = Faces.face_id
    GROUP BY Faces.face_id
    ORDER BY FaceImages.filepath, Faces.face_id
"""
_COORDINATES = """
    SELECT FeatureCoords.face_id, FeatureCoordTypes.descr, FeatureCoords.x, FeatureCoords.y
    FROM FeatureCoords
    JOIN FeatureCoordTypes ON FeatureCoordTypes.feature_id = FeatureCoords.feature_id
"""


class Aflw(Format):
    """The official database, or a table of crops."""

    name = "aflw"
    expects = f"{DATABASE} beside {PHOTOS}/, or {TABLE} with 21 points beside {PICTURES}/"
    scheme = AFLW21
    terms_of_use = "AFLW's pictures are for non-commercial research only"
    label_pixels = "stored"  # no library of 2011 turned pictures

    def recognises(self, root: Path) -> bool:
        return found_in(root, FOLDERS, DATABASE) is not None or _has_table(root)

    def find_faces(self, root: Path) -> list[FaceSource]:
        if label := found_in(root, FOLDERS, DATABASE):
            folder, found = label.parent / PHOTOS, _of_database(label)
        elif _has_table(root):
            folder, label = root / PICTURES, root / TABLE
            found = _of_table(label)
        else:
            raise InputError(f"{root}: expected {self.expects}")
        faces, sources = Counter(), []
        for picture, photo, row in found:
            faces[picture] += 1
            name = face_name((folder / picture).relative_to(root).as_posix(), faces[picture])
            sources.append(
                FaceSource(
                    name=name,
                    format=self.name,
                    picture=folder / picture,
                    label=label,
                    row=row,
                    photo=name,
                    group=group_of_photo(photo),
                    subset="AFLW",
                )
            )
        return sources

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = f"{source.label}: the face {source.name}"
        if not data:
            raise Rejected("column-count", f"{where} has another number of columns than the header")
        cells, pose_deg, box = json.loads(data)
        landmarks, known = points_with_gaps(where, cells)
        label = checked_label(where, landmarks, known, scheme, _usable(box))
        pose_deg = numbers(where, [str(angle).strip() or "nan" for angle in pose_deg])
        return replace(label, pose_deg=pose_deg)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        photos = len({source.group for source in sources})
        return [f"  {'AFLW':<10} {len(sources):>7,} faces of {photos:,} photos"]


def _of_database(database: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield picture below flickr/, photo and row of every face. Raises InputError."""
    points = defaultdict(dict)
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            faces = opened.execute(_FACES).fetchall()
            for face, name, x, y in opened.execute(_COORDINATES):
                points[face][name] = (str(x), str(y))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise InputError(f"{database}: not AFLW's database, or damaged ({brief(error)})") from None
    for face, picture, *values in faces:
        if not isinstance(picture, str):
            raise InputError(f"{database}: damaged: the file of face {brief(face)} is not a path")
        cells = [cell for name in POINTS for cell in points[face].get(name, ("", ""))]
        # SQLite's columns hold values of any type.
        known = [value if isinstance(value, (int, float)) else np.nan for value in values]
        pose_deg = np.degrees(np.array(known[:3], np.float64)) * (1, 1, -1)
        yield picture, Path(picture).stem, _row(cells, pose_deg.tolist(), known[3:])


def _of_table(table: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield picture, photo and row of every face; a row of another length is empty."""
    header, *rows = read_rows(table, f"expected {Aflw.expects}")
    for row in rows:
        picture, photo, yaw, *cells = [*row, "", ""] if len(row) < len(header) else row
        fits = len(row) == len(header)
        yield picture, photo, _row(cells, ["", yaw, ""], None) if fits else b""


def _row(cells: list[str], pose_deg: list, box: list | None) -> bytes:
    return json.dumps([cells, pose_deg, box]).encode()


def _usable(box: list | None) -> np.ndarray | None:
    """Return the box [x, y, w, h], or None if the face has none or it has no area."""
    values = np.array(box or [np.nan] * 4, np.float64)
    return values if np.isfinite(values).all() and (values[2:] > 0).all() else None


def _has_table(root: Path) -> bool:
    table = root / TABLE
    return table.is_file() and tuple(read_header(table)) == COLUMNS


FORMAT = Aflw()
