"""python -m benchmarks.bench_inference export/pretrained/senet68.pb out/senet.onnx out/dlib68.dat

Measure the latency per face of every model file in every inference engine that runs it, on one and
on two threads, all in turn. The table also has the NME on the test split, the file size, and time
and memory of a cold start: a new Python process up to the first predicted landmarks.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from benchmarks.measure import (
    Record,
    conditions,
    footnote,
    interleaved_s,
    mark,
    markdown_table,
    read_result,
    report_table,
    with_earlier,
)
from benchmarks.trials import network_size
from senet_kp.export.parity import points_on
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import BACKENDS, open_backend
from senet_kp.inference.model_card import find_card, kind_of
from senet_kp.input.crops import load_crops
from senet_kp.scoring.scores import list_conditions, scores
from senet_kp.tfrecords.errors import ModelError, exit_code_of
from senet_kp.tfrecords.files import size_of
from senet_kp.tfrecords.shards import read_manifest

THREADS = (1, 2)
BLOCK = 20  # faces in a row, so that the weights are in the caches as in real use
START = """
import json, sys
import numpy as np
from senet_kp.train.memory import peak_memory_mb
path, engine, size_px = sys.argv[1:]
from senet_kp.inference.backends import open_backend
run = open_backend(path, engine, 1)
run(np.zeros((int(size_px), int(size_px), 3), np.uint8))
print(json.dumps(peak_memory_mb()))
"""
MATMUL = "from benchmarks.bench_training import matmul_gflop_per_s as f; print(f())"


@dataclass(frozen=True)
class Config:
    models: tyro.conf.Positional[tuple[Path, ...]]
    """model files: frozen graphs, what was exported from them, dlib's predictors"""
    records: Path = Path("out/tfrecords")
    """record folder whose test split scores the models"""
    blocks: int = 15
    """timed rounds of 20 faces for every model, engine and number of threads, after a warm-up"""
    starts: int = 5
    """timed cold starts"""
    write: bool = False
    """keep the result in benchmarks/results/inference.json, the table in the docs; rows of files
    that are not named stay as they are there"""


def bench(config: Config) -> dict:
    """Score and time every model in every engine; raises ModelError if no engine runs a model."""
    manifest = read_manifest(config.records)
    crops = load_crops(config.records, manifest, "test")
    size_px = manifest["box"]["size_px"]
    pairs = [(path, engine) for path in config.models for engine in engines_of(path, size_px)]
    runs = {
        (path, engine, n): open_backend(path, engine, n)
        for path, engine in pairs
        for n in THREADS
        if n == 1 or engine != "dlib"  # dlib runs on one thread
    }
    facts = {path: _facts(path, manifest) for path in config.models}
    rows = {
        (path, engine): {"file": path.name, "engine": engine} | facts[path]
        for path, engine in pairs
    }
    record = Record("inference")
    for pair in pairs:
        points = points_on(runs[(*pair, 1)], crops)
        rows[pair]["nme"] = scores(points, crops, scheme_of(manifest))["nme"]
        rows[pair] |= _starts(*pair, size_px, config.starts)
        found = {key: rows[pair][key] for key in ("nme", "start_ms", "peak_mb")}
        record.add(f"{pair[0].name}, {pair[1]}", **found)
    for (path, engine, threads), ms in _latencies_ms(runs, crops.images, config.blocks).items():
        rows[path, engine][f"ms_{threads}"] = ms
        record.add(f"{path.name}, {engine}, {threads} threads", **ms)
    peak = {n: _matmul_gflop_per_s(n) for n in THREADS}
    for row in rows.values():
        if "mflop" in row:
            row["share_of_product"] = row["mflop"] / row["ms_1"]["p50"] / peak[1]
    return {
        "conditions": conditions(
            faces_timed=BLOCK * config.blocks,
            faces_scored=len(crops),
            size_px=size_px,
            normaliser="inter-ocular",
            starts=config.starts,
        )
        | list_conditions(manifest, "test"),
        "product_gflop_per_s": {str(n): rate for n, rate in peak.items()},
        "rows": list(rows.values()),
    }


