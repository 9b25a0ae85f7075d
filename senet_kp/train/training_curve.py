"""Reads the course of a training from the metrics.csv of its run folder."""

from pathlib import Path

from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import read_csv

SHOWN_ROWS = 400  # one row per validation; a figure cannot show more points than this


def training_curve(run: Path) -> dict:
    """{"run", "step", "loss", "val_nme", "learning_rate"}: lists, None where not measured.

    A table with more than SHOWN_ROWS rows is thinned out evenly; its last row is always kept.
    Raises InputError if the run folder has no metrics.
    """
    path = run / "metrics.csv"
    rows = read_csv(path)
    if not rows:
        raise InputError(f"{path}: no training metrics found; 'make train' writes them")
    every = -(-len(rows) // SHOWN_ROWS)
    rows = rows[::-every][::-1]
    columns = {
        name: [float(row[name]) if row[name] else None for row in rows]
        for name in ("step", "loss", "val_nme", "learning_rate")
    }
    return {"run": str(run), **columns}
