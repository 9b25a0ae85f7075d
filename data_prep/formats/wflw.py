"""WFLW: 98 points, a box and six attributes (Wu et al., "Look at Boundary", 2018).

    WFLW_images/<event>/<picture>.jpg
    WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt and ..._test.txt

A line of a list is a face: 196 coordinates x0 y0 ... x97 y97, its box as x_min y_min x_max y_max,
the attributes pose, expression, illumination, make-up, occlusion and blur as 0 or 1, and the
picture's path below WFLW_images. A photo has as many lines as labelled faces, and is one group.
The lists may lie in any of the folders above, or beside WFLW_images. Coordinates are taken as
they are, the first pixel's centre at 0; the publishers do not say.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, whole_points
from senet_kp.face.known_schemes import WFLW98
from senet_kp.face.pictures import damage
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.schema import face_name

NAME = "wflw"
SCHEME = WFLW98
LABELS = (NAME,)  # the only points there are
PICTURES = "WFLW_images"
EXPECTS = f"{PICTURES}/ and the lists list_98pt_rect_attr_train.txt and _test.txt"
LISTS = {part: f"list_98pt_rect_attr_{part}.txt" for part in ("train", "test")}
FOLDERS = (
    "WFLW_annotations/list_98pt_rect_attr_train_test",
    "list_98pt_rect_attr_train_test",
    "WFLW_annotations",
    ".",
)
ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
OFFICIAL_COUNTS = {"train": 7500, "test": 2500}  # faces
TERMS = "WFLW is for non-commercial research only"
_BOX = 4


def recognises(root: Path) -> bool:
    """Whether a folder is laid out like this, by its files' names."""
    return (Path(root) / PICTURES).is_dir() and bool(_lists(Path(root)))


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every face of the lists; raises InputError without lists or pictures.

    `flips` and `points` change nothing: WFLW has no mirrored twins, and one set of points.
    """
    root = Path(root)
    lists = _lists(root)
    if not lists or not (root / PICTURES).is_dir():
        raise InputError(
            f"{root}: expected {PICTURES}/ and {' and '.join(LISTS.values())} in it, or in"
            f" {FOLDERS[0]}/"
        )
    faces = Counter()  # of each photo so far, over both lists
    sources = []
    for part, path in lists.items():
        for line in _lines(path):
            *values, picture = line.split()
            faces[picture] += 1
            sources.append(_source(root, part, path, picture, values, faces[picture]))
    if not sources:
        raise InputError(f"{', '.join(map(str, lists.values()))}: no face in it")
    return sources


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found, against the official counts."""
    lines = []
    for part, official in OFFICIAL_COUNTS.items():
        found = [source for source in sources if source.official == part]
        photos = len({source.group for source in found})
        lines.append(
            f"  {part:<10} {len(found):>7,} faces of {photos:,} photos (official: {official:,})"
        )
    tags = Counter(tag for source in sources for tag in source.tags)
    counts = ", ".join(f"{name} {tags[name]:,}" for name in ATTRIBUTES)
    return [*lines, f"  {'':<10} of them {counts}"]


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for."""
    return TERMS


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label in the numbers of a face's line; `points` changes nothing.

    Raises Rejected.
    """
    where = f"{source.label}: a line of {source.picture.name}"
    values = data.decode(errors="replace").split()
    expected = 2 * scheme.count + _BOX + len(ATTRIBUTES)
    if len(values) != expected:
        raise Rejected("point-count", f"{where} has {len(values)} numbers, not {expected}")
    try:
        numbers = np.array(values, np.float64)
    except ValueError as error:
        raise Rejected("not-numbers", f"{where}: {error}") from None
    pairs = numbers[: 2 * scheme.count + _BOX].reshape(-1, 2)
    landmarks = whole_points(pairs[: scheme.count], where, scheme.count)
    low, high = pairs[scheme.count :]
    if not (high > low).all():
        raise Rejected("no-box", f"{where} gives a box without width or height")
    known, pose = np.ones(scheme.count, bool), np.full(3, np.nan)
    return FaceLabel(landmarks, known, pose, np.array([*low, *(high - low)]))


def _source(root: Path, part: str, path: Path, picture: str, values, number: int) -> FaceSource:
    name = face_name(f"{PICTURES}/{picture}", number)
    flags = zip(ATTRIBUTES, values[-len(ATTRIBUTES) :], strict=False)
    return FaceSource(
        name=name,
        format=NAME,
        picture=root / PICTURES / picture,
        label=path,
        row=" ".join(values).encode(),
        photo=name,
        group=f"WFLW_{picture}",
        subset=part,
        official=part,
        tags=tuple(attribute for attribute, flag in flags if flag == "1"),
    )


def _lists(root: Path) -> dict[str, Path]:
    """{"train": path, "test": path} of the lists that there are."""
    found = {}
    for part, name in LISTS.items():
        paths = [root / folder / name for folder in FOLDERS]
        if path := next((path for path in paths if path.is_file()), None):
            found[part] = path
    return found


def _lines(path: Path) -> list[str]:
    """The lines that hold something; raises InputError for what is no text."""
    data = path.read_bytes()
    if problem := damage(data):
        raise InputError(f"{path}: {problem[1]}")
    try:
        return [line for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text file ({error})") from None
