"""The sections of the report's page on displaced and detected face boxes, as HTML.

Every function takes the numbers of the report. It returns None if they contain nothing to show.
"""

from functools import partial

from senet_kp.report import figures
from senet_kp.report.markup import (
    Html,
    chart,
    joined,
    paragraph,
    percent,
    table,
    tag,
    with_interval,
)
from senet_kp.report.sections import models_legend, named_models, signed


def box_sensitivity(numbers: dict) -> Html | None:
    boxes = next((model["boxes"] for model in numbers["models"] if model["boxes"]), None)
    if boxes is None:
        return None
    note = (
        f"Measured on {boxes['faces']:,} randomly drawn faces. The face box is shifted or scaled"
        f" within the stored picture, which is {boxes['context']:g} times as wide as the box;"
        " beyond its border, the border pixels are repeated. The error of the landmarks found in"
        " the displaced box is computed as before."
    )
    shift = chart(
        figures.shift_chart(numbers),
        "Error against the shift of the box",
        "Solid line: horizontal shift, positive to the right. Dashed line: vertical shift, positive"
        " downwards.",
    )
    scale = chart(
        figures.scale_chart(numbers),
        "Error against the scale of the box",
        "At a scale of 1 the box is as large as in training; above 1 it is larger.",
    )
    charts = tag("div", joined(shift, scale), class_="charts")
    return joined(paragraph(note), models_legend(numbers), charts)


def detector(numbers: dict) -> Html:
    measured = [(name, model["detected"]) for name, model in named_models(numbers)]
    notes = [paragraph(joined(name, found["note"])) for name, found in measured if "note" in found]
    by_model = [(name, found["parts"]) for name, found in measured if "parts" in found]
    if not by_model:
        return joined(*notes)
    transform = next(found["transform"] for _, found in measured if "parts" in found)
    procedure = (
        "The original pictures are processed as in the demo: dlib detects the faces, each detected"
        " box is converted to a face box as the model card specifies, and the network runs twice,"
        " first on this box and then on the box around the landmarks it found. A face counts as"
        " found if a converted box overlaps its true face box. The errors are those of the faces"
        " that were found."
    )
    return joined(
        paragraph(procedure),
        _detector_table(by_model),
        *notes,
        paragraph(_box_spread(transform), class_="soft"),
    )


def _detector_table(by_model: list[tuple[Html, dict]]) -> Html:
    difference = partial(signed, digits=1)
    rows = [
        [
            subset,
            name,
            f"{part['found']:,} of {part['faces']:,}",
            with_interval(part["nme_detected"], percent),
            with_interval(part["nme_truth"], percent),
            with_interval(part["relative_difference"], difference, to=" to "),
        ]
        for subset in by_model[0][1]
        for name, parts in by_model
        for part in [parts[subset]]
    ]
    head = [
        "subset",
        "model",
        "faces found",
        "NME with dlib's box, %",
        "NME with the true box, %",
        "relative difference, %",
    ]
    return table("Scores with dlib's face detector", head, rows, names=2)


def _box_spread(transform: dict) -> str:
    x, y, size = transform["spread"]
    return (
        f"On the {transform['found']:,} training pictures where data preparation measured it, the"
        f" standard deviation of dlib's box was {x:.1%} of its width horizontally, {y:.1%}"
        f" vertically and {size:.1%} in size. The curves of the sensitivity to the face box show"
        " the effect of such displacements."
    )
