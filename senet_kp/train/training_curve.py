"""Reads the course of a training from the metrics.csv of its run folder."""

from pathlib import Path

from senet_kp.tfrecords.errors import InputError, brief
from senet_kp.tfrecords.files import read_csv

SHOWN_ROWS = 400  # one row per validation; a figure cannot show more points than this
COLUMNS = (
    "step",
    "epoch",
    "minutes",
    "learning_rate",
    "loss",
    "train_loss",
    "val_loss",
    "train_mae",
    "val_mae",
    "val_nme",
)


def training_curve(run: Path) -> dict:
    """{"run"} and a list for each of COLUMNS, with None where a value was not measured.

    Columns that the version which wrote the file did not have yet are None throughout. A table with
    more than SHOWN_ROWS rows is thinned out evenly; its last row is always kept. Raises InputError
    if the run folder has no metrics, or a value is not a number.
    """
    path = run / "metrics.csv"
    rows = read_csv(path)
    if not rows:
        raise InputError(f"{path}: no training metrics found; 'make train' writes them")
    every = -(-len(rows) // SHOWN_ROWS)
    rows = rows[::-every][::-1]
    try:
        columns = {name: [_number(row.get(name)) for row in rows] for name in COLUMNS}
    except ValueError as error:
        raise InputError(f"{path}: not a table of training metrics ({brief(error)})") from None
    return {"run": str(run), **columns}


def _number(text: str | None) -> float | None:
    return float(text) if text else None
