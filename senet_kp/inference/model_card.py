"""The model card: a JSON file with everything that is needed to run a model file.

The card of `senet.pb` is `senet.json` in the same folder. It gives the input and output, the rule
of the face box, the landmark scheme and how the network was trained; programs take these from the
card, so that they cannot contradict the training. Files that were exported from the graph share
its card, which lists them under "exports". A dlib shape predictor `x.dat` has its card in `x.json`.
"""

import contextlib
from pathlib import Path

from senet_kp.face.facebox import BoxRule
from senet_kp.face.metrics import NORMALISERS
from senet_kp.tfrecords.errors import ModelError, brief
from senet_kp.tfrecords.files import read_json, sha256_of
from senet_kp.tfrecords.forms import (
    ANY,
    BOX,
    COUNT,
    DETECTOR_BOX,
    FILE_NAME,
    FLAG,
    POINTS,
    SCHEME,
    TEXT,
    Form,
    fault_in,
    fields,
    listed,
    mapped,
    maybe,
    one_of,
)

INPUT_NODE = "image"  # float32 [1, S, S, 3], RGB, 0..255
OUTPUT_NODE = "landmarks"  # float32 [1, 2N], x0, y0, x1, ..., relative to the face box
CARD_VERSION = 2
# Sets of labels that are projected from a head model, as the readers of data sets name them.
HEAD_MODEL_LABELS = {"pts_3d", "pt3d_68"}
SAVED_MODEL, DLIB_PREDICTOR = "saved_model", "dat"
KINDS = {
    "pb": "a frozen graph",
    "onnx": "an ONNX file",
    "tflite": "a TFLite file",
    SAVED_MODEL: "a SavedModel",
    DLIB_PREDICTOR: "a dlib shape predictor",
}


def SETTINGS(value) -> str | None:
    """The form of the settings of a training, with those of the trainings before it."""
    return _SETTINGS(value)


_SETTINGS = fields(
    {},
    {
        "records_sha256": TEXT,
        "train_on_val": FLAG,
        "records": TEXT,
        "init_from": TEXT,
        "net": maybe(TEXT),
        "graph_sha256": TEXT,
        "trunk_sha256": TEXT,
        "before": maybe(SETTINGS),
    },
)
_RECORDS = fields(
    {},
    {
        "sha256": TEXT,
        "sides": mapped(fields({"records": COUNT})),
        "sources": listed(fields({"folder": TEXT}, {"labels": TEXT})),
    },
)
_FACES = fields({"sha256": TEXT, "sides": listed(TEXT), "faces": COUNT, "crop": TEXT})
_TENSOR = fields({"shape": listed(COUNT)})
# The forms of cards, of networks and of dlib shape predictors.
_OPTIONAL = {
    "network": TEXT,
    "detector_box": maybe(DETECTOR_BOX),
    "mean_shape": POINTS,
    "exports": listed(fields({"file": FILE_NAME, "bytes": COUNT, "sha256": TEXT})),
    "training": fields({}, {"settings": SETTINGS, "records": _RECORDS}),
    "fingerprints": fields({"bytes": COUNT, "sha256": TEXT, "records": listed(_FACES)}),
    "terms": TEXT,
    "scores": fields({}, {"normaliser": one_of(*NORMALISERS)}),
}
_NETWORK = fields(
    {
        "card": ANY,
        "input": _TENSOR,
        "output": _TENSOR,
        "box": BOX,
        "scheme": SCHEME,
        "sha256": TEXT,
    },
    _OPTIONAL,
)
_DLIB = fields(
    {"box": BOX, "scheme": SCHEME, "records_sha256": TEXT}, {**_OPTIONAL, "sha256": TEXT}
)


def kind_of(model) -> str:
    """The key in KINDS of a model file, or of a SavedModel's folder; "pb" for unknown suffixes."""
    model = Path(model)
    if (model / "saved_model.pb").is_file():
        return SAVED_MODEL
    kind = model.suffix.removeprefix(".")
    return kind if kind in KINDS else "pb"


def card_path(model) -> Path:
    """The path of the card of a frozen graph or a dlib shape predictor."""
    return Path(model).with_suffix(".json")


