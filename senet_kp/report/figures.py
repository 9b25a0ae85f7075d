"""The charts of the report as SVG.

Text and axes take the page's text colour, so that the charts are readable in light and dark mode.
Every chart function takes the numbers of the report and returns one `<svg>` element. The charts
contain no text from outside, such as model names; these are in the legends of the page.
"""

import io
import re

import numpy as np

INK = "#010203"  # placeholder, which _for_page replaces with the page's text colour
# The contrast with white and with near-black is at least 3.
COLOURS = ("#3b82f6", "#d97706", "#059669", "#ef4444", "#8b5cf6", "#0891b2")
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "senet_kp",  # the same figure has the same bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "lines.linewidth": 1.6,
    "grid.alpha": 0.15,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    **dict.fromkeys(
        (
            "text.color",
            "axes.labelcolor",
            "axes.edgecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
        ),
        INK,
    ),
}


def colour_of(index: int) -> str:
    """The colour of the model with this index in the report."""
    return COLOURS[index % len(COLOURS)]


def ced_chart(numbers: dict) -> str:
    """The cumulative error distribution, one curve per model."""
    errors = 100 * np.array(numbers["ced_errors"])
    threshold = numbers["conditions"]["threshold"]

    def draw(axes):
        for index, model in enumerate(numbers["models"]):
            axes.plot(errors, 100 * np.array(model["ced"]), color=colour_of(index))
        axes.axvline(100 * threshold, color=INK, linewidth=0.8, linestyle="--")
        axes.text(100 * threshold, 2, " failure threshold", color=INK, fontsize=8)
        axes.set(xlim=(0, errors[-1]), ylim=(0, 100), xlabel="NME, %", ylabel="% of faces")

    return _svg("ced", draw)


def mean_face_chart(numbers: dict, index: int) -> str:
    """The mean error of each landmark of a model, as a circle with this radius on the mean face."""
    from matplotlib.collections import EllipseCollection

    face = numbers["mean_face"]
    points = np.array(face["points"])
    radii = face["length"] * np.array([model["points"] for model in numbers["models"]], np.float64)
    diameters, margin = (
        2 * np.nan_to_num(radii[index]),
        np.nanmax(radii, initial=0),
    )  # margin: equal for all models

    def draw(axes):
        for line in face["lines"]:
            axes.plot(*points[list(line)].T, color=INK, alpha=0.35, linewidth=0.8)
        axes.add_collection(
            EllipseCollection(
                diameters,
                diameters,
                np.zeros(len(points)),
                units="xy",
                offsets=points,
                transOffset=axes.transData,
                facecolors=(colour_of(index), 0.3),
                edgecolors=colour_of(index),
                linewidths=0.7,
            )
        )
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        axes.set(aspect="equal", xlim=(low[0], high[0]), ylim=(high[1], low[1]))
        axes.set_axis_off()

    return _svg(f"face{index}", draw, height=3.4)


def shift_chart(numbers: dict) -> str:
    """Mean NME against the shift of the box: solid for horizontal, dashed for vertical shifts."""

    def draw(axes):
        for index, boxes in _boxes(numbers):
            colour = colour_of(index)
            shifts = 100 * np.array(boxes["shifts"])
            axes.plot(shifts, 100 * np.array(boxes["nme_shift_x"]), color=colour, marker=".")
            axes.plot(shifts, 100 * np.array(boxes["nme_shift_y"]), "--", color=colour, marker=".")
        axes.set(ylim=(0, None), xlabel="shift, % of the box width", ylabel="NME, %")

    return _svg("shift", draw)


def scale_chart(numbers: dict) -> str:
    """Mean NME against the scale of the box."""

    def draw(axes):
        for index, boxes in _boxes(numbers):
            axes.plot(
                boxes["scales"],
                100 * np.array(boxes["nme_scale"]),
                color=colour_of(index),
                marker=".",
            )
        axes.set(ylim=(0, None), xlabel="scale of the box", ylabel="NME, %")

    return _svg("scale", draw)


def _boxes(numbers: dict) -> list[tuple[int, dict]]:
    """(index, error by box) of each model; predictions of another program have none."""
    return [(i, model["boxes"]) for i, model in enumerate(numbers["models"]) if model["boxes"]]


def loss_chart(numbers: dict) -> str:
    """Loss of training (solid) and validation (dashed), logarithmic, against the training step.

    Where an earlier version made the run, it is the minimised loss instead.
    """
    training = numbers["training"]
    columns = ("train_loss", "val_loss") if has_both_losses(training) else ("loss",)
    return _training_chart("loss", training, columns, "loss", 1, "log")


def has_both_losses(training: dict) -> bool:
    """Whether the training measured its landmark loss, which compares with that of validation."""
    return any(value is not None for value in training["train_loss"])


def val_chart(numbers: dict) -> str:
    """Validation NME against the training step."""
    return _training_chart("val", numbers["training"], ("val_nme",), "validation NME, %", 100)


def _training_chart(name, training: dict, columns, label: str, factor, scale="linear") -> str:
    def draw(axes):
        for column, line in zip(columns, ("-", "--"), strict=False):
            values = np.array(training[column], np.float64) * factor  # None becomes NaN, a gap
            axes.plot(training["step"], values, line, color=COLOURS[0])
        axes.set(yscale=scale, xlabel="step", ylabel=label)
        if scale == "linear":
            axes.set_ylim(0, None)

    return _svg(name, draw)


def _svg(name: str, draw, height: float = 3.0) -> str:
    """The chart that `draw` draws on the axes it is given; `name` makes its element ids unique."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        # 4.7 inches are 338 units, one pixel each on a phone, where text of 9 points is readable.
        figure = Figure(figsize=(4.7, height), layout="constrained")
        draw(figure.subplots())
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(out.getvalue(), name)


def _for_page(svg: str, name: str) -> str:
    """The `<svg>` element of an SVG file, without attributes and styles that affect the page."""
    head, _, body = svg[svg.index("<svg") :].strip().partition(">")
    head = re.sub(r' (xmlns(:xlink)?|width|height|version)="[^"]*"', "", head)
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.S)
    body = re.sub(r"font-family: [^;]*; ", "", body)  # use the font of the page
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    return f"{head}>{body}".replace("xlink:href", "href").replace(INK, "currentColor")
