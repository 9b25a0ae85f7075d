"""The model card: what stands beside a `.pb` and says how to use it.

`senet.pb` has its card in `senet.json`. Whatever runs the graph takes names, sizes, box rule and
scheme from there, so that nothing can contradict what the network was trained with.
"""

import json
from pathlib import Path

from senet_kp.facebox import BoxRule
from tfrecords.errors import ModelError
from tfrecords.files import sha256_of_file

INPUT_NODE = "image"  # float32 [1, S, S, 3], RGB, 0..255
OUTPUT_NODE = "landmarks"  # float32 [1, 2N], x0, y0, x1, ..., relative to the face box
CARD_VERSION = 2


def card_path(model) -> Path:
    """Where the card of a model file is."""
    return Path(model).with_suffix(".json")


def read_card(model) -> dict:
    """The card of a model file; raises ModelError where either is missing or they do not fit."""
    model, path = Path(model), card_path(model)
    if not model.is_file():
        raise ModelError(f"{model}: no such model file; 'make freeze' makes one")
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
    if sha256_of_file(model) != card["sha256"]:
        raise ModelError(f"{model}: altered, or not the file that {path} describes")
    return card


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