def engines_of(path: Path, size_px: int) -> list[str]:
    """The engines that run a model file on crops of this size; raises ModelError if none does."""
    able, reasons = [], []
    for name, engine in BACKENDS.items():
        if kind_of(path) in engine.READS:
            try:
                open_backend(path, name)(np.zeros((size_px, size_px, 3), np.uint8))
                able.append(name)
            except ModelError as error:
                reasons.append(str(error))
    if not able:
        raise ModelError(f"{path}: no engine runs it: {'; '.join(reasons)}")
    return able


def _facts(path: Path, manifest: dict) -> dict:
    """The size of a file in bytes; of a network also its weights and millions of operations."""
    facts = {"bytes": size_of(path)}
    if network := (find_card(path) or {}).get("network"):
        facts["weights"], facts["mflop"] = network_size(network, manifest)
    return facts


def _starts(path: Path, engine: str, size_px: int, repeats: int) -> dict:
    """Measure cold starts: milliseconds to the first landmarks, and peak memory of the process."""
    command = [sys.executable, "-c", START, str(path), engine, str(size_px)]
    found = []

    def start():
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))

    seconds = interleaved_s({"": start}, repeats)[""]
    return {"start_ms": 1000 * float(np.median(seconds)), "peak_mb": max(found)}


def _matmul_gflop_per_s(threads: int) -> float:
    """Measure the matmul peak of NumPy on this number of threads, in GFLOP/s."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    command = [sys.executable, "-c", MATMUL]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout)


def _latencies_ms(runs: dict, images, blocks: int) -> dict:
    """Time all runs in turn; return the percentiles {"p50", "p95"} of milliseconds per face."""
    ms = {name: [] for name in runs}
    for turn in range(blocks + 1):
        for name, run in runs.items():
            cv2.setNumThreads(name[-1])  # OpenCV has one setting per process, not per network
            faces = iter(images[np.arange(turn * BLOCK, (turn + 1) * BLOCK + 2) % len(images)])
            seconds = interleaved_s({"": lambda r=run, f=faces: r(next(f))}, BLOCK, warmup=2)[""]
            ms[name] += [1000 * s for s in seconds] if turn else []
    return {
        name: dict(zip(("p50", "p95"), np.percentile(values, (50, 95)).tolist(), strict=True))
        for name, values in ms.items()
    }


def with_older_rows(result: dict, older: dict) -> dict:
    """Add the rows of an older result for other files; raises UserError if its records differ."""

    def by_name(result: dict) -> dict:
        return {(row["file"], row["engine"]): row for row in result["rows"]}

    rows = with_earlier(result, older, by_name, ("size_px", "records_sha256"))
    return result | {"rows": list(rows.values())}


def table(result: dict) -> str:
    """Return the result as a Markdown table, fastest first."""
    columns = [
        "file",
        "engine",
        "NME",
        "ms, 1 thread (p95)",
        "2 threads (p95)",
        "weights",
        "MFLOP",
        "share of matmul peak",
        "size",
        "start",
        "memory",
    ]
    rows = [
        [
            f"`{row['file']}`{mark(row)}",
            row["engine"],
            f"{row['nme']:.2%}",
            *(_ms(row.get(f"ms_{n}")) for n in THREADS),
            *_network(row),
            f"{row['bytes'] / 1e6:.1f} MB",
            f"{row['start_ms']:.0f} ms",
            f"{row['peak_mb']:.0f} MB",
        ]
        for row in sorted(result["rows"], key=lambda row: row["ms_1"]["p50"])
    ]
    return markdown_table(columns, rows) + footnote(result["rows"])


def _network(row: dict) -> list[str]:
    """Return weights, operations and the share of the matmul peak; empty texts for trees."""
    if "mflop" not in row:
        return ["", "", ""]
    million, share = row["weights"] / 1e6, row["share_of_product"]
    return [f"{million:.2f} M", f"{row['mflop']:.0f}", f"{share:.0%}"]


def _ms(percentiles: dict | None) -> str:
    return f"{percentiles['p50']:.1f} ({percentiles['p95']:.1f})" if percentiles else ""


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.bench_inference", description=__doc__)
    result = bench(config)
    if config.write:
        result = with_older_rows(result, read_result("inference"))
    report_table("inference", result, table(result), config.write)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
