"""Landmarks that another program found in the pictures of the scored faces: `--predictions`.

A predictions file has one line of JSON for each picture, as `senet-kp demo --json` writes it:

    {"source": "photos/a.jpg", "faces": [{"box": [x, y, w, h], "landmarks": [[x, y], ...]}]}

Coordinates are in pixels of the original picture; the centre of the first pixel is at 0. "box" may
be missing, and other keys are ignored. docs/peers.md describes the file and the rules of matching.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path, PurePosixPath

import numpy as np

from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.input.crops import Crops
from senet_kp.tfrecords.errors import InputError, brief
from senet_kp.tfrecords.files import parse_json
from senet_kp.tfrecords.schema import picture_of

PREDICTIONS = "predictions of another program"  # in place of the engine of a model


@dataclass(frozen=True)
class Predictions:
    """What a predictions file says about the n scored faces.

    points:           [n, N, 2] landmarks relative to the face box; NaN for a face without any
    pictures:         number of pictures in the file
    unknown_pictures: number of those that none of the scored faces is from
    """

    path: Path
    points: np.ndarray
    pictures: int
    unknown_pictures: int

    @property
    def missing(self) -> int:
        """The number of scored faces without a prediction."""
        return int(np.isnan(self.points).any(axis=(1, 2)).sum())


@dataclass(frozen=True)
class FoundFace:
    """A predicted face in pixels: landmarks [N, 2], and box [x, y, w, h] or None."""

    landmarks: np.ndarray
    box: np.ndarray | None


def read_predictions(path: Path, crops: Crops) -> Predictions:
    """The predictions of a file for the faces in `crops`.

    Prints a warning if the file contains other pictures. Raises InputError for a file that cannot
    be read, and for one that contains none of the faces' pictures.
    """
    count = crops.landmarks.shape[1]
    found = _faces_by_source(path, count)
    faces_of = defaultdict(list)
    for index, name in enumerate(crops.names):
        faces_of[picture_of(name)].append(index)
    sources = _matched_sources(path, found, set(faces_of))
    points = np.full(crops.landmarks.shape, np.nan)
    for source, picture in sources.items():
        for index, landmarks in _assigned(found[source], faces_of[picture], crops):
            points[index] = _relative(landmarks, crops.affine[index])
    unknown = [source for source in found if source not in sources]
    if unknown:
        print(
            f"warning: {path}: {len(unknown):,} of its {len(found):,} pictures are not among the"
            f" scored ones, the first: {unknown[0]}",
            file=sys.stderr,
        )
    return Predictions(path, points, len(found), len(unknown))


def _faces_by_source(path: Path, count: int) -> dict[str, list[FoundFace]]:
    """{source: its faces} of every line of a file; raises InputError that names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the predictions cannot be read ({error})") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            source, faces = _parsed(line, f"{path}, line {number}", count)
            if source in found:
                raise InputError(
                    f"{path}, line {number}: a second line for {source}; put all faces of a picture"
                    " on one line"
                )
            found[source] = faces
    return found


def _parsed(line: str, where: str, count: int) -> tuple[str, list[FoundFace]]:
    try:
        picture = parse_json(line)
        source, faces = str(picture["source"]), picture["faces"]
        found = [
            FoundFace(
                np.array(face["landmarks"], np.float64),
                np.array(face["box"], np.float64) if face.get("box") is not None else None,
            )
            for face in faces
        ]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(
            f'{where}: not {{"source": ..., "faces": [{{"landmarks": [[x, y], ...]}}]}}'
            f" ({type(error).__name__}: {brief(error)})"
        ) from None
    for face in found:
        if face.landmarks.shape != (count, 2):
            raise InputError(
                f"{where}: landmarks of shape {list(face.landmarks.shape)}, but the records have"
                f" [{count}, 2]; convert them to the landmark scheme of the records (docs/peers.md)"
            )
        values = face.landmarks if face.box is None else np.append(face.landmarks, face.box)
        if not np.isfinite(values).all() or (face.box is not None and face.box.shape != (4,)):
            raise InputError(f"{where}: landmarks and box [x, y, w, h] must be finite numbers")
    return source, found


def _matched_sources(path: Path, found: dict, pictures: set[str]) -> dict[str, str]:
    """{source: picture of the records} for every source that is one of the pictures.

    Raises InputError if two sources are the same picture, or if none is one of the pictures.
    """
    by_name = defaultdict(list)
    for picture in pictures:
        by_name[PurePosixPath(picture).name].append(picture)
    matched = {}
    for source in found:
        picture = _picture_of_source(source, pictures, by_name)
        if picture is not None:
            matched[source] = picture
    first = {picture: source for source, picture in reversed(matched.items())}
    for source, picture in matched.items():
        if first[picture] != source:
            raise InputError(
                f"{path}: {first[picture]} and {source} are both taken for the picture {picture};"
                " write the sources as paths that end in the names of the records' pictures"
            )
    if not matched:
        shown = next(iter(found), "no picture")
        raise InputError(
            f"{path}: contains {shown}, but none of the scored pictures, such as {min(pictures)};"
            " predict the pictures that the records were prepared from, or choose another --side"
        )
    return matched


def _picture_of_source(source: str, pictures: set[str], by_name: dict) -> str | None:
    """The picture with this path, with the longest end of it, or else with its unique file name."""
    parts = PurePosixPath(source.replace("\\", "/")).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    if exact := next((end for end in ends if end in pictures), None):
        return exact
    same_name = by_name.get(parts[-1], ()) if parts else ()
    return same_name[0] if len(same_name) == 1 else None


def _assigned(found: list[FoundFace], indices: list[int], crops: Crops):
    """Yield (index of a scored face, predicted landmarks [N, 2]) for the faces of one picture.

    Pairs are formed in the order of their overlap, each face being used once.
    """
    annotated = [index for index in indices if crops.mask[index].any()]
    truths = {index: _extent(_annotated_px(crops, index)) for index in annotated}
    pairs = [
        (_overlap(face, truth), number, index)
        for number, face in enumerate(found)
        for index, truth in truths.items()
    ]
    used = set()
    for overlap, number, index in sorted(pairs, key=itemgetter(0), reverse=True):
        if overlap >= MIN_IOU and number not in used and index in truths:
            yield index, found[number].landmarks
            used.add(number)
            del truths[index]


def _overlap(face: FoundFace, truth) -> float:
    """The larger IoU of a face's box and of its landmarks' bounding box with a true bounding box.

    With the box, badly placed landmarks still count as those of a face that was found.
    """
    boxes = [_extent(face.landmarks)] + ([] if face.box is None else [face.box])
    return max(iou(box, truth) for box in boxes)


def _annotated_px(crops: Crops, index: int) -> np.ndarray:
    """The annotated landmarks [k, 2] of a face in pixels of its picture."""
    known = crops.landmarks[index][crops.mask[index]]
    return known @ crops.affine[index][:, :2].T + crops.affine[index][:, 2]


def _relative(landmarks, affine) -> np.ndarray:
    """Landmarks [N, 2] in pixels relative to the face box, by the inverse of its affine [2, 3]."""
    return np.linalg.solve(affine[:, :2], (landmarks - affine[:, 2]).T).T


def _extent(points) -> np.ndarray:
    """The bounding box [x, y, w, h] of points, at least one pixel wide and high."""
    low = np.min(points, axis=0)
    return np.concatenate([low, np.maximum(np.max(points, axis=0) - low, 1)])
