"""The model card: what stands beside a `.pb` and says how to use it.

`senet.pb` has its card in `senet.json`, which also lists, as "exports", the files of other formats
that were made of it. Whatever runs them takes names, sizes, box rule and scheme from there, so that
nothing can contradict what the network was trained with.
"""

import contextlib
import json
from pathlib import Path

from senet_kp.face.facebox import BoxRule
from senet_kp.tfrecords.errors import ModelError
from senet_kp.tfrecords.files import sha256_of

INPUT_NODE = "image"  # float32 [1, S, S, 3], RGB, 0..255
OUTPUT_NODE = "landmarks"  # float32 [1, 2N], x0, y0, x1, ..., relative to the face box
CARD_VERSION = 2
SAVED_MODEL = "saved_model"
KINDS = {
    "pb": "a frozen graph",
    "onnx": "an ONNX file",
    "tflite": "a TFLite file",
    SAVED_MODEL: "a SavedModel",
}


def kind_of(model) -> str:
    """Which of KINDS a model file (or a SavedModel's folder) is."""
    model = Path(model)
    if (model / "saved_model.pb").is_file():
        return SAVED_MODEL
    kind = model.suffix.removeprefix(".")
    return kind if kind in KINDS else "pb"


def card_path(model) -> Path:
    """Where the card of a frozen graph is."""
    return Path(model).with_suffix(".json")


def read_card(model) -> dict:
    """The card of a model file; raises ModelError where either is missing or they do not fit.

    What export/convert.py made of a frozen graph has the graph's card, which lists it: there
    "bytes" and "sha256" are the file's own.
    """
    model = Path(model)
    if not model.is_file() and kind_of(model) != SAVED_MODEL:
        raise ModelError(f"{model}: no such model file; 'make freeze' makes one")
    if kind_of(model) == "pb":
        path, card = card_path(model), _parsed(card_path(model), model)
    else:
        path, card = _listing(model)
    if sha256_of(model) != card["sha256"]:
        raise ModelError(f"{model}: altered, or not the file that {path} describes")
    return card


def _parsed(path: Path, model: Path) -> dict:
    """A card; raises ModelError for what is none, or one of another version."""
    try:
        card = json.loads(path.read_text())
        missing = {"card", "input", "output", "box", "scheme", "sha256"} - card.keys()
    except FileNotFoundError:
        raise ModelError(f"{path}: the model card is missing; it belongs beside {model}") from None
    except (ValueError, AttributeError, OSError) as error:
        raise ModelError(f"{path}: not a model card ({error})") from None
    if missing:
        raise ModelError(f"{path}: not a model card, {', '.join(sorted(missing))} missing")
    if card["card"] != CARD_VERSION:
        raise ModelError(f"{path}: a card of another version of this project")
    return card


def _listing(model: Path) -> tuple[Path, dict]:
    """The card in a model file's folder that lists it under "exports", as this file's."""
    for path in sorted(model.absolute().parent.glob("*.json")):
        with contextlib.suppress(ModelError):
            card = _parsed(path, model)
            for entry in card.get("exports", ()):
                if entry["file"] == model.name:
                    return path, card | {key: entry[key] for key in ("bytes", "sha256")}
    raise ModelError(f"{model}: no model card beside it lists it; 'make export' makes both")


def box_rule(card: dict) -> BoxRule:
    """The face-box rule of a card or a manifest."""
    return BoxRule(**card["box"])


def card_beside(path: Path) -> dict | None:
    """What a dlib predictor's training left beside it; None where there is nothing of the kind."""
    try:
        card = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None
