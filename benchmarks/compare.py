"""python -m benchmarks.compare --records out/tfrecords --out out/compare

Trains every network, and dlib's shape predictor, on the train split of the same records for the
same number of pictures. Scores them on the test split, and times one face on one thread and a
training step on all threads. What it will need (faces on both splits, packages, a writable output,
rows to keep that are comparable) is checked before the first training. A system that is trained
already is not trained again, and an interrupted training is resumed. With --write, the table goes
into the documentation, and the numbers and the plot into benchmarks/results/; rows of systems that
--systems leaves out are kept.
"""

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from operator import itemgetter
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro

from benchmarks.bench_training import in_turn
from benchmarks.compare_checks import (
    DIFFERENT,
    check_models,
    check_networks,
    check_programs,
    check_records,
    check_values,
    training_of,
)
from benchmarks.measure import (
    RESULTS,
    Record,
    conditions,
    footnote,
    interleaved_s,
    mark,
    markdown_table,
    read_result,
    report_table,
    summary,
    with_earlier,
)
from benchmarks.training_step import StepConfig
from benchmarks.trials import network_size
from senet_kp.face.metrics import nme
from senet_kp.face.scheme import scheme_of
from senet_kp.input.crops import load_crops
from senet_kp.nets import NETWORKS
from senet_kp.report.bootstrap import estimates
from senet_kp.scoring.models import open_model
from senet_kp.scoring.scores import list_conditions
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_path, write_json
from senet_kp.tfrecords.shards import read_manifest

DLIB = "dlib"
SYSTEMS = (*NETWORKS, DLIB)
SPEED_ROUNDS = 3


@dataclass(frozen=True)
class CompareConfig:
    records: Path = Path("out/tfrecords")
    """record folder"""
    out: Path = Path("out/compare")
    """folder for training runs and models"""
    systems: tuple[Literal[SYSTEMS], ...] = SYSTEMS
    """systems to compare"""
    images: int = 20_000
    """pictures that each training sees; for dlib, faces times starting shapes"""
    batch_size: int = 32
    """pictures per training step"""
    repeats: int = 200
    """timed faces per system"""
    speed_s: float = 8.0
    """length in seconds of each of three measurements of training throughput"""
    seed: int = 0
    """random seed of the trainings"""
    write: bool = False
    """store the result and the plot in benchmarks/results/, and update the documentation"""


def compare(config: CompareConfig) -> dict:
    """Train the systems that are not trained yet; score and time all of them."""
    manifest = read_manifest(config.records)
    check(config, manifest)
    models = {name: _trained(name, config, manifest) for name in config.systems}
    crops = load_crops(config.records, manifest, "test")
    rows, record = {}, Record("measurements", config.out)
    with ExitStack() as opened:
        ready = {
            name: opened.enter_context(open_model(path, config.records, manifest))
            for name, path in models.items()
        }
        for name, model in ready.items():
            rows[name] = _scored(model, crops, manifest, config.seed)
            rows[name] |= _size(name, models[name], manifest)
            record.add(name, nme=rows[name]["nme"]["value"])
        for name, ms in _latencies_ms(ready, crops.images, config.repeats).items():
            rows[name]["latency_ms"] = summary(ms)
            record.add(name, latency_ms=rows[name]["latency_ms"]["median"])
    for name, speeds in _training_speeds(config, record).items():
        rows[name]["images_per_s"] = summary(speeds)
    return {"conditions": _conditions(config, manifest), "systems": rows}


def check(config: CompareConfig, manifest: dict):
    """Raise UserError or one of its subclasses for what would stop the comparison at its end."""
    check_values(config)
    with_dlib = DLIB in config.systems
    check_programs(config.out, with_dlib)
    check_records(config, manifest, with_dlib)
    if config.write:
        planned = dict.fromkeys(config.systems, {})
        with_older_rows(
            {"conditions": _conditions(config, manifest), "systems": planned},
            read_result("compare"),
        )
    networks = {name: training_of(name, config) for name in config.systems if name != DLIB}
    check_networks(networks, manifest)
    paths = [_model_path(name, config) for name in config.systems]
    check_models(paths, config.records, manifest)


def _conditions(config: CompareConfig, manifest: dict) -> dict:
    return conditions(
        images=config.images,
        batch_size=config.batch_size,
        faces=manifest["sides"]["test"]["records"],
        repeats=config.repeats,
        threads_of_latency=1,
        size_px=manifest["box"]["size_px"],
        metric="NME, inter-ocular",
    ) | list_conditions(manifest, "test")


def _model_path(name: str, config: CompareConfig) -> Path:
    return config.out / ("dlib.dat" if name == DLIB else f"{name}.pb")


def _trained(name: str, config: CompareConfig, manifest: dict) -> Path:
    """Return the path of the model of a system, training it if it does not exist."""
    if name == DLIB:
        return _dlib(config, manifest)
    training, model = training_of(name, config), _model_path(name, config)
    settings = {
        key.replace("_", "-"): getattr(training, key)
        for key in ("records", "run", "net", "steps", "batch_size", "schedule", "bn_decay")
        + ("validate_every_steps", "seed", *DIFFERENT.get(name, ()))
    }
    _call("senet_kp.train.loop", settings)
    if not model.exists():
        _call(
            "senet_kp.export.freeze", {"run": training.run, "records": config.records, "out": model}
        )
    return model


