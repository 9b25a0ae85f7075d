"""The check that a model is not scored on faces that it was trained on.

A model identifies the records it was trained on by their SHA-256 only, so the check needs the
record folders themselves. If a model is scored on its own records, its train and test sides share
no group, because data preparation splits by group. Other records may contain the same pictures
under other names: the IBUG subset of 300W-LP is the whole challenging part of the 300-W test set,
and AFW, HELEN and LFPW are the rest of it.
"""

import sys
from collections import Counter
from pathlib import Path

from senet_kp.scoring.config import ScoringConfig
from senet_kp.tfrecords.errors import CheckError, UserError
from senet_kp.tfrecords.fingerprints import (
    ALIKE_BITS,
    Meeting,
    meetings,
    read_fingerprints,
    require_same_crops,
)
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.tfrecords.sides import trained_sides

SHOWN = 3  # faces that a message names
UNKNOWN = "unknown"  # used instead of the SHA-256 of records that the model does not identify


def trained_records(settings: dict | None) -> dict[str, tuple[str, ...]]:
    """{SHA-256 of a record folder: its sides} that a training learned from, by its settings.

    Includes the trainings that it was initialised from, recursively. Empty without settings.
    """
    found = {}
    while settings:
        records = settings.get("records_sha256", UNKNOWN)
        sides = trained_sides(settings.get("train_on_val", False))
        found[records] = tuple(sorted({*found.get(records, ()), *sides}))
        settings = settings.get("before")
    return found


def check_overlap(models, config: ScoringConfig, manifest: dict) -> list[dict]:
    """The "overlap" entry of each Model's scores: the scored faces that it was trained on.

    manifest: of config.records. Prints a warning for training records whose folder is not known.
    Raises CheckError if a model was trained on scored faces, unless config.allow_overlap is set,
    and UserError if config.trained_on names records that no model was trained on.
    """
    folders = {read_manifest(path)["records_sha256"]: path for path in config.trained_on}
    known = {records for model in models for records in model.trained_on}
    if all(model.trained_on for model in models) and (unrelated := folders.keys() - known):
        path = folders[min(unrelated)]
        raise UserError(
            f"--trained-on {path}: these are not the records that the model was trained on; name"
            " the record folder of its training"
        )
    return [_overlap_of(model, config, manifest, folders) for model in models]


def comparison(scored_folder, scored_sides, trained_folder, trained_sides) -> list[Meeting]:
    """The faces in some sides of one record folder that are also in some sides of another."""
    require_same_crops(scored_folder, trained_folder)
    scored = read_fingerprints(scored_folder, scored_sides)
    return meetings(scored, read_fingerprints(trained_folder, trained_sides))


def _overlap_of(model, config: ScoringConfig, manifest: dict, folders: dict[str, Path]) -> dict:
    own, found, missing = manifest["records_sha256"], {}, []
    # A model without a card is assumed to be trained on the train sides of --trained-on.
    trained_on = model.trained_on or dict.fromkeys(folders, ("train",)) or {UNKNOWN: ("train",)}
    for records, sides in trained_on.items():
        if records in folders:
            shared = comparison(config.records, (config.side,), folders[records], sides)
            found |= {meeting.name: meeting for meeting in shared}
        elif records == own:
            found |= _faces_of_trained_side(config, sides)
        else:
            missing.append(records)
    faces = manifest["sides"][config.side]["records"]
    if found and not config.allow_overlap:
        raise CheckError(_refusal(model, config, list(found.values()), faces))
    if missing:
        print(_warning(model, missing), file=sys.stderr)
    return {
        "faces": len(found),
        "by": dict(sorted(Counter(meeting.by for meeting in found.values()).items())),
        "first": [meeting.name for meeting in list(found.values())[:SHOWN]],
        "compared_with": [records for records in trained_on if records not in missing],
        "not_compared_with": missing,
        "alike_bits": ALIKE_BITS,
    }


def _faces_of_trained_side(config: ScoringConfig, sides) -> dict[str, Meeting]:
    """All faces of the scored side if it is one of the trained sides, otherwise none."""
    if config.side not in sides:
        return {}
    names = read_fingerprints(config.records, (config.side,)).names
    return {name: Meeting(name, name, "name", 0) for name in names}


def _refusal(model, config: ScoringConfig, found: list[Meeting], faces: int) -> str:
    first = ", ".join(
        meeting.name if meeting.name == meeting.other else f"{meeting.name} ({meeting.other})"
        for meeting in found[:SHOWN]
    )
    more = ", ..." if len(found) > SHOWN else ""
    return (
        f"{config.records}: {model.path} was trained on {len(found):,} of the {faces:,} faces of"
        f" the {config.side} side: {first}{more}; score other faces, or pass --allow-overlap"
    )


def _warning(model, missing: list[str]) -> str:
    names = ", ".join("unknown records" if r == UNKNOWN else f"SHA-256 {r[:12]}" for r in missing)
    return (
        f"warning: {model.path} was trained on records that were not checked for the scored faces"
        f" ({names}); pass their folder with --trained-on"
    )
