"""python -m export.convert --model out/senet.pb --records out/tfrecords --formats onnx tflite

Makes files of other formats of a frozen graph, beside it: an ONNX file, TFLite files in float32,
float16 and int8, a SavedModel. Each is compared with the graph on real crops in every engine that
runs it, scored on the test side, and listed in the graph's card. A file that strays too far is not
written; one whose error is more than 2 % larger is flagged. About a minute.
Exit codes: 0 done, 2 unusable arguments, 3 the records cannot be read or are not those that the
model was trained on, 4 the model cannot be used or a package is missing, 5 the export gate refuses.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.export import formats
from senet_kp.export.parity import (
    FLOAT16_PX,
    GATE_FACES,
    INT8_PX,
    LIMIT_PX,
    check_engines,
    points_on,
    require_faces,
)
from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.inference.backends import NETWORK_BACKENDS, TensorFlowBackend, engine_of, open_backend
from senet_kp.inference.model_card import card_path, kind_of, read_card
from senet_kp.input.crops import Crops, load_any_crops, load_crops
from senet_kp.scoring.evaluate import scores
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_folder, atomic_path, sha256_of, size_of, write_json
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.checkpoints import require_same_records

Format = Literal["onnx", "tflite", "saved_model"]
FLAGGED = 0.02  # relative growth of the NME that the card and the command point at


@dataclass(frozen=True)
class Export:
    """One file: its format, what follows the graph's stem in its name, who writes it, its gate."""

    format: Format
    ending: str
    write: Callable
    limit_px: float = LIMIT_PX

    def writing(self, path: Path) -> AbstractContextManager[Path]:
        """A temporary path that becomes `path` when all went well."""
        if self.format == "saved_model":
            return atomic_folder(path, "saved_model.pb")
        return atomic_path(path, path.suffix)


EXPORTS = (
    Export("onnx", ".onnx", formats.write_onnx),
    Export("tflite", "-float32.tflite", formats.write_float32),
    Export("tflite", "-float16.tflite", formats.write_float16, FLOAT16_PX),
    Export("tflite", "-int8.tflite", formats.write_int8, INT8_PX),
    Export("saved_model", "-saved-model", formats.write_saved_model),
)


@dataclass(frozen=True)
class ConvertConfig:
    model: Path = Path("out/senet.pb")
    """frozen graph, its card beside it"""
    records: Path = Path("out/tfrecords")
    """record folder that it was trained on"""
    formats: tuple[Format, ...] = get_args(Format)
    """what to make"""
    calibration_faces: int = 200
    """so many faces of the train side, in the records' random order, show int8 its ranges"""


@dataclass(frozen=True)
class Faces:
    """What files are compared, scored and calibrated on."""

    gate: Crops
    trained: np.ndarray  # [n, N, 2], the frozen graph's landmarks of the gate's faces
    test: Crops
    train: Crops
    scheme: LandmarkScheme

    def nme(self, path: Path, name: str) -> dict:
        """The NME of a model file on the test side, in the engine that is taken for it."""
        engine = engine_of(path)
        run = open_backend(path, engine)
        bar = tqdm(self.test.images, unit="face", desc=name, disable=None)
        result = scores(np.array([run(image) for image in bar]), self.test, self.scheme)
        return {"engine": engine} | {key: result[key] for key in ("faces", "normaliser", "nme")}


def convert(config: ConvertConfig) -> list[dict]:
    """Write the files and list them in the card; return what it says of them, the graph first.

    Files of other formats that the card lists stay listed.
    """
    if kind_of(config.model) != "pb":
        raise UserError(f"--model {config.model}: not a frozen graph, which files are made of")
    if config.calibration_faces < 1:
        raise UserError("--calibration-faces is at least 1")
    card, manifest = read_card(config.model), read_manifest(config.records)
    trained_on = card.get("training", {}).get("records", {}).get("sha256")
    require_same_records(config.model, {"records_sha256": trained_on}, config.records, manifest)
    faces = _load_faces(config, manifest)
    listed = {config.model.name: _graph_entry(config.model, card, faces)}
    listed |= {e["file"]: e for e in card.get("exports", ()) if e["file"] != config.model.name}
    for export in EXPORTS:
        if export.format in config.formats:
            target = config.model.with_name(config.model.stem + export.ending)
            with export.writing(target) as temporary:
                facts = export.write(temporary, config.model, faces.train.images)
                listed[target.name] = _entry(export, temporary, target.name, faces, card) | facts
            write_json(card_path(config.model), card | {"exports": list(listed.values())})
    return list(listed.values())


