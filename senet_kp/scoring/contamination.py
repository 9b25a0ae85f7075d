"""The check that a model is not scored on faces that it was trained on.

A model identifies the records it was trained on by their SHA-256. The faces themselves are known
from the file of fingerprints beside the model, or from the record folders that --trained-on names.
If a model is scored on its own records, its train and test sides share no group, because data
preparation splits by group. Other records may contain the same pictures under other names: the IBUG
subset of 300W-LP is the whole challenging part of the 300-W test set, and AFW, HELEN and LFPW are
the rest of it.
"""

import sys
from collections import Counter
from pathlib import Path

from senet_kp.inference.model_card import find_card
from senet_kp.scoring.config import ScoringConfig
from senet_kp.scoring.fingerprint_file import SUFFIX, LearnedFaces, has_fingerprints, read_faces
from senet_kp.scoring.lineage import UNKNOWN, missing_records, trained_records
from senet_kp.tfrecords.errors import CheckError, InputError, ModelError, UserError
from senet_kp.tfrecords.fingerprints import (
    ALIKE_BITS,
    Meeting,
    crop_of,
    meetings,
    read_fingerprints,
    require_same_crops,
)
from senet_kp.tfrecords.shards import read_manifest

SHOWN = 3  # faces that a message names


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


def comparison_with_learned(scored_folder, scored_sides, learned: LearnedFaces) -> list[Meeting]:
    """The faces in some sides of a record folder that a model learned, by its fingerprints.

    If the folder crops faces differently, they are compared by name, file and group only.
    """
    scored = read_fingerprints(scored_folder, scored_sides)
    return meetings(scored, learned.fingerprints, _crops_alike(scored_folder, learned))


def comparison_with_model(scored_folder, scored_sides, model: Path) -> list[Meeting]:
    """The faces in some sides of a record folder that a model learned.

    Raises ModelError if the model has no fingerprints of all its training faces.
    """
    card = find_card(model)
    learned = read_faces(model, card)
    settings = card.get("training", {}).get("settings") if card else None
    if not learned or missing_records(trained_records(settings), learned):
        raise ModelError(
            f"{model}: not all faces that it was trained on are known from its {SUFFIX} file; give"
            " the record folder of its training instead"
        )
    found = {}
    for faces in learned.values():
        if not _crops_alike(scored_folder, faces):
            raise InputError(
                f"{scored_folder} and {model} crop faces differently, so their pictures cannot be"
                " compared; prepare the records with the --box and --context of its training"
            )
        shared = comparison_with_learned(scored_folder, scored_sides, faces)
        found = {meeting.name: meeting for meeting in shared} | found
    return list(found.values())


def _crops_alike(scored_folder, learned: LearnedFaces) -> bool:
    return crop_of(read_manifest(scored_folder)) == learned.crop


def _overlap_of(model, config: ScoringConfig, manifest: dict, folders: dict[str, Path]) -> dict:
    # A model without a card is assumed to be trained on the train sides of --trained-on.
    trained_on = model.trained_on or dict.fromkeys(folders, ("train",)) or {UNKNOWN: ("train",)}
    found, missing, by_name = {}, [], []
    for records, sides in trained_on.items():
        learned = model.learned.get(records) if has_fingerprints(config.records) else None
        if records in folders:
            shared = comparison(config.records, (config.side,), folders[records], sides)
        elif records == manifest["records_sha256"]:
            shared = _faces_of_trained_side(config, sides)
        elif learned:
            shared = comparison_with_learned(config.records, (config.side,), learned)
            by_name += [] if _crops_alike(config.records, learned) else [records]
            missing += [] if {*sides} <= {*learned.sides} else [records]
        else:
            shared = []
            missing.append(records)
        found |= {meeting.name: meeting for meeting in shared}
    _judge(model, config, found, manifest["sides"][config.side]["records"], missing, by_name)
    return {
        "faces": len(found),
        "by": dict(sorted(Counter(meeting.by for meeting in found.values()).items())),
        "first": [meeting.name for meeting in list(found.values())[:SHOWN]],
        "compared_with": [records for records in trained_on if records not in missing],
        "compared_by_name_only": by_name,
        "not_compared_with": missing,
        "alike_bits": ALIKE_BITS,
    }


def _judge(model, config: ScoringConfig, found: dict, faces: int, missing: list, by_name: list):
    """Raise CheckError for an overlap that is not allowed; warn of what could not be compared."""
    if found and not config.allow_overlap:
        raise CheckError(_refusal(model, config, list(found.values()), faces))
    if missing:
        print(_warning(model, missing), file=sys.stderr)
    if by_name:
        print(
            f"warning: {model.path} was trained on faces that were cropped differently from those"
            f" of {config.records}; they were compared by name, not by picture",
            file=sys.stderr,
        )


def _faces_of_trained_side(config: ScoringConfig, sides) -> list[Meeting]:
    """All faces of the scored side if it is one of the trained sides, otherwise none."""
    if config.side not in sides:
        return []
    names = read_fingerprints(config.records, (config.side,)).names
    return [Meeting(name, name, "name", 0) for name in names]


def _refusal(model, config: ScoringConfig, found: list[Meeting], faces: int) -> str:
    first = ", ".join(
        meeting.name if meeting.other in (meeting.name, "") else f"{meeting.name} ({meeting.other})"
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
