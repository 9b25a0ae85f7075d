"""senet-kp preview --records out/tfrecords --out out/preview.png

Draws training pictures with their landmarks as the network receives them after augmentation. Each
row shows one face: first without augmentation, then in several augmented versions. The
augmentation is by default that of the recipe of --net; the --augment.* flags are the same as those
of `senet-kp train`. A second picture, <name>-landmarks.png, shows the distribution of every
landmark's x and y in the train split.
Exit codes: 0 success, 2 invalid arguments, 3 the records cannot be read, 6 the output cannot be
written.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from senet_kp.face.draw import GREEN, contact_sheet, drawn_face
from senet_kp.face.pictures import stored_picture, write_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.input.augment import AugmentConfig, Augmenter, augment_recipe
from senet_kp.input.crops import central_crop, load_labels
from senet_kp.input.distributions import write_distributions
from senet_kp.nets import DEFAULT_NETWORK, NetName, net_of_command_line
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.shards import read_manifest, read_records

ENLARGED = 2


@dataclass(frozen=True)
class PreviewConfig:
    records: Path = Path("out/tfrecords")
    """record folder"""
    out: Path = Path("out/preview.png")
    """picture to write"""
    net: NetName = DEFAULT_NETWORK
    """network whose recipe determines the augmentation, unless flags change it"""
    faces: int = 6
    """number of faces, one per row"""
    versions: int = 7
    """number of augmented versions of each face"""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0
    """seed of the augmentation, as in training"""


def preview(config: PreviewConfig) -> tuple[Path, Path]:
    """Write both pictures and return their paths.

    The augmented versions are those of the first epochs of a training. Raises UserError for
    numbers below 1, and InputError if the train split is empty.
    """
    if config.faces < 1 or config.versions < 1:
        raise UserError("--faces and --versions must be at least 1")
    manifest = read_manifest(config.records)
    scheme = scheme_of(manifest)
    augmenter = Augmenter(manifest, config.seed, config.augment)
    pictures = []
    for record in read_records(config.records, manifest, "train", config.faces):
        stored = stored_picture(record.picture, record.name, record.encoding)
        plain = central_crop(stored, augmenter.size_px)
        pictures.append(_drawn(plain, record.landmarks, record.mask, scheme))
        fields = (record.picture, record.landmarks, record.mask, record.name.encode())
        for epoch in range(config.versions):
            pictures.append(_drawn(*augmenter.sample(*fields, epoch)[:3], scheme))
    if not pictures:
        raise InputError(f"{config.records}: no face on the train side to draw")
    write_picture(config.out, contact_sheet(pictures, 1 + config.versions))
    distributions = config.out.with_name(f"{config.out.stem}-landmarks.png")
    write_distributions(distributions, load_labels(config.records, manifest, "train"), scheme)
    return config.out, distributions


def _drawn(image, landmarks, mask, scheme):
    return drawn_face(image, [(landmarks[mask > 0], GREEN)], scheme, ENLARGED)


def main():
    net = net_of_command_line()
    config = tyro.cli(
        PreviewConfig,
        prog="senet-kp preview",
        description=__doc__,
        default=PreviewConfig(net=net, augment=augment_recipe(net)),
    )
    for path in preview(config):
        print(path)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
