"""iBUG's .pts files beside pictures: 300-W, frames of 300-VW, Menpo, your own pictures.

    version: 1
    n_points: 68
    {
    x y
    ...
    }

The header and the braces are optional. Coordinates are MATLAB's: the centre of the first pixel is
1 (Sagonas et al., "300 faces in-the-wild challenge", 2016). Pixels are those of the picture turned
upright by its EXIF orientation, as `senet-kp autolabel` and viewers show it. <name>.pts labels
<name>.jpg beside it; <name>_2.pts, <name>_3.pts, ... label further faces of the same picture.
300-VW's <clip>/annot/000001.pts labels a frame in annot/, in <clip>/ or in <clip>/frames/, images/
or image/.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import (
    FRAME_FOLDERS,
    counts_by_subset,
    face_source,
    is_mirrored,
    left_out,
    not_read,
    terms_of,
)
from senet_kp.face.folders import SUFFIXES, Contents, contents_below, suffix_of, walk
from senet_kp.face.pictures import damage
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.files import write_bytes

SUFFIX, VERSION = ".pts", 1
FIRST_PIXEL = 1  # MATLAB's coordinate of the centre of the first pixel; here it is 0
# What `senet-kp autolabel` writes beside its labels for the eye: a table, a contact sheet, and a
# folder of drawn faces. They are no data.
REVIEW, SHEET, DRAWN = "review.csv", "review.png", "review"
_BIOID = re.compile(r"bioid_\d{4}\.pts", re.I)  # of another origin, and with a format of their own
_COMMENT = re.compile(r"(#|//).*")
_HEADER = re.compile(r"\b(version|n_points)[ \t]*:[ \t]*([^\s{]*)", re.I)
_FURTHER_FACE = re.compile(r"(?P<stem>.+)_(?P<number>\d{1,3})")


class Pts(Format):
    """A .pts file for each face, beside its picture."""

    name = "pts"
    expects = ".pts files beside pictures of the same names, at any depth of folders"

    def recognises(self, root: Path) -> bool:
        files = (entry.name for entry in walk(root, _drawings, Contents()))
        labels = (name for name in files if suffix_of(name) == SUFFIX and name[0] != ".")
        return any(not _BIOID.fullmatch(name) for name in labels)

    def find_faces(self, root: Path) -> list[FaceSource]:
        default_subset = root.resolve().name
        sources = [
            face_source(
                self.name, root, picture, label, number=number, default_subset=default_subset
            )
            for picture, number, label in _listing(root).faces
        ]
        return sorted(sources, key=lambda source: source.name)

    def is_mirrored(self, source: FaceSource) -> bool:
        return is_mirrored(source.picture)

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        if problem := damage(data):
            raise Rejected(problem[0], f"{source.label}: {problem[1]}")
        try:
            landmarks = parse_pts(data.decode("utf-8-sig", errors="replace"))
        except ValueError as error:
            raise Rejected("bad-pts", f"{source.label}: {error}") from None
        known = np.ones(len(landmarks), bool)
        return checked_label(str(source.label), landmarks, known, scheme, first_pixel=FIRST_PIXEL)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        listing = _listing(Path(root))
        taken = {source.picture for source in sources}
        mirrored = {picture for picture, *_ in listing.faces} - taken
        lines = counts_by_subset(sources)
        lines += left_out(mirrored, "mirrored copies are left out (--flips includes them)")
        lines += left_out(listing.unlabelled, "pictures have no .pts file and are left out")
        lines += left_out(listing.pictureless, ".pts files have no picture and are left out")
        lines += not_read(listing.contents)
        if listing.pictureless and (videos := listing.contents.videos):
            lines.append(
                f"  {'':<10} videos are not read: extract their frames, in the folder of the clip,"
                f" with 'ffmpeg -i {videos[0].name} annot/%06d.png'"
            )
        return lines

    def terms(self, sources: list[FaceSource]) -> str:
        return terms_of(sources)


def parse_pts(text: str) -> np.ndarray:
    """Parse the text of a .pts file into points [n, 2] float64 in 0-based pixels.

    Blank lines and comments, which start with # or //, are skipped. Raises ValueError if the text
    is no such file or contains another number of points than its header states.
    """
    text = _COMMENT.sub("", text)
    header = {key.lower(): value for key, value in _HEADER.findall(text)}
    body = _HEADER.sub("\n", text)
    if "{" in body and "}" not in body:
        raise ValueError("it ends before the closing brace")
    rows = [line.split() for line in re.split(r"[\n{}]", body) if line.strip()]
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"a line contains {' '.join(row)[:40]!r}, not x and y")
    points = np.array(rows, np.float64).reshape(-1, 2)
    if header.get("n_points", str(len(points))) != str(len(points)):
        raise ValueError(
            f"its header states n_points: {header['n_points']}, but it has {len(points)} points"
        )
    return points - FIRST_PIXEL


def write_pts(path, landmarks):
    """Write landmarks [N, 2], 0-based pixels, atomically. Raises ValueError if not finite."""
    points = np.asarray(landmarks, np.float64) + FIRST_PIXEL
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: landmarks that are not finite")
    lines = [f"version: {VERSION}", f"n_points:  {len(points)}", "{"]
    lines += [f"{x:.6f} {y:.6f}" for x, y in points]
    write_bytes(path, ("\n".join([*lines, "}"]) + "\n").encode())


@dataclass
class _Listing:
    """The files below a folder.

    contents:    all of them
    faces:       (picture, number of the face in it from 1, label) of every labelled face
    unlabelled:  pictures without a label
    pictureless: labels without a picture
    """

    contents: Contents
    faces: list[tuple[Path, int, Path]] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)
    pictureless: list[Path] = field(default_factory=list)


def _listing(root: Path) -> _Listing:
    found, pictures = _Listing(contents_below(root, _drawings)), {}
    # A label beside a picture that is not read is a face, too: preparation rejects it and says why.
    every = sorted(found.contents.pictures, key=_rank) + found.contents.unread
    for path in every:
        pictures.setdefault((path.parent, path.stem), path)
    labels = [path for path in found.contents.others if suffix_of(path) == SUFFIX]
    faces = {}
    for label in labels:  # sorted: <name>.pts precedes <name>_1.pts, which would be the same face
        face = _face_of(label, pictures)
        if face is None or faces.setdefault(face, label) is not label:
            found.pictureless.append(label)
    found.faces = [(*face, label) for face, label in faces.items()]
    labelled = {picture for picture, _ in faces}
    found.unlabelled = [path for path in found.contents.pictures if path not in labelled]
    found.contents.unread = [path for path in found.contents.unread if path not in labelled]
    return found


def _face_of(label: Path, pictures: dict) -> tuple[Path, int] | None:
    """Return the picture of a label and the number of its face; None if there is no picture."""
    folders = [label.parent]
    if label.parent.name.lower() == FRAME_FOLDERS[0]:
        clip = label.parent.parent
        folders += [clip, *(clip / name for name in FRAME_FOLDERS[1:])]
    further = _FURTHER_FACE.fullmatch(label.stem)
    choices = [(label.stem, 1)]
    choices += [(further["stem"], int(further["number"]))] if further else []
    for stem, number in choices:
        for folder in folders:
            if picture := pictures.get((folder, stem)):
                return picture, number
    return None


def _rank(path: Path) -> int:
    """Return the place of a picture among those with its stem, the first of which has the label."""
    suffix = suffix_of(path)
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)


def _drawings(names: list[str]) -> tuple[str, ...]:
    """Return the names of what `senet-kp autolabel` has drawn in a folder of these names."""
    return (SHEET, DRAWN) if REVIEW in names else ()


FORMAT = Pts()
