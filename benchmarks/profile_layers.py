"""python -m benchmarks.profile_layers export/pretrained/senet68.pb

Profile a frozen graph in OpenCV: the time for one face by layer and by type of layer, measured by
OpenCV's getPerfProfile on one thread, as medians over the runs. Layers that OpenCV fuses into
others take no time and are not counted.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from benchmarks.measure import conditions, markdown_table, report_table
from senet_kp.inference.model_card import INPUT_NODE, OUTPUT_NODE, read_card
from senet_kp.tfrecords.errors import exit_code_of

WARMUP = 20


@dataclass(frozen=True)
class Config:
    model: tyro.conf.Positional[Path] = Path("export/pretrained/senet68.pb")
    """frozen graph"""
    runs: int = 300
    """number of timed runs"""
    write: bool = False
    """keep the result in benchmarks/results/layers.json, the table in the docs"""


def profile(config: Config) -> dict:
    """Return the milliseconds by layer and by type of layer; raises ModelError."""
    size_px = read_card(config.model)["input"]["shape"][1]
    layers, whole_ms = _layer_ms(str(config.model), size_px, config.runs)
    kinds = defaultdict(list)
    for layer in layers:
        kinds[layer["kind"]].append(layer["ms"])
    rows = [{"kind": kind, "layers": len(ms), "ms": sum(ms)} for kind, ms in kinds.items()]
    return {
        "conditions": conditions(
            model=config.model.name, size_px=size_px, runs=config.runs, threads=1
        ),
        "whole_ms": whole_ms,
        "layers_ms": sum(layer["ms"] for layer in layers),
        "kinds": sorted(rows, key=lambda row: -row["ms"]),
        "layers": sorted(layers, key=lambda layer: -layer["ms"]),
    }


def _layer_ms(model: str, size_px: int, runs: int) -> tuple[list[dict], float]:
    """Return name, type and median time of every layer that takes time, and of a whole run."""
    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromTensorflow(model)
    picture = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), np.uint8)
    blob = cv2.dnn.blobFromImage(picture)
    ticks, wholes = [], []
    for run in range(WARMUP + runs):
        net.setInput(blob, INPUT_NODE)
        began = cv2.getTickCount()
        net.forward(OUTPUT_NODE)
        if run >= WARMUP:
            wholes.append(cv2.getTickCount() - began)
            ticks.append(np.ravel(net.getPerfProfile()[1]))
    ms = 1000 * np.median(ticks, axis=0) / cv2.getTickFrequency()
    names = net.getLayerNames()
    layers = [
        {"layer": name, "kind": net.getLayer(name).type, "ms": float(value)}
        for name, value in zip(names, ms, strict=True)
        if value > 0
    ]
    return layers, 1000 * float(np.median(wholes)) / cv2.getTickFrequency()


def table(result: dict, kinds: int = 6) -> str:
    """Return the slowest types of layer as a Markdown table."""
    whole = result["whole_ms"]
    rows = [
        [row["kind"], str(row["layers"]), f"{row['ms']:.2f}", f"{row['ms'] / whole:.0%}"]
        for row in result["kinds"][:kinds]
    ]
    rest = whole - sum(row["ms"] for row in result["kinds"][:kinds])
    rows += [
        ["all else, and between layers", "", f"{rest:.2f}", f"{rest / whole:.0%}"],
        ["a face", "", f"{whole:.2f}", ""],
    ]
    return markdown_table(["kind of layer", "layers", "ms", "share"], rows)


def slowest(result: dict, layers: int = 15) -> str:
    """Return the slowest layers as a Markdown table."""
    rows = [
        [f"`{row['layer']}`", row["kind"], f"{row['ms']:.3f}"] for row in result["layers"][:layers]
    ]
    return markdown_table(["layer", "kind", "ms"], rows)


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.profile_layers", description=__doc__)
    result = profile(config)
    print(slowest(result))
    report_table("layers", result, table(result), config.write)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
