"""Draws the two pictures that a training keeps up to date in its run folder."""

from pathlib import Path

import numpy as np

from senet_kp.face.draw import GREEN, RED, contact_sheet, drawn_face
from senet_kp.face.pictures import encode_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops
from senet_kp.tfrecords.files import atomic_path, write_bytes
from senet_kp.train.training_curve import training_curve

CURVES, PREDICTIONS = "curves.png", "predictions.png"
SHOWN_FACES, COLUMNS, ENLARGED = 8, 4, 2


def write_predictions(run: Path, val: Crops, predicted, scheme: LandmarkScheme) -> bytes:
    """Draw the first faces with their true landmarks (green) and the predicted ones (red).

    predicted: [n, N, 2], box-relative. Writes predictions.png and returns the PNG's bytes.
    """
    shown = zip(val.images, val.landmarks, val.mask, predicted[:SHOWN_FACES], strict=False)
    faces = [
        drawn_face(image, ((truth[known], GREEN), (points, RED)), scheme, ENLARGED)
        for image, truth, known, points in shown
    ]
    png = encode_picture(contact_sheet(faces, COLUMNS), ".png")
    write_bytes(run / PREDICTIONS, png)
    return png


def write_curves(run: Path):
    """Plot loss, learning rate and validation NME over the steps, from the run's metrics.csv."""
    from matplotlib.figure import Figure  # slow to import, and only needed after a validation

    curve = training_curve(run)
    panels = (
        ("loss", "loss of the step", 1, "log"),
        ("learning_rate", "learning rate", 1, "linear"),
        ("val_nme", "validation NME, %", 100, "linear"),
    )
    figure = Figure(figsize=(7, 8), dpi=100, layout="constrained")
    for axes, (column, label, factor, scale) in zip(
        figure.subplots(len(panels), sharex=True), panels, strict=True
    ):
        values = factor * np.array(curve[column], np.float64)  # None becomes NaN: a gap
        axes.plot(curve["step"], values, marker=".")
        axes.set(ylabel=label, yscale=scale)
        axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    with atomic_path(run / CURVES, ".png") as temporary:
        figure.savefig(temporary)
