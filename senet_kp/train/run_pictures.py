"""Draws the two pictures that a training keeps up to date in its run folder."""

from pathlib import Path

import numpy as np

from senet_kp.face.pictures import encode_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops
from senet_kp.input.prediction_sheet import prediction_sheet
from senet_kp.tfrecords.files import atomic_path, write_bytes
from senet_kp.train.training_curve import training_curve

CURVES, PREDICTIONS = "curves.png", "predictions.png"
SHOWN_FACES = 8
TRAIN, VAL, MINIMISED = "training", "validation", "training, with all terms and L2"
COLOURS = {TRAIN: "tab:blue", VAL: "tab:orange", MINIMISED: "lightsteelblue", "": "tab:green"}
# Label, factor, scale, and the names of the columns of metrics.csv in each panel of curves.png.
PANELS = (
    ("loss", 1, "log", {"loss": MINIMISED, "train_loss": TRAIN, "val_loss": VAL}),
    ("MAE, % of the box", 100, "linear", {"train_mae": TRAIN, "val_mae": VAL}),
    ("NME, %", 100, "linear", {"val_nme": VAL}),
    ("learning rate", 1, "linear", {"learning_rate": ""}),
)


def write_predictions(run: Path, val: Crops, predicted, scheme: LandmarkScheme) -> bytes:
    """Draw the first faces with their true landmarks (green) and the predicted ones (red).

    predicted: [n, N, 2], box-relative. Writes predictions.png and returns the PNG's bytes.
    """
    png = encode_picture(prediction_sheet(val, predicted, scheme, SHOWN_FACES), ".png")
    write_bytes(run / PREDICTIONS, png)
    return png


def write_curves(run: Path):
    """Plot loss, error, NME and learning rate, from the run's metrics.csv, as curves.png.

    The panels of loss and error have the training and the validation side in one picture. The
    horizontal axis is in steps at the bottom and in epochs at the top.
    """
    from matplotlib.figure import Figure  # slow to import, and only needed after a validation

    curve = training_curve(run)
    figure = Figure(figsize=(7, 10), dpi=100, layout="constrained")
    every_axes = figure.subplots(len(PANELS), sharex=True)
    for axes, (label, factor, scale, lines) in zip(every_axes, PANELS, strict=True):
        for column, name in lines.items():
            if any(value is not None for value in curve[column]):
                values = factor * np.array(curve[column], np.float64)  # None becomes NaN: a gap
                axes.plot(curve["step"], values, marker=".", label=name, color=COLOURS[name])
        axes.set(ylabel=label, yscale=scale)
        axes.grid(alpha=0.3)
        if axes.lines and len(lines) > 1:
            axes.legend()
    every_axes[-1].set_xlabel("step")
    _add_epochs(every_axes[0], curve)
    with atomic_path(run / CURVES, ".png") as temporary:
        figure.savefig(temporary)


def _add_epochs(axes, curve: dict):
    """Add an axis in epochs at the top, unless an earlier version wrote the table."""
    known = [pair for pair in zip(curve["step"], curve["epoch"], strict=True) if pair[1]]
    if known:
        step, epoch = known[-1]
        factor = epoch / step
        top = axes.secondary_xaxis("top", functions=(lambda s: s * factor, lambda e: e / factor))
        top.set_xlabel("epoch")
