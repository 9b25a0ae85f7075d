"""python -m senet_kp.evaluate --model out/senet.pb --records out/tfrecords

Scores a frozen graph, what was exported from one, a training run's best checkpoint or a dlib shape
predictor on one side of a record folder, with the face boxes of the records. Prints a table, writes
JSON and the curve of cumulative errors.
Exit codes: 0 done, 2 unusable arguments, 3 the records cannot be read, 4 the model cannot be used,
5 the model was trained on some of the faces.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from senet_kp.face.metrics import (
    NORMALISERS,
    auc,
    balanced_mean,
    ced,
    failure_rate,
    nme,
    normalised_errors,
    rmse,
)
from senet_kp.face.pose import estimate_pose_deg
from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.inference.backends import AUTO, require_backend
from senet_kp.inference.model_card import SAVED_MODEL, kind_of
from senet_kp.input.crops import Crops, load_crops
from senet_kp.scoring.contamination import check_overlap
from senet_kp.scoring.models import open_model
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_path, write_json
from senet_kp.tfrecords.shards import read_manifest

# Upper ends belong to a bin, as where AFLW2000-3D was first scored by them: Zhu et al., "Face
# Alignment Across Large Poses" (2016).
YAW_BINS_DEG = ((0, 30), (30, 60), (60, 90))


@dataclass(frozen=True)
class EvaluateConfig:
    model: Path = Path("out/senet.pb")
    """a frozen graph (.pb), what was exported from one, a training run's folder, or a dlib shape
    predictor (.dat)"""
    records: Path = Path("out/tfrecords")
    """record folder"""
    side: str = "test"
    """train, val or test"""
    normaliser: str = "inter-ocular"
    """inter-ocular (outer eye corners), inter-pupil, box (sqrt of its area) or diagonal"""
    threshold: float = 0.08
    """NME above which a face counts as failed, and where the area under the curve ends"""
    backend: str = AUTO
    """opencv, tensorflow, onnxruntime or tflite, for a model file; auto takes the first that can"""
    trained_on: tuple[Path, ...] = ()
    """record folders that the model was trained on, where they are not the scored ones"""
    allow_overlap: bool = False
    """score faces too that the model was trained on"""
    json: str = ""
    """where the numbers go, - for standard output; beside the model if empty"""
    ced: str = ""
    """where the curve goes, a .png; beside the model if empty"""


def evaluate(config: EvaluateConfig) -> tuple[dict, np.ndarray]:
    """The scores, with their conditions, and the NME of every face that could be scored."""
    check(config)
    manifest = read_manifest(config.records)
    crops = load_crops(config.records, manifest, config.side)
    if not len(crops):
        raise InputError(f"{config.records}: no faces on the {config.side} side")
    with open_model(config.model, config.records, manifest, config.backend) as model:
        (overlap,) = check_overlap([model], config, manifest)
        predicted = model.predict(crops.images)
    scheme = scheme_of(manifest)
    result = scores(predicted, crops, scheme, config.normaliser, config.threshold)
    result |= model.conditions | list_conditions(manifest, config.side) | {"overlap": overlap}
    return result, face_errors(predicted, crops, scheme, config.normaliser)


def list_conditions(manifest: dict, side: str) -> dict:
    """What every score on one side of a record folder must say of its faces."""
    return {
        "side": side,
        "box_source": manifest["box"]["source"],
        "label_source": label_source(manifest),
        "records_sha256": manifest["records_sha256"],
    }


def label_source(manifest: dict) -> str:
    """Which labels the records hold: "300W_LP pts_2d, data p1"."""
    return ", ".join(f"{source['folder']} {source['labels']}" for source in manifest["sources"])


def scores(predicted, crops: Crops, scheme: LandmarkScheme, kind="inter-ocular", threshold=0.08):
    """Everything about predictions [n, N, 2] on n faces, as a dictionary of plain numbers.

    None where no face can say. Raises InputError where none has what the normaliser needs.
    """
    errors = normalised_errors(predicted, crops.landmarks, crops.mask, scheme, kind)
    nmes = nme(errors)
    scored = np.isfinite(nmes)
    if not scored.any():
        raise InputError(f"none of the {len(crops):,} faces has the landmarks that {kind} needs")
    yaw, estimated = yaw_deg(crops, scheme)
    return {
        "metric": "NME",
        "normaliser": kind,
        "faces": int(scored.sum()),
        "faces_not_scored": int((~scored).sum()),
        "nme": float(nmes[scored].mean()),
        "nme_median": float(np.median(nmes[scored])),
        "threshold": threshold,
        "failure_rate": failure_rate(nmes[scored], threshold),
        "auc": auc(nmes[scored], threshold),
        "rmse_px": crops.images.shape[1] * rmse(predicted, crops.landmarks, crops.mask),
        "regions": {
            name: _mean(nme(errors[:, list(points)])) for name, points in scheme.regions.items()
        },
        "subsets": {
            name: _part(nmes[scored & part]) for name, part in crops.subset_masks().items()
        },
        "tags": {name: _part(nmes[scored & part]) for name, part in crops.tag_masks().items()},
        "yaw_bins": {name: _part(nmes[scored & part]) for name, part in yaw_masks(yaw).items()},
        "yaw_bins_mean": yaw_bins_mean(nmes[scored], yaw[scored]),
        "yaw_in_no_bin": yaw_in_no_bin(yaw[scored]),
        "yaw_estimated_from_points": int(estimated.sum()),
    }


def yaw_deg(crops: Crops, scheme: LandmarkScheme):
    """|yaw| [n] of each face and whether it was estimated [n].

    It is the label's where that knows, else estimated from the true points, NaN where these do
    not tell it.
    """
    yaw = crops.pose_deg[:, 1].astype(np.float64)
    unknown = ~np.isfinite(yaw)
    for index in np.flatnonzero(unknown):
        yaw[index] = estimate_pose_deg(crops.landmarks[index], crops.mask[index], scheme)[1]
    return np.abs(yaw), unknown & np.isfinite(yaw)


def yaw_masks(yaw) -> dict[str, np.ndarray]:
    """{"0-30": [n] bool, ...}: which of the |yaw| [n] fall into each of YAW_BINS_DEG."""
    bins = yaw_bin(yaw)
    return {f"{low}-{high}": bins == i for i, (low, high) in enumerate(YAW_BINS_DEG)}


def yaw_bin(yaw) -> np.ndarray:
    """[n] which of YAW_BINS_DEG each |yaw| [n] falls into; their number for none of them."""
    return np.digitize(yaw, [high for _, high in YAW_BINS_DEG], right=True)


def yaw_bins_mean(nmes, yaw) -> float | None:
    """The mean of the bins' mean NMEs, so that none counts more for its many faces.

    None where a bin holds no face: what is left is no balance of all poses.
    """
    bins = yaw_bin(yaw)
    inside = bins < len(YAW_BINS_DEG)
    if len(set(bins[inside])) < len(YAW_BINS_DEG):
        return None
    return balanced_mean(nmes[inside], bins[inside])


def yaw_in_no_bin(yaw) -> dict[str, int]:
    """How many faces have a |yaw| [n] above the bins, and how many one that is not known."""
    end = YAW_BINS_DEG[-1][1]
    return {f"above_{end}": int((yaw > end).sum()), "unknown": int(np.isnan(yaw).sum())}


def face_errors(predicted, crops: Crops, scheme: LandmarkScheme, kind: str) -> np.ndarray:
    """The NMEs of the faces that can be scored."""
    nmes = nme(normalised_errors(predicted, crops.landmarks, crops.mask, scheme, kind))
    return nmes[np.isfinite(nmes)]


def score_table(result: dict) -> str:
    """The scores for people to read."""
    conditions = (
        f"{result['side']} side, {result['faces']:,} faces, {result['normaliser']},"
        f" boxes from {result['box_source']}, labels {result['label_source']}, {result['engine']}"
    )
    rows = [
        ("NME", f"{result['nme']:.2%}"),
        ("median", f"{result['nme_median']:.2%}"),
        (f"failures > {result['threshold']:.0%}", f"{result['failure_rate']:.1%}"),
        (f"AUC to {result['threshold']:.0%}", f"{result['auc']:.3f}"),
        ("RMSE", f"{result['rmse_px']:.3f} px"),
        *((name, _percent(value)) for name, value in result["regions"].items()),
        *((name, _shown(part)) for name, part in result["subsets"].items()),
        *((name, _shown(part)) for name, part in result["tags"].items()),
        *((f"yaw {name}", _shown(part)) for name, part in result["yaw_bins"].items()),
        ("mean of yaw bins", _percent(result["yaw_bins_mean"])),
        *(
            (f"yaw {name.replace('_', ' ')}", f"{count} in no bin")
            for name, count in result["yaw_in_no_bin"].items()
            if count
        ),
    ]
    return "\n".join([conditions, *(f"  {name:<16}{value:>14}" for name, value in rows)])


def plot_ced(path, curves: dict, threshold: float, normaliser_name: str):
    """Draw cumulative error curves {name: NMEs} as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), dpi=120, layout="constrained")
    for name, nmes in curves.items():
        errors, shares = ced(nmes)
        axes.step(100 * errors, 100 * shares, where="post", label=f"{name} ({np.mean(nmes):.2%})")
    axes.axvline(100 * threshold, color="grey", linewidth=0.8, linestyle=":")
    axes.set(
        xlim=(0, 200 * threshold),
        ylim=(0, 100),
        xlabel=f"NME, % {normaliser_name}",
        ylabel="% of faces",
        title="Cumulative error",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path, ".png") as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def _part(nmes) -> dict:
    return {"faces": len(nmes), "nme": float(nmes.mean()) if len(nmes) else None}


