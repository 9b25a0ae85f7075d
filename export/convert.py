"""senet-kp export --model out/senet.pb --records out/tfrecords

Exports a frozen graph to the other file formats that --formats lists, beside the graph. Every file
is compared with the graph on real crops in each engine that runs it, scored on the test side, and
listed in the graph's model card. A file whose landmarks differ too much is not written; a file
whose error is more than 2 % larger is flagged. Takes about a minute.
Exit codes: 0 done, 2 invalid arguments, 3 the records cannot be read or are not those that the
model was trained on, 4 the model cannot be used or a package is missing, 5 the export gate refuses
a file.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from senet_kp.export.gate_faces import GateFaces, calibration_faces, described, gate_faces
from senet_kp.export.parity import LIMIT_PX, check_engines, points_on
from senet_kp.export.writers import EXPORTS, FORMATS, Export, Format
from senet_kp.face.metrics import Normaliser
from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.inference.backends import NETWORK_BACKENDS, engine_of, open_backend
from senet_kp.inference.model_card import card_path, kind_of, read_card
from senet_kp.input.crops import Crops, load_any_crops
from senet_kp.scoring.scores import scores_or_note
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import sha256_of, size_of, write_json
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.checkpoints import require_same_records

FROZEN_GRAPH = "pb"
SCORE = ("faces", "normaliser", "nme", "note")
FLAGGED = 0.02  # relative increase of the NME above which the card and the command flag a file


@dataclass(frozen=True)
class ConvertConfig:
    model: Path = Path("out/senet.pb")
    """frozen graph, with its model card beside it"""
    records: Path = Path("out/tfrecords")
    """record folder that the graph was trained on"""
    formats: tuple[Format, ...] = FORMATS
    """formats to export to"""
    calibration_faces: int = 200
    """number of faces of the train side from which quantisation takes the activation ranges"""


@dataclass(frozen=True)
class Faces:
    """The faces for the export gate, for scoring (test side) and for calibration (train side).

    expected [n, N, 2]: the frozen graph's landmarks of the gate's faces; normaliser: that of the
    scores in the graph's card, with which the others are compared.
    """

    gate: GateFaces
    expected: np.ndarray
    test: Crops
    calibration: GateFaces
    scheme: LandmarkScheme
    normaliser: Normaliser

    def score(self, path: Path) -> dict:
        """The score of a model file on the test side, in the engine that `auto` selects."""
        engine = engine_of(path)
        result = scores_or_note(open_backend(path, engine), self.test, self.scheme, self.normaliser)
        return {"engine": engine} | {key: result[key] for key in SCORE if key in result}


def convert(config: ConvertConfig) -> list[dict]:
    """Write the files and list them in the graph's card; return its entries, the graph first.

    The card keeps its entries of formats that are not exported now. Raises UserError, InputError,
    ModelError and CheckError as the exit codes above list them.
    """
    if kind_of(config.model) != FROZEN_GRAPH:
        raise UserError(
            f"--model {config.model}: not a frozen graph; pass the .pb file that 'senet-kp freeze'"
            " wrote"
        )
    if config.calibration_faces < 1:
        raise UserError("--calibration-faces must be at least 1")
    card, manifest = read_card(config.model), read_manifest(config.records)
    trained_on = card.get("training", {}).get("records", {}).get("sha256")
    require_same_records(config.model, {"records_sha256": trained_on}, config.records, manifest)
    faces = _load_faces(config, manifest, card["scores"].get("normaliser", "inter-ocular"))
    listed = {config.model.name: _graph_entry(config.model, card, faces)}
    listed |= {e["file"]: e for e in card.get("exports", ()) if e["file"] != config.model.name}
    for export in EXPORTS:
        if export.format in config.formats:
            target = config.model.with_name(config.model.stem + export.ending)
            with export.writing(target) as temporary:
                facts = export.write(temporary, config.model, faces.calibration.images)
                listed[target.name] = _entry(export, temporary, target.name, faces, card, facts)
            write_json(card_path(config.model), card | {"exports": list(listed.values())})
    return list(listed.values())


def _load_faces(config: ConvertConfig, manifest: dict, normaliser: Normaliser) -> Faces:
    gate = gate_faces(config.records, manifest)
    return Faces(
        gate=gate,
        expected=points_on(open_backend(config.model, "tensorflow"), gate),
        test=load_any_crops(config.records, manifest, sides=("test",)),
        calibration=calibration_faces(config.records, manifest, config.calibration_faces),
        scheme=scheme_of(manifest),
        normaliser=normaliser,
    )


def _graph_entry(model: Path, card: dict, faces: Faces) -> dict:
    """The card's entry of the frozen graph itself, with which the other files are compared."""
    engines = check_engines(model, model.name, faces.expected, faces.gate, LIMIT_PX)
    known = card["scores"]
    return {
        "file": model.name,
        "format": FROZEN_GRAPH,
        "bytes": card["bytes"],
        "sha256": card["sha256"],
        "limit_px": LIMIT_PX,
        "gate": faces.gate.counts(),
        "engines": engines,
        "score": {key: known[key] for key in ("engine", *SCORE) if key in known},
    }


