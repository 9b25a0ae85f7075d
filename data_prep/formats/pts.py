"""iBUG's .pts files beside pictures: 300-W, 300-VW's frames, Menpo, pictures of one's own.

    version: 1
    n_points: 68
    {
    x y
    ...
    }

The header and the braces may be missing. Coordinates are MATLAB's: the first pixel's centre is 1
(Sagonas et al., "300 faces in-the-wild challenge", 2016). <name>.pts labels <name>.jpg beside it,
<name>_2.pts, <name>_3.pts, ... further faces of the same picture. 300-VW's <clip>/annot/000001.pts
label frames in annot/, in <clip>/ or in its folder frames/, images/ or image/.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.photos import (
    FRAME_FOLDERS,
    counts_by_subset,
    face_source,
    is_mirrored,
    left_out,
    terms_of,
)
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import SUFFIXES, damage
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import write_bytes

NAME = "pts"
SCHEME = IBUG68
LABELS = (NAME,)  # the only points there are
EXPECTS = ".pts files beside pictures of the same names, in any depth of folders"
SUFFIX, VERSION = ".pts", 1
FIRST_PIXEL = 1  # MATLAB's
VIDEOS = frozenset((".avi", ".mp4", ".mov", ".mkv", ".wmv"))
_COMMENT = re.compile(r"(#|//).*")
_HEADER = re.compile(r"\b(version|n_points)[ \t]*:[ \t]*([^\s{]*)", re.I)
_FURTHER_FACE = re.compile(r"(?P<stem>.+)_(?P<number>\d{1,3})")


def parse_pts(text: str) -> np.ndarray:
    """The points [n, 2] float64 of a .pts file's text, 0-based pixels.

    Blank lines and comments from # or // on are skipped. Raises ValueError for what is no such
    file, and where it says another number of points than it holds.
    """
    text = _COMMENT.sub("", text)
    header = {key.lower(): value for key, value in _HEADER.findall(text)}
    body = _HEADER.sub("\n", text)
    if "{" in body and "}" not in body:
        raise ValueError("it ends before the closing brace")
    rows = [line.split() for line in re.split(r"[\n{}]", body) if line.strip()]
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"a line holds {' '.join(row)[:40]!r}, not x and y")
    points = np.array(rows, np.float64).reshape(-1, 2)
    if header.get("n_points", str(len(points))) != str(len(points)):
        raise ValueError(f"it says n_points: {header['n_points']}, and holds {len(points)}")
    return points - FIRST_PIXEL


def write_pts(path, landmarks):
    """Write landmarks [N, 2] (pixels, the first one's centre at 0) atomically."""
    points = np.asarray(landmarks, np.float64) + FIRST_PIXEL
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: landmarks that are not finite")
    lines = [f"version: {VERSION}", f"n_points:  {len(points)}", "{"]
    lines += [f"{x:.6f} {y:.6f}" for x, y in points]
    write_bytes(path, ("\n".join([*lines, "}"]) + "\n").encode())


def recognises(root: Path) -> bool:
    """Whether `root` looks like this format, without reading labels."""
    return any(path.suffix.lower() == SUFFIX for path in _walk(root))


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every labelled picture below `root`, sorted by name; raises InputError for none.

    `flips` takes 300-W's _mirror copies too; `points` changes nothing.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; DATA= names the one that holds {EXPECTS}")
    sources = [
        face_source(NAME, root, picture, label, number=number, otherwise=root.resolve().name)
        for picture, number, label in _listing(root).faces
        if flips or not is_mirrored(picture)
    ]
    if not sources:
        raise InputError(f"{root}: no labelled picture found; expected {EXPECTS}")
    return sorted(sources, key=lambda source: source.name)


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found, and what is left out because its counterpart is missing."""
    listing = _listing(Path(root))
    taken = {source.picture for source in sources}
    mirrored = {picture for picture, *_ in listing.faces} - taken
    lines = counts_by_subset(sources)
    lines += left_out(mirrored, "mirrored copies are left out (--flips takes them)")
    lines += left_out(listing.unlabelled, "pictures have no .pts file and are left out")
    lines += left_out(listing.pictureless, ".pts files have no picture and are left out")
    if listing.pictureless and listing.videos:
        lines.append(
            f"  {'':<10} frames are read as pictures: 'ffmpeg -i {listing.videos[0].name}"
            " annot/%06d.png' in the clip's folder takes them out of its video"
        )
    return lines


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for; empty where no folder is named as 300-W's are."""
    return terms_of(sources)


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label in a .pts file's bytes; `points` changes nothing. Raises Rejected."""
    if problem := damage(data):
        raise Rejected(problem[0], f"{source.label}: {problem[1]}")
    try:
        landmarks = parse_pts(data.decode("utf-8-sig", errors="replace"))
    except ValueError as error:
        raise Rejected("bad-pts", f"{source.label}: {error}") from None
    return checked_label(str(source.label), landmarks, np.ones(len(landmarks), bool), scheme)


@dataclass
class _Listing:
    """What lies below a folder: faces as (picture, number, label), and what has no counterpart."""

    faces: list[tuple[Path, int, Path]] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)
    pictureless: list[Path] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)


def _listing(root: Path) -> _Listing:
    found, pictures, every, labels = _Listing(), {}, [], []
    for path in _walk(root):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            every.append(path)
            pictures.setdefault((path.parent, path.stem), path)
        elif suffix == SUFFIX:
            labels.append(path)
        elif suffix in VIDEOS:
            found.videos.append(path)
    faces = {}
    for label in labels:  # sorted: <name>.pts comes before <name>_1.pts, which would be the same
        face = _face_of(label, pictures)
        if face is None or faces.setdefault(face, label) is not label:
            found.pictureless.append(label)
    found.faces = [(*face, label) for face, label in faces.items()]
    labelled = {picture for picture, _ in faces}
    found.unlabelled = [path for path in every if path not in labelled]
    return found


def _face_of(label: Path, pictures: dict) -> tuple[Path, int] | None:
    """The picture of a label, and which of its faces it is; None where there is no picture."""
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


def _walk(root: Path):
    """Every file below a folder in sorted order, but hidden ones."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)
