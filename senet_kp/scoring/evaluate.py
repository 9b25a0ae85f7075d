"""senet-kp evaluate --model out/senet.pb --records out/tfrecords

Scores a model on one side of a record folder, with the face boxes of the records. The model is a
frozen graph or a file exported from one, the folder of a training run (its best checkpoint), or a
dlib shape predictor. Prints a table, and writes the scores as JSON, the curve of the cumulative
error distribution (CED) as PNG, and a contact sheet of twelve faces with their true landmarks
(green) and the predicted ones (red).
Exit codes: 0 done, 2 invalid arguments, 3 the records cannot be read, 4 the model cannot be
used, 5 the model was trained on some of the faces.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from senet_kp.face.metrics import ced, ced_end
from senet_kp.face.pictures import write_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.model_card import SAVED_MODEL, kind_of
from senet_kp.input.crops import load_crops
from senet_kp.input.prediction_sheet import prediction_sheet
from senet_kp.scoring.config import ScoringConfig, check
from senet_kp.scoring.contamination import check_overlap
from senet_kp.scoring.models import open_model
from senet_kp.scoring.scores import (
    METRICS,
    NO_LABELLED_FACES,
    face_errors,
    list_conditions,
    scores,
)
from senet_kp.tfrecords.errors import InputError, exit_code_of
from senet_kp.tfrecords.files import atomic_path, write_json
from senet_kp.tfrecords.shards import read_manifest

SHOWN_FACES = 12  # on the contact sheet


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ScoringConfig):
    model: Path = Path("out/senet.pb")
    """frozen graph (.pb), a file exported from one, the folder of a training run, or a dlib shape
    predictor (.dat)"""
    json: str = ""
    """file for the scores, or - for standard output; beside the model if empty"""
    ced: str = ""
    """file for the CED curve, a .png; beside the model if empty"""
    faces: str = ""
    """file for the contact sheet, a .png; beside the model if empty"""


def evaluate(config: EvaluateConfig) -> tuple[dict, np.ndarray]:
    """The scores with their conditions, and the NME of every face that can be scored.

    Writes the contact sheet if `config.faces` names a file. Raises UserError, InputError,
    ModelError and CheckError as the exit codes above list them.
    """
    check(config)
    manifest = read_manifest(config.records)
    crops = load_crops(config.records, manifest, config.side)
    if not len(crops):
        raise InputError(f"{config.records}: no faces on the {config.side} side; choose another")
    with open_model(config.model, config.records, manifest, config.backend) as model:
        (overlap,) = check_overlap([model], config, manifest)
        predicted = model.predict(crops.images)
    scheme = scheme_of(manifest)
    if config.faces:
        sheet = prediction_sheet(crops, predicted, scheme, SHOWN_FACES)
        write_picture(config.faces, sheet)
    result = scores(predicted, crops, scheme, config.normaliser, config.threshold)
    result |= model.conditions | list_conditions(manifest, config.side) | {"overlap": overlap}
    errors = face_errors(predicted, crops, scheme, config.normaliser)
    return result, errors.nmes[errors.scored]


def score_table(result: dict) -> str:
    """The scores as a table to print."""
    conditions = (
        f"{result['side']} side, {result['faces']:,} faces, {result['normaliser']} NME, failure"
        f" threshold {100 * result['threshold']:g}%, face boxes from {result['box_source']},"
        f" labels {result['label_source']}, {result['engine']}"
    )
    rows = [
        *((metric.label, _shown(result[metric.key], metric)) for metric in METRICS),
        *((f"NME, {kind}", _shown(nme)) for kind, nme in result["nme_by_normaliser"].items()),
        ("RMSE", f"{result['rmse_px']:.3f} px"),
        *((name, _region_shown(value)) for name, value in result["regions"].items()),
        *((name, _part_shown(part)) for name, part in result["subsets"].items()),
        *((name, _part_shown(part)) for name, part in result["tags"].items()),
        *((f"yaw {name}", _part_shown(part)) for name, part in result["yaw_bins"].items()),
        ("mean of yaw bins", _shown(result["yaw_bins_mean"])),
        *(
            (f"yaw {name.replace('_', ' ')}", f"{count} in no bin")
            for name, count in result["yaw_in_no_bin"].items()
            if count
        ),
    ]
    return "\n".join([conditions, *(f"  {name:<18}{value:>17}" for name, value in rows)])


def plot_ced(path, curves: dict, threshold: float, normaliser: str):
    """Plot the cumulative error distribution of each {name: NMEs} as a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), dpi=120, layout="constrained")
    for name, nmes in curves.items():
        errors, shares = ced(nmes)
        axes.step(100 * errors, 100 * shares, where="post", label=f"{name} ({np.mean(nmes):.2%})")
    limit = f"failure threshold ({100 * threshold:g} %)"
    axes.axvline(100 * threshold, color="grey", linewidth=0.8, linestyle="--", label=limit)
    axes.set(
        xlim=(0, 100 * ced_end(curves.values(), threshold)),
        ylim=(0, 100),
        xlabel=f"NME, % of the {normaliser} length",
        ylabel="% of faces",
        title="Cumulative error distribution",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path, ".png") as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def results_base(model: Path) -> Path:
    """The common start of the result files' names: inside a run folder, or beside a model file."""
    kind = kind_of(model)
    if model.is_dir() and kind != SAVED_MODEL:
        return model / "scores"
    return model.with_name(f"{model.stem}-onnx") if kind == "onnx" else model.with_suffix("")


def _shown(value: float | None, metric=METRICS[0]) -> str:
    return "-" if value is None else metric.format(value)


def _region_shown(value: float | None) -> str:
    return NO_LABELLED_FACES if value is None else _shown(value)


def _part_shown(part: dict) -> str:
    return f"{_shown(part['nme'])} of {part['faces']}" if part["faces"] else "no faces"


def main():
    config = tyro.cli(EvaluateConfig, prog="senet-kp evaluate", description=__doc__)
    base = results_base(config.model)
    config = replace(config, faces=config.faces or f"{base}-faces.png")
    result, nmes = evaluate(config)
    curve = config.ced or f"{base}-ced.png"
    plot_ced(curve, {config.model.name: nmes}, config.threshold, config.normaliser)
    if config.json == "-":
        print(json.dumps(result, indent=1))
        return
    target = config.json or f"{base}-scores.json"
    write_json(target, result)
    print(score_table(result), f"{target}, {curve}, {config.faces}", sep="\n")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
