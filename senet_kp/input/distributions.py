"""Plots the distributions of the landmarks of a split: where each lies in the face box."""

from pathlib import Path

import numpy as np

from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.files import atomic_path

BINS = 80  # of the histograms, between the smallest and the largest coordinate
SHARES = (0.5, 0.05, 0.25, 0.75, 0.95)  # quantiles: median, outer and inner range


def write_distributions(path: Path, landmarks, scheme: LandmarkScheme):
    """Write a PNG with a violin for the x and one for the y of every landmark.

    landmarks: [n, N, 2], box-relative; NaN where not labelled. The width of a violin is
    proportional to the number of faces at that coordinate; its bars show the median and the ranges
    of the middle 50 % and 90 % of the faces. Landmarks that no face has stay empty.
    """
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(max(7, 0.2 * scheme.count), 8), dpi=100, layout="constrained")
    for axes, name, values in zip(
        figure.subplots(2, sharex=True), "xy", np.moveaxis(landmarks, 2, 0), strict=True
    ):
        _draw(axes, [column[np.isfinite(column)] for column in values.T])
        axes.set(ylabel=f"{name}, in face boxes", xlim=(-1, scheme.count))
        axes.grid(alpha=0.3)
        axes.axhspan(0, 1, color="tab:green", alpha=0.05)  # the face box
    axes.invert_yaxis()  # as in pictures, y grows downwards
    axes.set_xlabel(f"landmark of {scheme.name}, {len(landmarks):,} faces of the train split")
    with atomic_path(path, ".png") as temporary:
        figure.savefig(temporary)


def _draw(axes, columns: list):
    """Draw the histogram of each column of coordinates as a violin, in place of the landmark."""
    known = [column for column in columns if len(column)]
    edges = np.linspace(min(map(np.min, known)), max(map(np.max, known)), BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    for number, column in enumerate(columns):
        if not len(column):
            continue
        counts = np.histogram(column, edges)[0]
        half = 0.45 * counts / counts.max()
        axes.fill_betweenx(
            centres, number - half, number + half, color="tab:blue", alpha=0.6, linewidth=0
        )
        median, low, lower, upper, high = np.quantile(column, SHARES)
        axes.vlines(number, low, high, colors="black", linewidth=0.6)
        axes.vlines(number, lower, upper, colors="black", linewidth=2)
        axes.plot(number, median, "w.", markersize=3)
