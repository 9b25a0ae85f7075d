"""Whether a model is scored on pictures that it was trained on.

A model says by hash which records it learned from, and never what was in them, so the check needs
the record folders. Where the scored records are the model's own, their sides share no group, which
preparation proved. Other records may hold the same pictures under other names: 300W-LP's IBUG is
the whole challenging part of the 300-W test set, AFW, HELEN and LFPW the rest of it.
"""

import sys
from collections import Counter
from pathlib import Path

from senet_kp.tfrecords.errors import CheckError, UserError
from senet_kp.tfrecords.fingerprints import (
    ALIKE_BITS,
    Meeting,
    meetings,
    read_fingerprints,
    require_same_crops,
)
from senet_kp.tfrecords.shards import read_manifest, trained_sides

SHOWN = 3  # faces that are named
UNKNOWN = "unknown"  # stands for the hash of records that nothing tells


def trained_records(settings: dict | None) -> dict[str, tuple[str, ...]]:
    """{SHA-256 of a record folder: its sides} that a training learned from, by its settings.

    It goes back along what the training started from. Empty where nothing is known.
    """
    found = {}
    while settings:
        records = settings.get("records_sha256", UNKNOWN)
        sides = trained_sides(settings.get("train_on_val", False))
        found[records] = tuple(sorted({*found.get(records, ()), *sides}))
        settings = settings.get("before")
    return found


def check_overlap(models, config, manifest: dict) -> list[dict]:
    """For each Model what "overlap" says in its result: which scored faces it was trained on.

    config: its records and side are scored, its trained_on names record folders of trainings.
    Raises CheckError where there are such faces, unless config.allow_overlap, and UserError for
    records that no model was trained on.
    """
    folders = {read_manifest(path)["records_sha256"]: path for path in config.trained_on}
    known = {records for model in models for records in model.trained_on}
    if all(model.trained_on for model in models) and (strange := folders.keys() - known):
        path = folders[min(strange)]
        raise UserError(f"--trained-on {path}: not the records that the model was trained on")
    return [_checked(model, config, manifest, folders) for model in models]


def comparison(scored_folder, scored_sides, trained_folder, trained_sides) -> list[Meeting]:
    """The faces of some sides of one record folder that stand in another's too."""
    require_same_crops(scored_folder, trained_folder)
    scored = read_fingerprints(scored_folder, scored_sides)
    return meetings(scored, read_fingerprints(trained_folder, trained_sides))


def _checked(model, config, manifest: dict, folders: dict[str, Path]) -> dict:
    own, found, missing = manifest["records_sha256"], {}, []
    trained_on = model.trained_on or dict.fromkeys(folders, ("train",)) or {UNKNOWN: ("train",)}
    for records, sides in trained_on.items():
        if records in folders:
            met = comparison(config.records, (config.side,), folders[records], sides)
            found |= {meeting.name: meeting for meeting in met}
        elif records == own:
            found |= _of_a_trained_side(config, sides)
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


def _of_a_trained_side(config, sides) -> dict[str, Meeting]:
    """All faces of the scored side where the model was trained on it, none of any other."""
    if config.side not in sides:
        return {}
    names = read_fingerprints(config.records, (config.side,)).names
    return {name: Meeting(name, name, "name", 0) for name in names}


def _refusal(model, config, found: list[Meeting], faces: int) -> str:
    first = ", ".join(
        meeting.name if meeting.name == meeting.other else f"{meeting.name} ({meeting.other})"
        for meeting in found[:SHOWN]
    )
    more = ", ..." if len(found) > SHOWN else ""
    return (
        f"{config.records}: {model.path} was trained on {len(found):,} of the {faces:,} faces of"
        f" the {config.side} side: {first}{more}; score it on others, or give --allow-overlap"
    )


def _warning(model, missing: list[str]) -> str:
    which = ", ".join("records that are not known" if r == UNKNOWN else r[:12] for r in missing)
    return (
        f"{model.path}: trained on other records ({which}), which these faces were not compared"
        " with; name their folder with --trained-on"
    )
