"""senet-kp imglab 300W_LP --out faces.xml

Convert labelled faces to imglab XML, which dlib's trainer and the annotation tool imglab read. The
input is a data set in any format that `senet-kp prepare` reads, whose pictures the XML refers to,
or a record folder, whose crops are written to a folder with the name of the XML file. The boxes in
the XML are the face boxes.
Exit codes: 0 done, 2 unusable arguments, 3 the data cannot be read, 5 no face can be used, 6 the
result cannot be written.
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

from senet_kp.data_prep.config import AUTO, FormatName, Points, PrepareConfig, check, crop_rule
from senet_kp.data_prep.crop_record import labelled_face
from senet_kp.data_prep.crop_rule import CropRule, LabelPixels
from senet_kp.data_prep.data_sets import scan_all
from senet_kp.data_prep.formats.face_sample import FaceLabel, Rejected
from senet_kp.data_prep.formats.imglab_xml import format_imglab
from senet_kp.data_prep.recognise import with_formats
from senet_kp.face.facebox import BoxRule, to_absolute, widened
from senet_kp.face.pictures import BadPicture, stored_picture, write_picture
from senet_kp.tfrecords.errors import CheckError, UserError, exit_code_of
from senet_kp.tfrecords.files import write_bytes
from senet_kp.tfrecords.shards import MANIFEST, read_manifest, read_records
from senet_kp.tfrecords.sides import SIDES, Side

_UNREADABLE = re.compile("[<>&'\"]")  # dlib does not decode XML entities such as &amp; in names


@dataclass(frozen=True)
class WriterConfig:
    data: Annotated[Path, tyro.conf.Positional]
    """data set or record folder"""
    out: Path = Path("out/faces.xml")
    """the XML file"""
    side: Side | None = None
    """side of the split of a record folder; the default is all sides"""
    format: FormatName = AUTO
    """format of a data set, as for `senet-kp prepare`"""
    scheme: str = ""
    """landmark scheme of a data set, as for `senet-kp prepare`"""
    points: Points = ""
    """labels of a data set to use, as for `senet-kp prepare`"""
    flips: bool = False
    """include mirrored copies"""
    box: BoxRule = field(default_factory=BoxRule)
    """box rule for a data set; a record folder has its own"""
    label_pixels: LabelPixels = "format"
    """where the labels of a data set lie, as for `senet-kp prepare`; those of the XML lie in stored
    pixels, which dlib and imglab see"""
    whole_pixels: bool = True
    """round coordinates, because dlib and imglab do not accept numbers with a decimal point"""


def write_imglab(config: WriterConfig) -> int:
    """Write the XML file; return the number of faces in it."""
    if config.out.suffix != ".xml":
        raise UserError(f"{config.out}: --out needs a name that ends in .xml")
    if config.box.source == "picture":
        raise UserError("--box.source picture: imglab's boxes are of faces; use another source")
    records = (config.data / MANIFEST).is_file()
    if config.side and not records:
        raise UserError(f"{config.data}: --side needs a folder of records with a {MANIFEST}")
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
            raise UserError(
                f"{file}: dlib cannot read a name with <, >, &, ' or \" in it; rename the file"
            )


def _of_data_set(config: WriterConfig) -> tuple[int, Iterator]:
    """Return the number of landmarks, and an iterator over pictures with their boxes and labels."""
    asked = PrepareConfig(
        data=(config.data,),
        format=(config.format,),
        scheme=config.scheme,
        points=config.points,
        flips=config.flips,
        box=config.box,
        label_pixels=config.label_pixels,
    )
    check(asked)
    asked = with_formats(asked)
    (data_set,) = scan_all(asked)
    print(data_set.survey())
    rule = crop_rule(asked)
    return rule.scheme.count, _labelled(data_set.sources, rule, config.out.parent)


def _labelled(sources, rule: CropRule, folder: Path) -> Iterator:
    """Yield the path of each picture relative to `folder`, and its faces.

    Prints how many faces cannot be used.
    """
    pictures, rejects = {}, []
    for source in tqdm(sources, unit="picture", disable=None):
        try:
            if source.cell is not None:
                raise Rejected(
                    "no-file",
                    "the picture is inside another file; prepare records and convert those",
                )
            face = labelled_face(source, rule)
        except (Rejected, BadPicture) as error:
            where = "" if str(error).startswith(str(source.picture)) else f"{source.picture}: "
            rejects.append(f"{where}{error}")
            continue
        pictures.setdefault(source.picture, []).append(face)
    if rejects:
        print(f"{len(rejects):,} faces cannot be used and are left out; the first: {rejects[0]}")
    for picture, faces in pictures.items():
        yield Path(os.path.relpath(picture, folder)).as_posix(), faces


def _of_records(config: WriterConfig) -> tuple[int, Iterator]:
    manifest = read_manifest(config.data)
    return manifest["scheme"]["landmarks"], _crops(config, manifest)


def _crops(config: WriterConfig, manifest: dict) -> Iterator:
    """Write each crop to <out>/<group>/frames/<number>.jpg; yield its path and its one face."""
    stored, size = manifest["stored_px"], manifest["box"]["size_px"]
    box = widened(np.array([-0.5, -0.5, stored, stored]), size / stored)
    sides = [config.side] if config.side else [s for s in SIDES if s in manifest["sides"]]
    total = sum(manifest["sides"][side]["records"] for side in sides)
    records = (r for side in sides for r in read_records(config.data, manifest, side))
    for number, record in enumerate(tqdm(records, total=total, unit="picture", disable=None)):
        # The imglab reader takes numbered files in a folder frames/ as one group: groups survive.
        group = re.sub(r"[^\w/-]", "_", record.group).strip("/")
        file = f"{config.out.stem}/{group}/frames/{number:06d}.jpg"
        path = config.out.parent / file
        if record.encoding == "jpeg":
            write_bytes(path, record.picture)
        else:
            write_picture(path, stored_picture(record.picture, record.name, record.encoding))
        landmarks = to_absolute(record.landmarks, box)
        yield file, [(box, FaceLabel(landmarks, record.mask > 0, record.pose))]


def main():
    config = tyro.cli(WriterConfig, prog="senet-kp imglab", description=__doc__)
    write_imglab(config)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