def _load_faces(config: ConvertConfig, manifest: dict) -> Faces:
    gate = load_any_crops(config.records, manifest, GATE_FACES)
    require_faces(gate)
    return Faces(
        gate=gate,
        trained=points_on(TensorFlowBackend(config.model.read_bytes(), config.model), gate),
        test=load_crops(config.records, manifest, "test"),
        train=load_crops(config.records, manifest, "train", config.calibration_faces),
        scheme=scheme_of(manifest),
    )


def _graph_entry(model: Path, card: dict, faces: Faces) -> dict:
    """What the card says of the frozen graph itself, to compare the others with."""
    engines = check_engines(model, model.name, faces.trained, faces.gate, LIMIT_PX)
    score = {key: card["scores"][key] for key in ("engine", "faces", "normaliser", "nme")}
    return {
        "file": model.name,
        "format": "pb",
        "bytes": card["bytes"],
        "sha256": card["sha256"],
        "limit_px": LIMIT_PX,
        "engines": engines,
        "score": score,
    }


def _entry(export: Export, path: Path, name: str, faces: Faces, card: dict) -> dict:
    """What the card says of a file, which is still at `path`; raises CheckError by its gate."""
    engines = check_engines(path, name, faces.trained, faces.gate, export.limit_px)
    score = faces.nme(path, name)
    change = score["nme"] / card["scores"]["nme"] - 1
    return {
        "file": name,
        "format": export.format,
        "bytes": size_of(path),
        "sha256": sha256_of(path),
        "limit_px": export.limit_px,
        "engines": engines,
        "score": score,
        "nme_change": change,
        "flagged": bool(change > FLAGGED),
    }


def table(entries: list[dict]) -> str:
    """Which engine runs which file, for people to read: distances, - where it never does."""
    width = max(len(entry["file"]) for entry in entries)
    engines = "".join(f"{engine:>13}" for engine in NETWORK_BACKENDS)
    lines = [f"{'':<{width}}{'bytes':>12}{engines}{'NME':>9}{'change':>9}"]
    for entry in entries:
        cells = "".join(f"{_cell(entry, engine):>13}" for engine in NETWORK_BACKENDS)
        change = round(entry["nme_change"], 4) + 0.0 if "nme_change" in entry else None
        change = "" if change is None else f"{change:+.2%}"
        score = f"{entry['score']['nme']:>9.3%}{change:>9}"
        lines.append(f"{entry['file']:<{width}}{entry['bytes']:>12,}{cells}{score}")
    return "\n".join(lines)


def _cell(entry: dict, engine: str) -> str:
    if (px := entry["engines"][engine].get("max_px")) is not None:
        return f"{px:.1e} px"
    return "no" if entry["format"] in NETWORK_BACKENDS[engine].READS else "-"


def remarks(entries: list[dict]) -> list[str]:
    """Why an engine does not run a file that is of a kind that it runs, and which are flagged."""
    reasons = [
        f"{entry['file']}, {engine}: {entry['engines'][engine]['reason']}"
        for entry in entries
        for engine in NETWORK_BACKENDS
        if _cell(entry, engine) == "no"
    ]
    flags = [
        f"flagged: {entry['file']} has an error {entry['nme_change']:.1%} larger than the graph's"
        for entry in entries
        if entry.get("flagged")
    ]
    return reasons + flags


def main():
    config = tyro.cli(ConvertConfig, prog="python -m export.convert", description=__doc__)
    entries = convert(config)
    print(table(entries), *remarks(entries), sep="\n")
    print(f"listed in {card_path(config.model)}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
