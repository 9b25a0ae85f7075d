"""dlib's imglab XML: boxes of faces in pictures, with named parts.

    <dataset><images>
      <image file='photo.jpg'>
        <box top='40' left='30' width='200' height='200'>
          <part name='00' x='35' y='80'/> ...

Coordinates are pixels of the picture as it is stored, because dlib and imglab do not turn it by its
EXIF orientation; the centre of the first pixel is 0. A box covers its first to its last pixel, so
that its edges are half a pixel outside the centres of these. Paths of pictures are relative to the
XML file.

If the names of the parts are numbers, they are the numbers of the points, from 0, or from 1 if 1 is
the smallest in the whole data set. Other names number the points in sorted order, as in dlib. The
last point of the data set determines how many there are, and a box without a part of some number
misses that point.

`senet-kp imglab` writes such files (data_prep/imglab.py).
"""

import json
import os
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from senet_kp.data_prep.formats.face_sample import (
    FaceLabel,
    FaceSource,
    Rejected,
    checked_label,
    wrong_count,
)
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.photos import (
    counts_by_subset,
    face_source,
    is_mirrored,
    left_out,
    terms_of,
)
from senet_kp.data_prep.formats.tables import files_in, numbers, slashed
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

_BOX = ("left", "top", "width", "height")
_TAGS = {"occluded": "occlusion", "truncated": "truncated", "difficult": "difficult"}
_BLOCK = 1 << 16  # bytes parsed at a time


class Box(NamedTuple):
    """One <box>: path of the picture, attributes, and parts as (name, x, y); all values are text.

    `attributes` is empty for a picture without a box.
    """

    file: str
    attributes: dict[str, str]
    parts: list[tuple[str, str, str]]


class Imglab(Format):
    """XML files with a box for each face."""

    name = "imglab"
    expects = "an imglab .xml file that names the pictures"
    label_pixels = "stored"

    def recognises(self, root: Path) -> bool:
        return any(map(_is_dataset, files_in(root, ".xml")))

    def find_faces(self, root: Path) -> list[FaceSource]:
        files = [path for path in files_in(root, ".xml") if root.is_file() or _is_dataset(path)]
        if not files:
            raise InputError(f"{root}: no imglab file found; expected {self.expects}")
        names = {part[0] for path in files for box in _faces(path) for part in box.parts}
        numbering = point_numbers(names)
        sources, owner = [], {}
        for path in files:
            faces = Counter()
            for box in _faces(path):
                picture = _picture(path, box)
                if owner.setdefault(picture, path) is not path:
                    raise InputError(
                        f"{path} and {owner[picture]} both label {box.file}: name only one of these"
                        " files with --data"
                    )
                faces[picture] += 1
                sources.append(self._source(root, path, picture, box, faces[picture], numbering))
        if not sources:
            raise InputError(f"{files[0]}: contains no face")
        return sorted(sources, key=lambda source: source.name)

    def _source(
        self, root: Path, path: Path, picture: Path, box: Box, number: int, numbering: dict
    ) -> FaceSource:
        row = {
            "box": [box.attributes.get(key) for key in _BOX],
            "parts": [(numbering[name], x, y) for name, x, y in box.parts],
            "count": max(numbering.values(), default=-1) + 1,
        }
        return face_source(
            self.name,
            path.parent if root.is_file() else root,
            picture,
            path,
            number=number,
            default_subset=path.stem,
            row=json.dumps(row).encode(),
            tags=tuple(tag for key, tag in _TAGS.items() if _is_set(box, key)),
        )

    def is_mirrored(self, source: FaceSource) -> bool:
        return is_mirrored(source.picture)

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = f"{source.label}: a box of {source.name}"
        face = json.loads(data)
        last = max((point for point, *_ in face["parts"]), default=-1)
        if last >= scheme.count:
            raise wrong_count(where, last + 1, scheme)
        if face["count"] < scheme.count:
            raise wrong_count(f"{source.label}", face["count"], scheme)
        landmarks, mask = np.full((scheme.count, 2), np.nan), np.zeros(scheme.count, bool)
        for point, x, y in face["parts"]:
            if mask[point]:
                raise Rejected("part-twice", f"{where} has two parts for point {point}")
            landmarks[point], mask[point] = numbers(where, [x, y]), True
        return checked_label(where, landmarks, mask, scheme, _label_box(where, face["box"]))

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
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
            *left_out(mirrored, "mirrored copies are left out (--flips includes them)"),
            *left_out(ignored, "boxes are marked as ignored and left out"),
            *left_out(bare, "pictures have no box and are left out"),
        ]

    def terms(self, sources: list[FaceSource]) -> str:
        return terms_of(sources)


def parse_imglab(path: Path) -> Iterator[Box]:
    """Yield the boxes of an imglab file, which is read block by block.

    A picture without a box yields a Box without attributes. Raises InputError. Document types, and
    with them entities defined in the file, are refused, because entities can expand without limit.
    The text is read as UTF-8 whatever its declaration, because imglab writes names in the system's
    encoding but declares ISO-8859-1.
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
        raise InputError(f"{path}: not an imglab XML file in UTF-8 ({error})") from None


class _Boxes:
    """XMLParser target that collects the boxes of completed <image> elements."""

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
        """Return the boxes that were completed since the last call."""
        done, self._done = self._done, []
        return done


def format_imglab(pictures, count: int, whole_pixels: bool) -> Iterator[str]:
    """Yield the lines of an imglab file whose faces have `count` points.

    pictures:     pairs of a path for the XML and its faces, [(box [x, y, w, h] by its edges,
                  FaceLabel), ...]
    whole_pixels: round coordinates, because imglab and dlib refuse numbers with a decimal point;
                  otherwise they are exact to 1e-4 px
    """
    from xml.sax.saxutils import quoteattr  # imports urllib, which readers do not need

    digits = max(2, len(str(count - 1)))  # dlib numbers parts in the sorted order of their names
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


def point_numbers(names: set[str]) -> dict[str, int]:
    """Return the number of the point, from 0, for each name of a part in a whole data set."""
    if not all(name.isdecimal() for name in names):
        return {name: number for number, name in enumerate(sorted(names))}
    first = 1 if min(map(int, names), default=0) == 1 else 0
    return {name: int(name) - first for name in names}


def _label_box(where: str, cells: list[str | None]) -> np.ndarray | None:
    """Return the box by its edges, or None if it is incomplete or has no area."""
    if None in cells:
        return None
    box = numbers(where, cells) - (0.5, 0.5, 0, 0)
    return box if np.isfinite(box).all() and (box[2:] > 0).all() else None


def _faces(path: Path) -> Iterator[Box]:
    return (box for box in parse_imglab(path) if box.attributes and not _is_set(box, "ignore"))


def _picture(path: Path, box: Box) -> Path:
    return Path(os.path.normpath(path.parent / slashed(box.file)))


def _is_set(box: Box, key: str) -> bool:
    return box.attributes.get(key, "0").lower() not in ("0", "false")


def _is_dataset(path: Path) -> bool:
    """Return whether the first bytes of a file are those of an imglab file."""
    with open(path, "rb") as file:
        return path.suffix.lower() == ".xml" and b"<dataset" in file.read(4096)


def _needed(tag: str, attributes: dict[str, str], *keys: str) -> tuple[str, ...]:
    if missing := [key for key in keys if key not in attributes]:
        raise ValueError(f"a <{tag}> has no {missing[0]}")
    return tuple(attributes[key] for key in keys)


FORMAT = Imglab()
