"""python -m senet_kp.export.fingerprints --model out/senet.pb --trained-on out/tfrecords

Writes the fingerprints of the faces that a frozen graph learned from, out/senet.fingerprints, and
enters them into its model card. `senet-kp freeze` does the same for every graph that it makes; this
command is for graphs that have none, or not those of all trainings that they were initialised from.
Exit codes: 0 done, 2 invalid arguments, 3 the records cannot be read, 4 the model cannot be used,
5 the faces of some of its training records are not known.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from senet_kp.inference.model_card import card_path, kind_of, read_card
from senet_kp.scoring.fingerprint_file import (
    ENTRY,
    fingerprints_path,
    read_faces,
    write_fingerprints,
)
from senet_kp.scoring.lineage import UNKNOWN, learned_faces, missing_records, trained_records
from senet_kp.tfrecords.errors import CheckError, UserError, exit_code_of
from senet_kp.tfrecords.files import write_json
from senet_kp.tfrecords.shards import read_manifest


@dataclass(frozen=True)
class FingerprintsConfig:
    model: Path = Path("out/senet.pb")
    """frozen graph, with its model card beside it"""
    trained_on: tuple[Path, ...] = ()
    """record folders of its training and of the trainings that this one was initialised from"""


def add_fingerprints(config: FingerprintsConfig) -> dict:
    """Write the file and the entry of the card; return the entry.

    Raises CheckError, and writes nothing, if the faces of some training records are not known.
    """
    if kind_of(config.model) != "pb":
        raise UserError(f"--model {config.model}: not a frozen graph; pass the .pb file")
    card = read_card(config.model)
    settings, known = card.get("training", {}).get("settings", {}), read_faces(config.model, card)
    learned = known | learned_faces(settings, record_folders(config.trained_on))
    if missing := missing_records(trained_records(settings) or {UNKNOWN: ()}, learned):
        raise CheckError(_not_known(config.model, missing))
    entry = write_fingerprints(config.model, learned)
    write_json(card_path(config.model), card | entry)
    return entry[ENTRY]


def record_folders(folders) -> dict[str, Path]:
    """{SHA-256 of its records: record folder}; raises InputError for a folder without records."""
    return {read_manifest(folder)["records_sha256"]: Path(folder) for folder in folders}


def warn_of_missing(model: Path, settings: dict, learned: dict):
    """Print a warning if the fingerprints lack the faces of some training records."""
    if missing := missing_records(trained_records(settings), learned):
        print(f"warning: {_not_known(model, missing)}", file=sys.stderr)


def _not_known(model: Path, missing: list[str]) -> str:
    names = ", ".join("unknown records" if r == UNKNOWN else f"SHA-256 {r[:12]}" for r in missing)
    return (
        f"{model}: the fingerprints of the faces of some of its training records ({names}) are not"
        " known; pass the record folders with --trained-on"
    )


def main():
    config = tyro.cli(
        FingerprintsConfig, prog="python -m senet_kp.export.fingerprints", description=__doc__
    )
    entry = add_fingerprints(config)
    for folder in entry["records"]:
        print(f"{folder['sha256']}: {folder['faces']:,} faces, {', '.join(folder['sides'])}")
    print(f"{fingerprints_path(config.model)}: {entry['bytes']:,} bytes")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