def read_card(model) -> dict:
    """Read the card of a model file and check that it describes this very file.

    Parameters
    ----------
    model : str or Path
        A frozen graph (.pb), a file exported from one (.onnx, .tflite), the folder of a
        SavedModel, or a dlib shape predictor (.dat) trained by benchmarks.dlib_baseline.

    Returns
    -------
    dict
        The card. It always has "box" (the fields of the face-box rule), "scheme" (the landmark
        scheme) and "sha256" (of the model file). For an exported file, "bytes" and "sha256" are
        its own and the rest is the card of its frozen graph.

    Raises
    ------
    ModelError
        If the model file or its card is missing, the card is damaged or of another version, or
        the card describes another file.

    Examples
    --------
    >>> from senet_kp import PRETRAINED, read_card
    >>> read_card(PRETRAINED)["scheme"]["landmarks"]
    68
    """
    model = Path(model)
    _require_model(model)
    if kind_of(model) == DLIB_PREDICTOR:
        path, card = card_path(model), _dlib_card(model)
    elif kind_of(model) == "pb":
        path, card = card_path(model), _network_card(card_path(model), model)
    else:
        path, card = _card_listing(model)
    if sha256_of(model) != card["sha256"]:
        raise ModelError(f"{model}: altered, or not the file that {path} describes")
    return card


def find_card(model) -> dict | None:
    """`read_card`, or None for a dlib shape predictor without the card of a training.

    Every other kind of model needs its card. A shape predictor may come from another project; then
    it has no JSON file with a "records_sha256" in its folder.
    """
    model = Path(model)
    _require_model(model)
    if kind_of(model) == DLIB_PREDICTOR and not _has_training(card_path(model)):
        return None
    return read_card(model)


def box_rule(card: dict) -> BoxRule:
    """The face-box rule of a card or a manifest."""
    return BoxRule(**card["box"])


def has_head_model_points(card: dict) -> bool:
    """Whether a model learned points that are projected from a 3-D head model.

    The far jaw of a turned head is then where the head model has it, and not on the visible
    contour. A card that names no records of its training says nothing, which is False.
    """
    sources = card.get("training", {}).get("records", {}).get("sources", ())
    return any(source.get("labels") in HEAD_MODEL_LABELS for source in sources)


def _require_model(model: Path):
    if not model.is_file() and kind_of(model) != SAVED_MODEL:
        raise ModelError(f"{model}: no such model file; 'make freeze' makes a frozen graph")


def _network_card(path: Path, model: Path) -> dict:
    card = _parsed(path, model, _network)
    if card["card"] != CARD_VERSION:
        raise ModelError(
            f"{path}: the model card has version {card['card']}, this release reads version"
            f" {CARD_VERSION}; freeze the model again"
        )
    return card


def _dlib_card(model: Path) -> dict:
    """The card of benchmarks.dlib_baseline, with its training under the key of a network's card.

    Cards of earlier releases have no hash; they get the file's own.
    """
    card = _parsed(card_path(model), model, _DLIB)
    settings = {key: card[key] for key in ("records_sha256", "train_on_val") if key in card}
    return {"sha256": sha256_of(model), "training": {"settings": settings}} | card


def _has_training(path: Path) -> bool:
    try:
        return "records_sha256" in read_json(path)
    except (OSError, ValueError, TypeError):  # no file, not JSON, a JSON number
        return False


def _network(value) -> str | None:
    """The form of the card of a network, with the shapes that follow from box and scheme."""
    if fault := _NETWORK(value):
        return fault
    if value["card"] != CARD_VERSION:
        return None
    size_px, count = value["box"]["size_px"], value["scheme"]["landmarks"]
    if value["input"]["shape"] != [1, size_px, size_px, 3]:
        return f".input.shape is not that of pictures of {size_px} px"
    if value["output"]["shape"] != [1, 2 * count]:
        return f".output.shape is not that of {count} landmarks"
    if len(value.get("mean_shape", range(count))) != count:
        return f".mean_shape does not have {count} points"
    return None


def _parsed(path: Path, model: Path, form: Form) -> dict:
    """The card in a file; raises ModelError if the file is missing or has not this form."""
    try:
        card = read_json(path)
    except FileNotFoundError:
        raise ModelError(
            f"{path}: the model card is missing; it has to be in the same folder as {model}"
        ) from None
    except (ValueError, OSError) as error:
        raise ModelError(f"{path}: not a model card ({brief(error)})") from None
    if fault := fault_in(card, form):
        raise ModelError(f"{path}: not a model card: it is damaged or of another kind ({fault})")
    return card


def _card_listing(model: Path) -> tuple[Path, dict]:
    """The card in the folder of an exported file that lists this file, and the card's path."""
    for path in sorted(model.absolute().parent.glob("*.json")):
        with contextlib.suppress(ModelError):
            card = _network_card(path, model)
            for entry in card.get("exports", ()):
                if entry["file"] == model.name:
                    return path, card | {key: entry[key] for key in ("bytes", "sha256")}
    raise ModelError(
        f"{model}: no model card in its folder lists this file; 'make export' writes both"
    )
