"""dlib's imglab XML: boxes of faces in pictures, with named parts.

    <dataset><images>
      <image file='photo.jpg'>
        <box top='40' left='30' width='200' height='200'>
          <part name='00' x='35' y='80'/> ...

Pixels, the first one's centre at 0. A box covers its first to its last pixel, so that its edges
lie half a pixel outside their centres. Files are relative to the XML file. Names of parts that are
numbers are the points' numbers, counted from 0, or from 1 where 1 is the first of the whole data
set; other names number the points in sorted order, as dlib does. The last point of the data set
says how many there are, and a box without a part of that number misses the point.

`python -m data_prep.imglab` writes such a file: data_prep/imglab.py.
"""

import json
import os
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np

from senet_kp.data_prep.formats.face_sample import (
    FaceLabel,
    FaceSource,
    Rejected,
    checked_label,
    wrong_count,
)
from senet_kp.data_prep.formats.photos import (
    counts_by_subset,
    face_source,
    is_mirrored,
    left_out,
    terms_of,
)
from senet_kp.data_prep.formats.tables import files_in, numbers
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

NAME = "imglab"
SCHEME = IBUG68
LABELS = (NAME,)  # the only points there are
EXPECTS = "an imglab .xml file, with the pictures where it says"
_BOX = ("left", "top", "width", "height")
_TAGS = {"occluded": "occlusion", "truncated": "truncated", "difficult": "difficult"}
_BLOCK = 1 << 16  # bytes that are parsed at a time


class Box(NamedTuple):
    """One <box>: the picture's file, its attributes, its parts as (name, x, y), all text."""

    file: str
    attributes: dict[str, str]
    parts: list[tuple[str, str, str]]


def parse_imglab(path: Path) -> Iterator[Box]:
    """The boxes of an imglab file, read block by block; one without attributes for a bare picture.

    Raises InputError. A document type is refused, and with it every entity of a file's own: what
    they expand to may be without end. The text is UTF-8 whatever the file says, because imglab
    writes names as the system gives them under a declaration of ISO-8859-1.
    """
    target = _Boxes()
    parser = ElementTree.XMLParser(target=target, encoding="utf-8")
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                parser.feed(block)
                yield from target.taken()
        parser.close()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: no imglab XML in UTF-8 ({error})") from None


class _Boxes:
    """What the parser tells as it reads; the boxes that are complete."""

    def __init__(self):
        self._depth, self._file, self._boxes, self._done = 0, None, [], []

    def doctype(self, name, public, system):
        raise ValueError("document types and entities are not read")

    def start(self, tag: str, attributes: dict[str, str]):
        if self._depth == 0 and tag != "dataset":
            raise ValueError(f"its root is <{tag}>, not <dataset>")
        self._depth += 1
        if tag == "image":
            self._file, self._boxes = _needed(tag, attributes, "file")[0], []
        elif tag == "box" and self._file is not None:
            self._boxes.append(Box(self._file, attributes, []))
        elif tag == "part" and self._boxes:
            self._boxes[-1].parts.append(_needed(tag, attributes, "name", "x", "y"))

    def end(self, tag: str):
        self._depth -= 1
        if tag == "image":
            self._done += self._boxes or [Box(self._file, {}, [])]
            self._file, self._boxes = None, []

    def close(self):
        pass

    def taken(self) -> list[Box]:
        """The boxes that were completed since the last call."""
        done, self._done = self._done, []
        return done


def format_imglab(pictures, count: int, whole_pixels: bool) -> Iterator[str]:
    """The lines of an imglab file of `count` points a face.

    pictures: (file as the XML names it, [(box [x, y, w, h] by its edges, FaceLabel), ...]) each.
    whole_pixels: round, because imglab and dlib refuse numbers with a decimal point; else places
    are exact to 1e-4 px.
    """
    digits = max(2, len(str(count - 1)))  # dlib numbers parts by the sorted order of their names
    yield "<?xml version='1.0' encoding='UTF-8'?>"
    yield "<dataset>"
    yield "<images>"
    for file, faces in pictures:
        yield f"  <image file={quoteattr(file)}>"
        for (x, y, width, height), label in faces:
            left, top, width, height = _written((x + 0.5, y + 0.5, width, height), whole_pixels)
            yield f"    <box top='{top}' left='{left}' width='{width}' height='{height}'>"
            for point in np.flatnonzero(label.mask):
                x, y = _written(label.landmarks[point], whole_pixels)
                yield f"      <part name='{point:0{digits}}' x='{x}' y='{y}'/>"
            yield "    </box>"
        yield "  </image>"
    yield "</images>"
    yield "</dataset>"


def _written(values, whole_pixels: bool) -> list[str]:
    if whole_pixels:
        return [str(int(np.floor(value + 0.5))) for value in values]
    return [f"{value:.4f}" for value in values]


def recognises(root: Path) -> bool:
    """Whether `root` looks like this format, without reading labels."""
    return any(map(_is_dataset, files_in(root, ".xml")))


