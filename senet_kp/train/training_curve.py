"""How a training went, from the table that its run folder holds."""

from pathlib import Path

from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.files import read_csv

SHOWN_ROWS = 400  # a validation each; more points than that no figure can show


def training_curve(run: Path) -> dict:
    """{"run", "step", "loss", "val_nme", "learning_rate"}: lists, None where not measured.

    A long training's rows are thinned out evenly. Raises InputError where there are none.
    """
    path = run / "metrics.csv"
    rows = read_csv(path)
    if not rows:
        raise InputError(f"{path}: no training to show; 'make train' writes it")
    every = -(-len(rows) // SHOWN_ROWS)
    rows = rows[::-every][::-1]  # the last one is always shown
    columns = {
        name: [float(row[name]) if row[name] else None for row in rows]
        for name in ("step", "loss", "val_nme", "learning_rate")
    }
    return {"run": str(run), **columns}