def _dlib(config: CompareConfig, manifest: dict) -> Path:
    model = _model_path(DLIB, config)
    if not model.exists():
        shapes = max(1, round(config.images / manifest["sides"]["train"]["records"]))
        settings = {
            "records": config.records,
            "out": model,
            "seed": config.seed,
            "trees.oversampling-amount": shapes,
        }
        _call("benchmarks.dlib_baseline", settings)
    return model


def _call(module: str, settings: dict):
    flags = [str(text) for name, value in settings.items() for text in (f"--{name}", value)]
    done = subprocess.run([sys.executable, "-m", module, *flags], check=False)
    if done.returncode:
        raise UserError(f"{module} ended with exit code {done.returncode}; see its message above")


def _scored(model, crops, manifest: dict, seed: int) -> dict:
    predicted, scheme = model.predict(crops.images), scheme_of(manifest)
    nmes = nme(crops.normalised_errors(predicted, scheme, "inter-ocular"))
    known = np.isfinite(nmes)
    groups = np.array(crops.groups)[known]
    return {"nme": estimates({"nme": np.mean}, nmes[known], groups, seed)["nme"]}


def _size(name: str, model: Path, manifest: dict) -> dict:
    """Return the size of the model file in bytes, and weights and operations of a network."""
    sizes = {"bytes": model.stat().st_size}
    if name != DLIB:
        sizes["weights"], sizes["mflop"] = network_size(name, manifest)
    return sizes


def _training_speeds(config: CompareConfig, record: Record) -> dict[str, list[float]]:
    """Measure the training throughput of every network with real input, in pictures per second."""
    networks = [name for name in config.systems if name != DLIB]
    steps = {
        name: StepConfig(config.records, name, config.batch_size, True, os.cpu_count() or 1)
        for name in networks
    }
    found = in_turn(steps, SPEED_ROUNDS, config.speed_s, {}, record)
    return {name: [run["images_per_s"] for run in runs] for name, runs in found.items()}


def _latencies_ms(models: dict, images, repeats: int) -> dict[str, list[float]]:
    """Time the models in turn, on single faces and one thread; return {name: milliseconds}."""
    cv2.setNumThreads(1)
    faces = {name: cycle(images) for name in models}
    turns = {
        name: (lambda m=model, f=faces[name]: m.run(next(f))) for name, model in models.items()
    }
    seconds = interleaved_s(turns, repeats, warmup=20)
    return {name: [1000 * s for s in values] for name, values in seconds.items()}


def with_older_rows(result: dict, older: dict) -> dict:
    """Add the rows of an older comparison for other systems.

    Raises UserError if the conditions of the two differ.
    """
    same = ("images", "batch_size", "size_px", "records_sha256")
    return result | {"systems": with_earlier(result, older, itemgetter("systems"), same)}


def table(result: dict) -> str:
    """Return the comparison as a Markdown table, the most accurate system first."""
    columns = [
        "system",
        "NME (95 % interval)",
        "ms a face",
        "weights",
        "MFLOP",
        "file",
        "trains, faces/s",
    ]
    rows = []
    for name, row in sorted(result["systems"].items(), key=lambda item: item[1]["nme"]["value"]):
        error, has_layers = row["nme"], "weights" in row
        interval = (
            f" ({error['low']:.2%} to {error['high']:.2%})" if error["low"] is not None else ""
        )
        rows.append(
            [
                f"`{name}`{mark(row)}",
                f"{error['value']:.2%}{interval}",
                f"{row['latency_ms']['median']:.1f}",
                f"{row['weights'] / 1e6:.2f} M" if has_layers else "",
                f"{row['mflop']:,.0f}" if has_layers else "",
                f"{row['bytes'] / 1e6:.1f} MB",
                f"{row['images_per_s']['median']:.0f}" if has_layers else "",
            ]
        )
    return markdown_table(columns, rows) + footnote(result["systems"].values())


def plot(result: dict, path: Path):
    """Plot NME over latency, with one point per system, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), dpi=120, layout="constrained")
    for name, row in result["systems"].items():
        at = row["latency_ms"]["median"], 100 * row["nme"]["value"]
        axes.plot(*at, "o")
        axes.annotate(name, at, xytext=(5, 5), textcoords="offset points")
    axes.set(
        xscale="log",
        xlabel="milliseconds per face, one thread",
        ylabel="NME, %",
        title=f"each trained on {result['conditions']['images']:,} pictures",
    )
    for formatted in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatted("{x:g}")
    axes.margins(x=0.25, y=0.15)
    axes.grid(alpha=0.3, which="both")
    with atomic_path(path, ".png") as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def main():
    config = tyro.cli(CompareConfig, prog="python -m benchmarks.compare", description=__doc__)
    result = compare(config)
    if config.write:
        result = with_older_rows(result, read_result("compare"))
    else:
        write_json(config.out / "compare.json", result)
    plot(result, (RESULTS if config.write else config.out) / "compare.png")
    report_table("compare", result, table(result), config.write)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