def _entry(export: Export, path: Path, name: str, faces: Faces, card: dict, facts: dict) -> dict:
    """The card's entry of a file that is still at a temporary path.

    facts: what its writer returned. Raises CheckError if the export gate refuses the file.
    """
    engines = check_engines(path, name, faces.expected, faces.gate, export.limit_px)
    entry = {
        "file": name,
        "format": export.format,
        "bytes": size_of(path),
        "sha256": sha256_of(path),
        "limit_px": export.limit_px,
        "gate": faces.gate.counts(),
        "engines": engines,
        "score": faces.score(path),
        **facts,
    }
    if "calibration" in facts:
        entry["calibration"] = facts["calibration"] | faces.calibration.counts()
    if entry["score"]["nme"] is not None and card["scores"]["nme"]:
        entry["nme_change"] = entry["score"]["nme"] / card["scores"]["nme"] - 1
        entry["flagged"] = bool(entry["nme_change"] > FLAGGED)
    return entry


def table(entries: list[dict]) -> str:
    """A table of the files, with their largest distance from the graph's landmarks per engine.

    An engine that does not support the format is marked "-", and one that failed "no".
    """
    width = max(len(entry["file"]) for entry in entries)
    engines = "".join(f"{engine:>13}" for engine in NETWORK_BACKENDS)
    lines = [f"{'':<{width}}{'bytes':>12}{engines}{'NME':>9}{'change':>9}"]
    for entry in entries:
        cells = "".join(f"{_cell(entry, engine):>13}" for engine in NETWORK_BACKENDS)
        change = round(entry["nme_change"], 4) + 0.0 if "nme_change" in entry else None
        change = "" if change is None else f"{change:+.2%}"
        nme = entry["score"]["nme"]
        score = f"{'' if nme is None else f'{nme:.3%}':>9}{change:>9}"
        lines.append(f"{entry['file']:<{width}}{entry['bytes']:>12,}{cells}{score}")
    return "\n".join(lines)


def _cell(entry: dict, engine: str) -> str:
    if (px := entry["engines"][engine].get("max_px")) is not None:
        return f"{px:.1e} px"
    return "no" if entry["format"] in NETWORK_BACKENDS[engine].READS else "-"


def remarks(entries: list[dict]) -> list[str]:
    """Why engines failed on a file, which files are flagged, and which faces were used."""
    reasons = [
        f"{entry['file']}, {engine}: {entry['engines'][engine]['reason']}"
        for entry in entries
        for engine in NETWORK_BACKENDS
        if _cell(entry, engine) == "no"
    ]
    flags = [
        f"flagged: the NME of {entry['file']} is {entry['nme_change']:.1%} larger than the graph's"
        for entry in entries
        if entry.get("flagged")
    ]
    notes = {entry["score"]["note"]: None for entry in entries if "note" in entry["score"]}
    rendered = {
        f"{use}: {described(entry[key])}": None
        for entry in entries
        for key, use in (("gate", "export gate"), ("calibration", f"{entry['file']}, calibration"))
        if entry.get(key, {}).get("rendered_faces")
    }
    return [*reasons, *flags, *notes, *rendered]


def main():
    config = tyro.cli(ConvertConfig, prog="senet-kp export", description=__doc__)
    entries = convert(config)
    print(table(entries), *remarks(entries), sep="\n")
    print(f"listed in {card_path(config.model)}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
