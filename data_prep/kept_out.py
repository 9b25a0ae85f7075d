"""Faces that stay out of the records because others keep them for evaluation (`--keep-out`)."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.files import sha256_of_lines
from senet_kp.tfrecords.fingerprints import (
    Fingerprints,
    Meeting,
    crop_of,
    fingerprints_of,
    hash_bits,
    meetings,
    read_fingerprints,
)
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.tfrecords.sides import SIDES

REASON = "kept-out"  # in rejects.csv


@lru_cache(maxsize=1)
def kept_faces(folders: tuple[Path, ...]) -> Fingerprints:
    """The fingerprints of all faces in record folders. Raises InputError if one is unreadable."""
    parts = [read_fingerprints(folder, SIDES) for folder in folders]
    return Fingerprints(
        [name for part in parts for name in part.names],
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.hashes for part in parts]),
    )


def check_kept_out(rule: CropRule):
    """Raise UserError if a record folder of --keep-out crops faces differently from the rule.

    Raises InputError if one cannot be read.
    """
    ours = crop_of({"box": asdict(rule.box), "stored_px": rule.stored_px})
    for folder in rule.keep_out:
        theirs = crop_of(read_manifest(folder))
        if theirs != ours:
            raise UserError(
                f"--keep-out {folder}: its faces are cropped differently ({theirs}, here {ours}),"
                " so their pictures cannot be compared; prepare it with the same --box and"
                " --context"
            )
    if rule.keep_out:
        kept_faces(rule.keep_out)


def kept_out_state(folders: tuple[Path, ...]) -> str:
    """A hash of the faces in record folders, which changes when one is kept out or no more."""
    return sha256_of_lines(read_manifest(folder).get("split_sha256", "") for folder in folders)


def kept_face(folders, name: str, group: str, file: str, phash: str) -> Meeting | None:
    """The match of a record's face with one in the folders, by name, file, picture or group.

    file:  SHA-256 of the stored picture
    phash: its perceptual hash, as hexadecimal digits
    """
    if not folders:
        return None
    face = fingerprints_of([name], [group], [file], hash_bits([phash]))
    found = meetings(face, kept_faces(folders))
    return found[0] if found else None
