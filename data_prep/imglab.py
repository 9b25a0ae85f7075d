"""python -m data_prep.imglab 300W_LP --out faces.xml

Writes labelled faces as imglab's XML, for dlib's own trainer and for imglab: of a data set in any
format that preparation reads, naming its pictures; or of a record folder, whose crops are written
to a folder beside the XML. Boxes are the face boxes. Exit codes: 0 done, 2 unusable arguments,
3 the data cannot be read, 5 no face can be used, 6 the result cannot be written.
"""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.config import AUTO, FormatName, Points, PrepareConfig, check
from senet_kp.data_prep.crop_record import CropRule, labelled_face
from senet_kp.data_prep.data_sets import scan_all
from senet_kp.data_prep.formats.face_sample import FaceLabel, Rejected
from senet_kp.data_prep.formats.imglab_xml import format_imglab
from senet_kp.data_prep.recognise import with_formats
from senet_kp.face.facebox import BoxRule, to_absolute, widened
from senet_kp.tfrecords.errors import CheckError, UserError, exit_code_of
from senet_kp.tfrecords.files import write_bytes
from senet_kp.tfrecords.shards import MANIFEST, SIDES, read_manifest, read_records

_UNREADABLE = re.compile("[<>&'\"]")  # dlib takes names as they stand, and knows no &amp;


@dataclass(frozen=True)
class WriterConfig:
    data: Annotated[Path, tyro.conf.Positional]
    """data set, or folder of records"""
    out: Path = Path("out/faces.xml")
    """the XML file"""
    side: str = ""
    """of a record folder: train, val or test; by default all"""
    format: FormatName = AUTO
    """how a data set is laid out, as in preparation"""
    scheme: str = ""
    """landmark scheme of a data set, as in preparation"""
    points: Points = ""
    flips: bool = False
    """take mirrored copies too"""
    box: BoxRule = field(default_factory=BoxRule)
    """of a data set; records have theirs"""
    whole_pixels: bool = True
    """round places, because dlib and imglab refuse numbers with a decimal point"""


def write_imglab(config: WriterConfig) -> int:
    """Write the file; return how many faces it holds."""
    if config.out.suffix != ".xml":
        raise UserError(f"{config.out}: --out ends in .xml")
    records = (config.data / MANIFEST).is_file()
    if config.side not in ("", *SIDES) or (config.side and not records):
        raise UserError(f"--side is {', '.join(SIDES)}, of a folder of records")
    count, found = _of_records(config) if records else _of_data_set(config)
    pictures = list(found)
    _check_names(pictures if config.whole_pixels else [])
    faces = sum(len(of_one) for _, of_one in pictures)
    if not faces:
        raise CheckError(f"{config.data}: no face to write")
    text = "\n".join(format_imglab(pictures, count, config.whole_pixels))
    write_bytes(config.out, text.encode() + b"\n")
    print(f"{config.out}: {faces:,} faces of {count} points")
    return faces


def _check_names(pictures):
    for file, _ in pictures:
        if _UNREADABLE.search(file):
            raise UserError(f"{file}: dlib reads no name with <, >, &, ' or \" in it; rename it")


def _of_data_set(config: WriterConfig) -> tuple[int, Iterator]:
    """Points a face, and the pictures with their boxes and labels."""
    asked = PrepareConfig(
        data=(config.data,),
        format=(config.format,),
        scheme=config.scheme,
        points=config.points,
        flips=config.flips,
        box=config.box,
    )
    check(asked)
    asked = with_formats(asked)
    (data_set,) = scan_all(asked)
    print(data_set.survey())
    scheme = asked.landmark_scheme
    rule = CropRule(config.box, asked.context, asked.jpeg_quality, scheme)
    return scheme.count, _labelled(data_set.sources, rule, config.out.parent)


def _labelled(sources, rule: CropRule, folder: Path) -> Iterator:
    """Each picture's path from `folder` on, and its faces; prints how many cannot be used."""
    pictures, rejects = {}, []
    for source in tqdm(sources, unit="picture", disable=None):
        try:
            if source.cell is not None:
                raise Rejected("no-file", "stands in a table; make records and write those")
            if not source.picture.is_file():
                raise Rejected("missing", "no such file")
            face = labelled_face(source, rule)
        except Rejected as error:
            rejects.append(f"{source.picture}: {error}")
            continue
        pictures.setdefault(source.picture, []).append(face)
    if rejects:
        print(f"{len(rejects):,} faces cannot be used and are left out, the first: {rejects[0]}")
    for picture, faces in pictures.items():
        yield Path(os.path.relpath(picture, folder)).as_posix(), faces


def _of_records(config: WriterConfig) -> tuple[int, Iterator]:
    manifest = read_manifest(config.data)
    return manifest["scheme"]["landmarks"], _crops(config, manifest)


def _crops(config: WriterConfig, manifest: dict) -> Iterator:
    """Each stored crop, written to <out>/<group>/<number>.jpg, with its one face."""
    stored, size = manifest["stored_px"], manifest["box"]["size_px"]
    box = widened(np.array([-0.5, -0.5, stored, stored]), size / stored)
    sides = [config.side] if config.side else [s for s in SIDES if s in manifest["sides"]]
    total = sum(manifest["sides"][side]["records"] for side in sides)
    records = (r for side in sides for r in read_records(config.data, manifest, side))
    for number, record in enumerate(tqdm(records, total=total, unit="picture", disable=None)):
        # Names of digits in a folder are one group to the reader: groups stay what they are.
        group = re.sub(r"[^\w/-]", "_", record.group).strip("/")
        file = f"{config.out.stem}/{group}/{number:06d}.jpg"
        write_bytes(config.out.parent / file, record.jpeg)
        landmarks = to_absolute(record.landmarks, box)
        yield file, [(box, FaceLabel(landmarks, record.mask > 0, record.pose))]


def main():
    """The command line."""
    config = tyro.cli(WriterConfig, prog="python -m data_prep.imglab", description=__doc__)
    write_imglab(config)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
