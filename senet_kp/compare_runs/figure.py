"""The picture of the curves of several training runs."""

from pathlib import Path

import numpy as np

from senet_kp.tfrecords.files import atomic_path

# Label and factor of each row of the picture, and its training and validation columns.
ROWS = (
    ("loss", 1, "train_loss", "val_loss"),
    ("MAE, % of the box", 100, "train_mae", "val_mae"),
    ("NME, %", 100, None, "val_nme"),
)
AXES = {"step": "step", "minutes": "minutes of training"}


def draw_curves(path: Path, names: list[str], curves: list[dict], notes: list[str]):
    """Draw the curves of `training_curve` as a PNG: a colour for each run, named in the legend.

    The left column is over the steps, the right one over the minutes. Validation is solid, training
    dashed. A run of an earlier version, which did not measure the loss of the landmarks alone, has
    the minimised loss, dotted. notes: sentences below the picture.
    """
    from matplotlib.figure import Figure  # takes 0.3 s to import, which --help need not wait for

    figure = Figure(figsize=(11, 10), dpi=100, layout="constrained")
    grid = figure.subplots(len(ROWS), len(AXES), sharex="col", sharey="row")
    for row, (label, factor, train, val) in zip(grid, ROWS, strict=True):
        row[0].set(ylabel=label, yscale="log" if label == "loss" else "linear")
        for axes, x in zip(row, AXES, strict=True):
            axes.grid(alpha=0.3)
            for index, curve in enumerate(curves):
                _draw(axes, curve, x, val, factor, color=f"C{index % 10}", marker=".")
                if train:
                    drawn = _draw(axes, curve, x, train, factor, color=f"C{index % 10}", ls="--")
                    if not drawn and train == "train_loss":
                        _draw(axes, curve, x, "loss", 1, color=f"C{index % 10}", ls=":")
    for axes, name in zip(grid[-1], AXES.values(), strict=True):
        axes.set_xlabel(name)
    figure.legend(*_legend(names), loc="outside upper center", ncols=2)
    figure.supxlabel("\n".join(notes), fontsize=9)
    with atomic_path(path, ".png") as temporary:
        figure.savefig(temporary)


def _draw(axes, curve: dict, x: str, column: str, factor: float, **style) -> bool:
    """Draw a column over the column x; return whether the run has measured both."""
    values = np.array([curve[x], curve[column]], np.float64)  # None becomes NaN: a gap
    if not np.isfinite(values).all(axis=0).any():
        return False
    axes.plot(values[0], factor * values[1], **style)
    return True


def _legend(names: list[str]) -> tuple[list, list[str]]:
    """The lines and texts of the legend."""
    from matplotlib.lines import Line2D

    colours = [Line2D([], [], color=f"C{index % 10}", lw=4) for index in range(len(names))]
    kinds = {"validation": "-", "training": "--"}
    lines = [Line2D([], [], color="black", ls=style) for style in kinds.values()]
    # Matplotlib reads a dollar sign as the start of a formula, and hides names that begin with "_".
    texts = [" " + name.replace("$", r"\$") for name in names]
    return [*colours, *lines], [*texts, *kinds]
