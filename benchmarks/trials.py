"""python -m benchmarks.trials out/run --records out/tfrecords --note "wider path"

Add finished trainings to the table of trials, benchmarks/trials.csv: the settings that differ from
the network's recipe, the NME on the val split (never the test split, because trials are used to
choose settings), the cost of training and the latency. It takes about 20 s per run on an idle
machine.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from benchmarks.measure import interleaved_s
from senet_kp.export.freeze import frozen_graph
from senet_kp.export.parity import points_on
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import OpenCVBackend
from senet_kp.input.crops import load_crops
from senet_kp.nets.tf1 import tf
from senet_kp.scoring.scores import scores
from senet_kp.tfrecords.errors import exit_code_of
from senet_kp.tfrecords.files import read_csv, write_csv
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.checkpoints import build_inference_graph, checkpoint_prefix, read_settings
from senet_kp.train.config import flat_settings, recipe
from senet_kp.train.graph import weight_count
from senet_kp.train.run_folder import FREE

TABLE = Path(__file__).parent / "trials.csv"


@dataclass(frozen=True)
class TrialsConfig:
    runs: tyro.conf.Positional[tuple[Path, ...]]
    """run folders of finished trainings"""
    records: Path = Path("out/tfrecords")
    """record folder that they were trained on"""
    note: str = ""
    """a change that is not a setting, for example in the code of the network"""
    table: Path = TABLE
    """csv file to add the rows to"""


def trial_row(run: Path, records: Path, note: str) -> dict:
    """Return the row of one run: its settings, accuracy, cost and latency."""
    settings, manifest = read_settings(run), read_manifest(records)
    crops = load_crops(records, manifest, "val")
    graph, _ = frozen_graph(settings, manifest, checkpoint_prefix(run), crops.images[:1])
    engine = OpenCVBackend(graph)
    result = scores(points_on(engine, crops), crops, scheme_of(manifest))
    last = read_csv(run / "metrics.csv")[-1]
    weights, mflop = network_size(settings["net"], manifest)
    return {
        "trial": run.name,
        "net": settings["net"],
        "settings": "; ".join(filter(None, [note, *_differences(settings)])),
        "images": last["images"],
        "minutes": f"{float(last['minutes']):.0f}",
        "val_nme": f"{result['nme']:.4f}",
        **{f"val_nme_{name}": f"{part['nme']:.4f}" for name, part in result["subsets"].items()},
        "weights": weights,
        "mflop": round(mflop),
        "latency_ms": f"{_latency_ms(engine, crops.images[0]):.2f}",
    }


def network_size(net: str, manifest: dict) -> tuple[int, float]:
    """Return the number of weights, and the MFLOP for one face as counted by TensorFlow.

    A multiply-add counts as two operations.
    """
    with tf.Graph().as_default() as graph:
        build_inference_graph(net, manifest)
        weights = weight_count(net)
        options = tf.profiler.ProfileOptionBuilder.float_operation() | {"output": "none"}
        total = tf.profiler.profile(graph, options=options).total_float_ops
    return weights, total / 1e6


def add_rows(table: Path, rows: list[dict]):
    """Add rows to the table, replacing older rows with the same name."""
    names = {row["trial"] for row in rows}
    every = [row for row in read_csv(table) if row["trial"] not in names] + rows
    columns = list(dict.fromkeys(key for row in every for key in row))
    write_csv(table, columns, ([row.get(key, "") for key in columns] for row in every))


def _differences(settings: dict) -> list[str]:
    """Return the settings that differ from the recipe of the network, including `steps`."""
    usual = flat_settings(asdict(recipe(settings["net"])))
    own = {key: value for key, value in flat_settings(settings).items() if key in usual}
    skipped = FREE - {"steps"} | {"net"}
    return [
        f"{key} {value}" for key, value in own.items() if value != usual[key] and key not in skipped
    ]


def _latency_ms(engine, image) -> float:
    """Return the median latency over 200 faces on one thread."""
    cv2.setNumThreads(1)
    return 1000 * float(np.median(interleaved_s({"": lambda: engine(image)}, 200, warmup=20)[""]))


def main():
    config = tyro.cli(TrialsConfig, prog="python -m benchmarks.trials", description=__doc__)
    for run in config.runs:
        row = trial_row(run, config.records, config.note)
        add_rows(config.table, [row])
        print("\n".join(f"{key:>16}: {value}" for key, value in row.items()), end="\n\n")
    print(config.table)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
