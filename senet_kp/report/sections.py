"""The sections of the report's page, as HTML.

Every function takes the numbers of the report. It returns None if they contain nothing to show.
"""

from functools import partial

from senet_kp.report import figures
from senet_kp.report.markup import (
    Html,
    chart,
    facts,
    joined,
    legend,
    model_name,
    number,
    paragraph,
    percent,
    table,
    tag,
    text,
    with_interval,
)
from senet_kp.report.predictions import PREDICTIONS
from senet_kp.scoring.scores import METRICS, NO_LABELLED_FACES

signed = partial(percent, sign=True)
MISSING = "*"  # after the name of a model, or the number of its faces, if some were not found
MISSING_NOTE = (
    "* Some faces are missing from the predictions. They count as failures: in the failure rate, in"
    " the AUC and in the curve of the cumulative error distribution. The NME, its median and the"
    " errors by landmark and region are those of the faces that were found, and a model that leaves"
    " out difficult faces has smaller ones."
)


def summary(numbers: dict) -> Html:
    """The scores of every model on all faces, and what is needed to read them."""
    rows = [
        [name, *_metric_cells(model["scores"]["all"])] for name, model in _marked_models(numbers)
    ]
    notes = [_explanation(numbers["conditions"])]
    notes += [note for model in numbers["models"] if (note := _overlap_note(model))]
    notes += [MISSING_NOTE] if _any_missing(numbers) else []
    return joined(
        paragraph(_faces_scored(numbers["conditions"]), class_="soft"),
        table("Scores of every model", ["model", *_metric_headings()], rows),
        *(paragraph(note, class_="soft") for note in notes),
    )


def _any_missing(numbers: dict) -> bool:
    return any(model["scores"]["all"]["missing"] for model in numbers["models"])


def subsets(numbers: dict) -> Html:
    first = numbers["models"][0]
    names = [name for name in first["scores"] if name != "all"]
    tables = [_parts_table(numbers, "scores", names, "subset")]
    if first["tags"]:
        tables.append(_parts_table(numbers, "tags", list(first["tags"]), "attribute"))
    return joined(*tables)


def cumulative_errors(numbers: dict) -> Html:
    caption = (
        "For every NME, the percentage of faces whose NME is at most as large. The dashed line is"
        " the failure threshold. The axis ends at the 99th percentile of the NMEs."
    )
    return joined(
        models_legend(numbers),
        chart(figures.ced_chart(numbers), "Cumulative error distribution", caption),
    )


def comparison(numbers: dict) -> Html | None:
    if not numbers["comparisons"]:
        return None
    rows = [
        [
            model_name(pair["other"], index),
            f"{pair['faces']:,}",
            with_interval(pair["difference"], signed, to=" to "),
            with_interval(pair["better"], partial(percent, digits=1)),
        ]
        for index, pair in enumerate(numbers["comparisons"], 1)
    ]
    first = numbers["models"][0]["name"]
    note = (
        f"Compares {first} with each other model on the same faces. A negative difference means"
        f" that {first} has the smaller error. If the interval does not contain zero, the"
        " difference is statistically significant."
    )
    head = [
        "compared with",
        "faces",
        "difference of the mean NMEs, percentage points",
        "faces with a smaller error, %",
    ]
    return joined(paragraph(note), table("Paired comparison", head, rows))


def landmarks(numbers: dict) -> Html:
    models = numbers["models"]
    names = [name for name, _ in _marked_models(numbers)]
    charts = (
        chart(
            figures.mean_face_chart(numbers, index),
            f"Mean error of every landmark, {models[index]['name']}",
            name,
        )
        for index, name in enumerate(names)
    )
    rows = [
        [region, *(_region_cell(model, region) for model in models)]
        for region in models[0]["regions"]
    ]
    return joined(
        paragraph("The radius of each circle on the mean face is the mean error of that landmark."),
        tag("div", joined(*charts), class_="charts"),
        table("NME by region", ["NME, %", *names], rows),
    )