def scan(root: Path, flips: bool = False, points: str = "") -> list[FaceSource]:
    """Every box that is not ignored, in the XML file `root` or in those of the folder `root`.

    Sorted by name. `flips` takes 300-W's _mirror copies too; `points` changes nothing. Raises
    InputError.
    """
    root = Path(root)
    files = [path for path in files_in(root, ".xml") if root.is_file() or _is_dataset(path)]
    if not files:
        raise InputError(f"{root}: no imglab file found; expected {EXPECTS}")
    numbering = point_numbers({p[0] for path in files for box in _faces(path) for p in box.parts})
    sources, owner = [], {}
    for path in files:
        faces = Counter()
        for box in _faces(path):
            picture = _picture(path, box)
            if owner.setdefault(picture, path) is not path:
                raise InputError(
                    f"{path} and {owner[picture]} both label {box.file}: DATA= takes one of the"
                    " files too"
                )
            faces[picture] += 1
            if flips or not is_mirrored(picture):
                sources.append(_source(root, path, picture, box, faces[picture], numbering))
    if not sources:
        raise InputError(f"{files[0]}: holds no face")
    return sorted(sources, key=lambda source: source.name)


def point_numbers(names: set[str]) -> dict[str, int]:
    """The point, counted from 0, that each name of a part stands for in a whole data set."""
    if not all(name.isdecimal() for name in names):
        return {name: number for number, name in enumerate(sorted(names))}
    first = 1 if min(map(int, names), default=0) == 1 else 0
    return {name: int(name) - first for name in names}


def survey(root: Path, sources: list[FaceSource]) -> list[str]:
    """Lines that say what was found and what is left out."""
    taken = {source.picture for source in sources}
    ignored, bare, mirrored = [], [], set()
    for path in sorted({source.label for source in sources}):
        for box in parse_imglab(path):
            if not box.attributes:
                bare.append(box.file)
            elif _is_set(box, "ignore"):
                ignored.append(box.file)
            elif is_mirrored(box.file) and _picture(path, box) not in taken:
                mirrored.add(box.file)
    return [
        *counts_by_subset(sources),
        *left_out(mirrored, "mirrored copies are left out (--flips takes them)"),
        *left_out(ignored, "boxes are marked as ignored and left out"),
        *left_out(bare, "pictures have no box and are left out"),
    ]


def terms(sources: list[FaceSource]) -> str:
    """What the pictures may be used for; empty where no folder is named as 300-W's are."""
    return terms_of(sources)


def read_label(source: FaceSource, data: bytes, points: str, scheme: LandmarkScheme) -> FaceLabel:
    """The label of one box, `FaceSource.row`; `points` changes nothing. Raises Rejected."""
    where = f"{source.label}: a box of {source.name}"
    face = json.loads(data)
    if face["count"] != scheme.count:
        raise wrong_count(f"{source.label}", face["count"], scheme)
    landmarks, mask = np.full((scheme.count, 2), np.nan), np.zeros(scheme.count, bool)
    for point, x, y in face["parts"]:
        if mask[point]:
            raise Rejected("part-twice", f"{where} has two parts for point {point}")
        landmarks[point], mask[point] = numbers(where, [x, y]), True
    return checked_label(where, landmarks, mask, scheme, _label_box(where, face["box"]))


def _label_box(where: str, cells: list[str | None]) -> np.ndarray | None:
    """The box by its edges; None where it has no area to speak of."""
    if None in cells:
        return None
    box = numbers(where, cells) - (0.5, 0.5, 0, 0)
    return box if np.isfinite(box).all() and (box[2:] > 0).all() else None


def _source(root: Path, path: Path, picture: Path, box: Box, number: int, numbering: dict):
    parts = [(numbering[name], x, y) for name, x, y in box.parts]
    row = {
        "box": [box.attributes.get(key) for key in _BOX],
        "parts": parts,
        "count": max(numbering.values(), default=-1) + 1,
    }
    return face_source(
        NAME,
        path.parent if root.is_file() else root,
        picture,
        path,
        number=number,
        otherwise=path.stem,
        row=json.dumps(row).encode(),
        tags=tuple(tag for key, tag in _TAGS.items() if _is_set(box, key)),
    )


def _faces(path: Path) -> Iterator[Box]:
    return (box for box in parse_imglab(path) if box.attributes and not _is_set(box, "ignore"))


def _picture(path: Path, box: Box) -> Path:
    return Path(os.path.normpath(path.parent / box.file.replace("\\", "/")))


def _is_set(box: Box, key: str) -> bool:
    return box.attributes.get(key, "0").lower() not in ("0", "false")


def _is_dataset(path: Path) -> bool:
    """Whether an imglab file begins there, as far as its first bytes tell."""
    with open(path, "rb") as file:
        return path.suffix.lower() == ".xml" and b"<dataset" in file.read(4096)


def _needed(tag: str, attributes: dict[str, str], *keys: str) -> tuple[str, ...]:
    if missing := [key for key in keys if key not in attributes]:
        raise ValueError(f"a <{tag}> has no {missing[0]}")
    return tuple(attributes[key] for key in keys)
