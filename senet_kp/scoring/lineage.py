"""What a model learned from: the records of its training and of those that it started from.

The settings of a training contain, under "before", those of the training or the frozen graph that
it was initialised from, and so on. These functions look for the record folders and graphs where
the settings name them, and use them only if their SHA-256 is the one in the settings.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from senet_kp.inference.model_card import read_card
from senet_kp.inference.pretrained import SHIPPED
from senet_kp.scoring.fingerprint_file import (
    LearnedFaces,
    faces_of_folder,
    has_fingerprints,
    read_faces,
)
from senet_kp.tfrecords.errors import InputError, ModelError
from senet_kp.tfrecords.files import sha256_of_file
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.tfrecords.sides import trained_sides

UNKNOWN = "unknown"  # used instead of the SHA-256 of records that the settings do not identify
INHERITED = "a model trained on them inherits that"
NO_TERMS = "none known"


def trainings(settings: dict | None) -> Iterator[dict]:
    """The settings of a training, then of the one that it was initialised from, and so on.

    Public weights of a trunk are no training here: they learned to name objects, not landmarks.
    """
    while settings and "trunk_sha256" not in settings:
        yield settings
        settings = settings.get("before")


def trained_records(settings: dict | None) -> dict[str, tuple[str, ...]]:
    """{SHA-256 of a record folder: its sides} that a training learned from, by its settings.

    Includes the trainings that it was initialised from. Empty without settings.
    """
    found = {}
    for step in trainings(settings):
        records = step.get("records_sha256", UNKNOWN)
        sides = trained_sides(step.get("train_on_val", False))
        found[records] = tuple(sorted({*found.get(records, ()), *sides}))
    return found


def learned_faces(settings: dict, folders: dict[str, Path]) -> dict[str, LearnedFaces]:
    """{SHA-256 of a record folder: faces of it} that a training learned from.

    folders: {SHA-256: record folder} where these are known. Contains only the faces of records that
    still exist, and those in the fingerprints of the frozen graphs that trainings started from.
    """
    wanted, found = trained_records(settings), {}
    for step in trainings(settings):
        records = step.get("records_sha256", UNKNOWN)
        folder = _folder_of(step, folders)
        if records not in found and folder and has_fingerprints(folder):
            found[records] = faces_of_folder(folder, wanted[records])
        if graph := _initial_graph(step):
            found = read_faces(*graph) | found
    return found


def missing_records(wanted: dict[str, tuple[str, ...]], learned: dict) -> list[str]:
    """The SHA-256 of those records of `wanted` of which `learned` lacks a side."""
    return [
        records
        for records, sides in wanted.items()
        if records not in learned or not {*sides} <= {*learned[records].sides}
    ]


def terms_of_training(settings: dict, folders: dict[str, Path]) -> str:
    """The terms of use of a model, which are those of all pictures that it learned from.

    folders: as in `learned_faces`. The terms of a graph that a training started from are those in
    its model card.
    """
    known, told = [], False  # told: by the card of a graph that learned from the records
    for step in trainings(settings):
        if folder := _folder_of(step, folders):
            known += [source["terms"] for source in read_manifest(folder)["sources"]]
        elif "records_sha256" in step and not told:
            known.append(f"the terms of the records {step['records_sha256'][:12]} are not known")
        elif "graph_sha256" in step and not told:
            known.append(f"the terms of the graph {step['graph_sha256'][:12]} are not known")
        if graph := _initial_graph(step):
            told = True
            known += graph[1].get("terms", NO_TERMS).split("; ")
    known = dict.fromkeys(terms for terms in known if terms not in (None, "", NO_TERMS, INHERITED))
    return "; ".join([*known, INHERITED]) if known else NO_TERMS


def _folder_of(step: dict, folders: dict[str, Path]) -> Path | None:
    """The record folder of a training, in `folders` or where its settings name it."""
    records = step.get("records_sha256", UNKNOWN)
    if records in folders or "records" not in step:
        return folders.get(records)
    try:
        same = read_manifest(step["records"])["records_sha256"] == records
    except InputError:
        return None
    return Path(step["records"]) if same else None


def _initial_graph(step: dict) -> tuple[Path, dict] | None:
    """The frozen graph that a training started from, with its card; None if one of them is gone."""
    digest = (step.get("before") or {}).get("graph_sha256")
    for path in (Path(step.get("init_from", "")), *SHIPPED.values()) if digest else ():
        if path.is_file() and sha256_of_file(path) == digest:
            with suppress(ModelError):
                return path, read_card(path)
    return None