def _region_cell(model: dict, region: str) -> Html:
    """The NME of a region. Found faces without one have none of its landmarks labelled."""
    estimate, found = model["regions"][region], model["scores"]["all"]["nme"]["value"]
    if estimate["value"] is None and found is not None:
        return text(NO_LABELLED_FACES)
    return with_interval(estimate, percent)


def yaw(numbers: dict) -> Html:
    first, faces = numbers["models"][0], numbers["conditions"]["faces"]
    note = (
        f"The yaw of {first['yaw_estimated_from_points']:,} of the {faces:,} faces is not annotated"
        " and was estimated from their annotated landmarks."
    )
    outside = [
        f"{count:,} {name.replace('_', ' ')}"
        for name, count in first["yaw_in_no_bin"].items()
        if count
    ]
    if outside:
        note += f" Faces in no bin: {', '.join(outside)}."
    return joined(
        _parts_table(numbers, "yaw_bins", list(first["yaw_bins"]), "|yaw|, degrees"),
        *([_yaw_bins_mean(numbers)] if first["yaw_bins_mean"] else []),
        paragraph(note, class_="soft"),
    )


def normalisers(numbers: dict) -> Html:
    """The mean NME with every normaliser."""
    kinds = list(numbers["models"][0]["nme_by_normaliser"])
    rows = [
        [name, *(percent(model["nme_by_normaliser"][kind]) for kind in kinds)]
        for name, model in _marked_models(numbers)
    ]
    note = (
        "inter-ocular: distance between the outer eye corners, as in 300-W. inter-pupil: distance"
        " between the eye centres. box: square root of the area of the bounding rectangle of the"
        " annotated landmarks. diagonal: diagonal of that rectangle."
    )
    head = ["model", *(f"{kind}, %" for kind in kinds)]
    return joined(table("NME by normaliser", head, rows), paragraph(note, class_="soft"))


def gallery(numbers: dict, pictures: dict) -> Html:
    name = numbers["models"][0]["name"]
    note = (
        f"The faces on which {name} has its smallest, median and largest errors, each of a"
        " different photo or person. Green: annotated landmarks; red: predicted landmarks. The NME"
        " is below each face."
    )
    parts = []
    for kind, faces in numbers["gallery"].items():
        shown = (_drawn_face(face, pictures) for face in faces)
        parts += [tag("h3", kind.capitalize()), tag("div", joined(*shown), class_="faces")]
    return joined(paragraph(note), *parts)


def training(numbers: dict) -> Html | None:
    curve = numbers["training"]
    if curve is None:
        return None
    caption = "The minimised loss on a logarithmic scale."
    if figures.has_both_losses(curve):
        caption = (
            "Loss of the landmarks on a logarithmic scale, solid on augmented training pictures and"
            " dashed on the validation side."
        )
    charts = [chart(figures.loss_chart(numbers), "Loss", caption)]
    val_nmes = [value for value in curve["val_nme"] if value is not None]
    if val_nmes:
        caption = f"Mean NME on the validation side; the minimum is {percent(min(val_nmes))} %."
        charts.append(chart(figures.val_chart(numbers), "Validation error", caption))
    return joined(
        paragraph(f"The training run {curve['run']}, {curve['step'][-1]:,.0f} steps."),
        tag("div", joined(*charts), class_="charts"),
    )


def models(numbers: dict) -> Html:
    parts = []
    for name, model in named_models(numbers):
        values = model["conditions"] | {"overlap": model["overlap"]}
        parts += [tag("h3", name), facts(f"Conditions of {model['name']}", values)]
        if model["card"]:
            card = facts(f"Model card of {model['name']}", model["card"])
            parts.append(tag("details", joined(tag("summary", "model card"), card)))
    return joined(*parts)


def conditions(numbers: dict) -> Html:
    return joined(
        paragraph("These conditions apply to all numbers above, unless stated otherwise."),
        facts("Conditions", numbers["conditions"]),
    )


