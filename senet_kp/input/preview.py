"""python -m senet_kp.preview --records out/tfrecords --out out/preview.png

Draws training pictures as the network sees them, augmented, with their points: a row for every
face, the face itself first. Takes the training's --augment.* flags.
Exit codes: 0 done, 2 unusable arguments, 3 the records cannot be read, 6 no place to write.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from senet_kp.face.draw import GREEN, contact_sheet, drawn_face
from senet_kp.face.pictures import decode_picture, write_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.input.augment import AugmentConfig, Augmenter
from senet_kp.input.crops import central_crop
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.shards import read_manifest, read_records

ENLARGED = 2


@dataclass(frozen=True)
class PreviewConfig:
    records: Path = Path("out/tfrecords")
    """record folder"""
    out: Path = Path("out/preview.png")
    """the sheet"""
    faces: int = 6
    """rows"""
    versions: int = 7
    """augmented versions of each face"""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0
    """of the augmentation, as in training"""


def preview(config: PreviewConfig):
    """Write the sheet; its versions are those of the training's first epochs."""
    if config.faces < 1 or config.versions < 1:
        raise UserError("--faces and --versions are at least 1")
    manifest = read_manifest(config.records)
    scheme = scheme_of(manifest)
    augmenter = Augmenter(manifest, config.seed, config.augment)
    pictures = []
    for record in read_records(config.records, manifest, "train", config.faces):
        plain = central_crop(decode_picture(record.jpeg, record.name), augmenter.size_px)
        pictures.append(_drawn(plain, record.landmarks, record.mask, scheme))
        fields = (record.jpeg, record.landmarks, record.mask, record.name.encode())
        for epoch in range(config.versions):
            pictures.append(_drawn(*augmenter.sample(*fields, epoch)[:3], scheme))
    if not pictures:
        raise InputError(f"{config.records}: no face on the train side to draw")
    write_picture(config.out, contact_sheet(pictures, 1 + config.versions))


def _drawn(image, landmarks, mask, scheme):
    return drawn_face(image, [(landmarks[mask > 0], GREEN)], scheme, ENLARGED)


def main():
    config = tyro.cli(PreviewConfig, prog="python -m senet_kp.preview", description=__doc__)
    preview(config)
    print(config.out)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
