"""The fingerprints of the faces that a model learned from, in a file beside its model card.

`senet.fingerprints` holds rows of `tfrecords.fingerprints.pack`, and the entry "fingerprints" of
the card `senet.json` describes it: its size and SHA-256, and for each record folder that the model
learned from, in the order of the rows, the folder's SHA-256, its sides, the number of faces and how
the faces were cropped. A model runs without this file; the file lets `evaluate`, `report` and
`overlap` find out without the record folders whether a model was trained on the faces they score.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senet_kp.tfrecords.errors import ModelError
from senet_kp.tfrecords.files import sha256_of_file, write_bytes
from senet_kp.tfrecords.fingerprints import (
    Fingerprints,
    crop_of,
    pack,
    read_fingerprints,
    unpack,
)
from senet_kp.tfrecords.shards import read_manifest

SUFFIX = ".fingerprints"
ENTRY = "fingerprints"  # the key of the model card


@dataclass(frozen=True)
class LearnedFaces:
    """The faces of some sides of one record folder, from which a model learned.

    crop: how the faces were cropped, see `tfrecords.fingerprints.crop_of`
    """

    sides: tuple[str, ...]
    crop: str
    fingerprints: Fingerprints


def has_fingerprints(folder: Path) -> bool:
    """Whether a record folder has fingerprints; the folds of a cross-validation have none."""
    return "split_sha256" in read_manifest(folder)


def faces_of_folder(folder: Path, sides) -> LearnedFaces:
    """The faces of a record folder; raises InputError if it contains no fingerprints."""
    crop = crop_of(read_manifest(folder))
    return LearnedFaces(tuple(sides), crop, read_fingerprints(folder, sides))


def fingerprints_path(model: Path) -> Path:
    """The path of the fingerprints of a frozen graph or a dlib shape predictor."""
    return Path(model).with_suffix(SUFFIX)


def packed_faces(learned: dict[str, LearnedFaces]) -> tuple[bytes, dict]:
    """The bytes of the file, and its entry in the model card.

    learned: {SHA-256 of a record folder: faces of it}
    """
    every = [faces.fingerprints for faces in learned.values()]
    data = pack(
        Fingerprints(
            names=[name for part in every for name in part.names],
            keys=np.concatenate([part.keys for part in every]),
            hashes=np.concatenate([part.hashes for part in every]),
        )
    )
    folders = [
        {
            "sha256": records,
            "sides": faces.sides,
            "faces": len(faces.fingerprints),
            "crop": faces.crop,
        }
        for records, faces in learned.items()
    ]
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "records": folders}
    return data, entry


def write_fingerprints(model: Path, learned: dict) -> dict:
    """Write the fingerprints of LearnedFaces beside a model; return their part of its card.

    Without any faces, nothing is written and the part is empty.
    """
    if not learned:
        return {}
    data, entry = packed_faces(learned)
    write_bytes(fingerprints_path(model), data)
    return {ENTRY: entry}


def read_faces(model: Path, card: dict | None) -> dict[str, LearnedFaces]:
    """{SHA-256 of a record folder: faces of it} that a model learned from.

    model: a frozen graph, a file exported from one, or a dlib shape predictor, with the file in the
    same folder under any name that ends in SUFFIX. Empty if the card names no such file or it is
    not there. Raises ModelError if the file that belongs to the model by its name was altered.
    """
    entry = (card or {}).get(ENTRY)
    if not entry:
        return {}
    path = _file_with(entry["sha256"], model)
    if path is None:
        return {}
    every = unpack(path.read_bytes())
    ends = np.cumsum([folder["faces"] for folder in entry["records"]]).tolist()
    found = {}
    for folder, end in zip(entry["records"], ends, strict=True):
        rows = slice(end - folder["faces"], end)
        part = Fingerprints(every.names[rows], every.keys[rows], every.hashes[rows])
        found[folder["sha256"]] = LearnedFaces(tuple(folder["sides"]), folder["crop"], part)
    return found


def _file_with(digest: str, model: Path) -> Path | None:
    """The file with this SHA-256 in the folder of a model."""
    paths = sorted(model.absolute().parent.glob(f"*{SUFFIX}"))
    for path in paths:
        if sha256_of_file(path) == digest:
            return path
    if (own := fingerprints_path(model.absolute())) in paths:
        raise ModelError(
            f"{own}: altered, or not the file that the model card describes; copy it again, or"
            " delete it to go on without the fingerprints"
        )
    return None