def named_models(numbers: dict) -> list[tuple[Html, dict]]:
    """The name of each model as HTML, with its numbers."""
    return [
        (model_name(model["name"], index), model) for index, model in enumerate(numbers["models"])
    ]


def _marked_models(numbers: dict) -> list[tuple[Html, dict]]:
    """`named_models`, with the number of the faces that a model did not find and a mark."""
    return [
        (Html(f"{name} ({missing:,} missing{MISSING})") if missing else name, model)
        for name, model in named_models(numbers)
        for missing in [model["scores"]["all"]["missing"]]
    ]


def models_legend(numbers: dict) -> Html:
    return legend([model["name"] for model in numbers["models"]])


def _faces_scored(conditions: dict) -> str:
    return (
        f"{conditions['faces']:,} faces of {conditions['groups']:,} photos or persons, from the"
        f" {conditions['side']} side of the records {conditions['records_sha256'][:12]}. Source of"
        f" the face boxes: {conditions['box_source']}. Source of the annotated landmarks:"
        f" {conditions['label_source']}."
    )


def _explanation(conditions: dict) -> str:
    threshold = f"{100 * conditions['threshold']:g} %"
    return (
        "The NME (normalised mean error) of a face is the mean distance between its predicted and"
        f" its annotated landmarks, divided by the {conditions['normaliser']} length of the face."
        f" The failure rate is the percentage of faces whose NME exceeds {threshold}. The AUC is"
        " the area under the curve of the cumulative error distribution up to an NME of"
        f" {threshold}, divided by {threshold}; its maximum is 1. The small numbers are"
        f" {conditions['interval']['level']:.0%} confidence intervals, estimated by resampling"
        " photos and persons instead of single faces, because frames of one person are not"
        " independent."
    )


def _overlap_note(model: dict) -> str | None:
    """A note on a model that was trained, or may have been trained, on some of the faces."""
    overlap = model["overlap"]
    if overlap["faces"]:
        return f"{model['name']} was trained on {overlap['faces']:,} of these faces."
    if overlap["not_compared_with"]:
        if model["conditions"]["engine"] == PREDICTIONS:
            return (
                f"It is not known which pictures the program behind {model['name']} was trained on;"
                " it may have been trained on some of these faces."
            )
        return (
            f"The records that {model['name']} was trained on were not available to this report"
            " (--trained-on) and may contain some of these faces."
        )
    return None


def _metric_headings() -> list[str]:
    return [f"{metric.label}, %" if metric.percent else metric.label for metric in METRICS]


def _metric_cells(scores: dict) -> list[Html]:
    return [
        with_interval(
            scores[metric.key],
            partial(percent if metric.percent else number, digits=metric.decimals),
        )
        for metric in METRICS
    ]


def _parts_table(numbers: dict, key: str, names: list[str], what: str) -> Html:
    """The scores of every part of the faces, with a row for each part and model."""
    rows = [
        [part, name, _faces_cell(scores), f"{scores['groups']:,}", *_metric_cells(scores)]
        for part in names
        for name, model in named_models(numbers)
        for scores in [model[key][part]]
    ]
    head = [what, "model", "faces", "groups", *_metric_headings()]
    return table(f"Scores by {what}", head, rows, names=2)


def _faces_cell(scores: dict) -> str:
    missing = scores["missing"]
    return f"{scores['faces']:,}" + (f" ({missing:,} missing{MISSING})" if missing else "")


def _yaw_bins_mean(numbers: dict) -> Html:
    rows = [
        [name, with_interval(model["yaw_bins_mean"], percent)]
        for name, model in named_models(numbers)
    ]
    return table("Balanced mean of the yaw bins", ["model", "mean of the bins' NMEs, %"], rows)


def _drawn_face(face: dict, pictures: dict) -> Html:
    image = Html(f'<img src="{pictures[face["index"]]}" alt="{text(face["name"])}">')
    caption = tag("figcaption", f"{percent(face['nme'])} %, {face['name']}")
    return tag("figure", joined(image, caption))