def _mean(nmes) -> float | None:
    known = nmes[np.isfinite(nmes)]
    return float(known.mean()) if len(known) else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _shown(part: dict) -> str:
    return f"{part['nme']:.2%} of {part['faces']}" if part["faces"] else "no faces"


def check(config):
    """Raise UserError for a normaliser, backend or threshold that makes no sense."""
    if config.normaliser not in NORMALISERS:
        raise UserError(f"--normaliser is one of {', '.join(NORMALISERS)}")
    require_backend(config.backend)
    if config.threshold <= 0:
        raise UserError("--threshold is above 0")


def results_base(model: Path) -> Path:
    """What the names of a model's results start with: a place in the run, or beside the file."""
    kind = kind_of(model)
    if model.is_dir() and kind != SAVED_MODEL:
        return model / "scores"
    return model.with_name(f"{model.stem}-onnx") if kind == "onnx" else model.with_suffix("")


def main():
    config = tyro.cli(EvaluateConfig, prog="python -m senet_kp.evaluate", description=__doc__)
    result, nmes = evaluate(config)
    base = results_base(config.model)
    curve = config.ced or f"{base}-ced.png"
    plot_ced(curve, {config.model.name: nmes}, config.threshold, config.normaliser)
    if config.json == "-":
        print(json.dumps(result, indent=1))
        return
    target = config.json or f"{base}-scores.json"
    write_json(target, result)
    print(score_table(result), f"{target}, {curve}", sep="\n")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
