"""The report's page: its numbers and drawn faces as one HTML file that needs nothing else."""

from functools import partial
from importlib.resources import files
from string import Template

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

rate = partial(percent, digits=1)
signed = partial(percent, sign=True)


def page(numbers: dict, pictures: dict) -> str:
    """The whole file. `pictures` holds the drawn faces of numbers["gallery"] as data URIs."""
    sections = {
        "scores": ("Scores by subset", _subsets(numbers)),
        "ced": ("Cumulative errors", _ced(numbers)),
        "comparison": ("Paired comparison", _comparison(numbers)),
        "points": ("Error by point and region", _points(numbers)),
        "yaw": ("Error by yaw", _yaw(numbers)),
        "boxes": ("What a misplaced box costs", _boxes(numbers)),
        "detector": ("With dlib's boxes", _detector(numbers)),
        "faces": ("Best, median and worst", _gallery(numbers, pictures)),
        "training": ("Training", _training(numbers)),
        "models": ("Models", _models(numbers)),
        "conditions": ("Conditions", _conditions(numbers)),
    }
    shown = {name: part for name, part in sections.items() if part[1]}
    links = (tag("li", tag("a", title, href=f"#{name}")) for name, (title, _) in shown.items())
    template = Template(_resource("page.html"))
    return template.substitute(
        title="Facial landmarks: report",
        style=_resource("page.css"),
        summary=_summary(numbers),
        contents=joined(*links),
        sections=joined(
            *(
                tag("section", joined(tag("h2", title), content), id=name)
                for name, (title, content) in shown.items()
            )
        ),
    )


def _resource(name: str) -> str:
    return files("senet_kp.report").joinpath(name).read_text()


def _said(conditions: dict) -> str:
    """The conditions of a score, in short."""
    return (
        f"{conditions['faces']:,} faces of {conditions['groups']:,} photos or persons,"
        f" {conditions['side']} side of the records {conditions['records_sha256'][:12]}, NME over"
        f" the {conditions['normaliser']} distance, boxes from {conditions['box_source']}, labels:"
        f" {conditions['label_source']}"
    )


def _summary(numbers: dict) -> Html:
    conditions = numbers["conditions"]
    rows = [
        [model_name(model["name"], index), *_score_cells(model["scores"]["all"])]
        for index, model in enumerate(numbers["models"])
    ]
    threshold = f"{conditions['threshold']:.0%}"
    notes = [
        f"Small figures: {conditions['interval']['level']:.0%} intervals, by resampling photos and"
        " persons rather than faces, because frames of one person are no independent pictures."
        f" Failed: NME over {threshold}. AUC: mean height of the curve of cumulative errors up to"
        f" {threshold}.",
    ]
    notes += [note for model in numbers["models"] if (note := _overlap_note(model))]
    return joined(
        paragraph(_said(conditions) + ".", class_="soft"),
        table("Scores of every model", ["model", *_SCORE_HEADS], rows),
        *(paragraph(note, class_="soft") for note in notes),
    )


def _overlap_note(model: dict) -> str | None:
    """What must be said of a model that has seen, or may have seen, the faces in its training."""
    overlap = model["overlap"]
    if overlap["faces"]:
        return f"{model['name']} was trained on {overlap['faces']:,} of these faces."
    if overlap["not_compared_with"]:
        return (
            f"The records that {model['name']} was trained on were not at hand (--trained-on), and"
            " may hold some of these faces."
        )
    return None


_SCORE_HEADS = ("NME, %", "median, %", "failed, %", "AUC")


def _score_cells(part: dict) -> list[Html]:
    return [
        with_interval(part["nme"], percent),
        with_interval(part["nme_median"], percent),
        with_interval(part["failure_rate"], rate),
        with_interval(part["auc"], number),
    ]


def _subsets(numbers: dict) -> Html | None:
    first = numbers["models"][0]
    subsets = [name for name in first["scores"] if name != "all"]
    tables = [_parts_table(numbers, "scores", subsets, "subset")]
    if first["tags"]:
        tables.append(_parts_table(numbers, "tags", list(first["tags"]), "attribute"))
    return joined(*tables)


def _parts_table(numbers: dict, key: str, names: list[str], what: str) -> Html:
    """A row for every part and model, with its scores."""
    rows = [
        [
            part,
            model_name(model["name"], index),
            f"{scores['faces']:,}",
            f"{scores['groups']:,}",
            *_score_cells(scores),
        ]
        for part in names
        for index, model in enumerate(numbers["models"])
        for scores in [model[key][part]]
    ]
    head = [what, "model", "faces", "groups", *_SCORE_HEADS]
    return table(f"Scores by {what}", head, rows, names=2)


def _ced(numbers: dict) -> Html:
    caption = "The share of faces whose error is at most the one below; dotted: the failure limit."
    return joined(
        _legend(numbers),
        chart(figures.ced_chart(numbers), "Curve of cumulative errors", caption),
    )


def _legend(numbers: dict) -> Html:
    return legend([model["name"] for model in numbers["models"]])


def _comparison(numbers: dict) -> Html | None:
    if not numbers["comparisons"]:
        return None
    rows = [
        [
            model_name(pair["other"], index),
            f"{pair['faces']:,}",
            with_interval(pair["difference"], signed, to=" to "),
            with_interval(pair["better"], rate),
        ]
        for index, pair in enumerate(numbers["comparisons"], 1)
    ]
    first = numbers["models"][0]["name"]
    return joined(
        paragraph(
            f"{first} against the others, face by face on the same list. A difference below zero"
            f" means that {first} has the smaller error; an interval without zero, that chance"
            " does not explain it."
        ),
        table(
            "Paired comparison",
            ["against", "faces", "difference of mean NME, points", "smaller error on, % of faces"],
            rows,
        ),
    )


def _points(numbers: dict) -> Html:
    models = numbers["models"]
    names = [model_name(model["name"], index) for index, model in enumerate(models)]
    charts = (
        chart(
            figures.mean_face_chart(numbers, index),
            f"Mean error at every point, {models[index]['name']}",
            name,
        )
        for index, name in enumerate(names)
    )
    rows = [
        [region, *(with_interval(model["regions"][region], percent) for model in models)]
        for region in models[0]["regions"]
    ]
    return joined(
        paragraph("On the mean face, every circle's radius is the mean error of its point."),
        tag("div", joined(*charts), class_="charts"),
        table("NME by region", ["NME, %", *names], rows),
    )


def _yaw(numbers: dict) -> Html:
    first = numbers["models"][0]
    note = (
        f"The yaw of {first['yaw_estimated_from_points']:,} of {numbers['conditions']['faces']:,}"
        " faces is not in their labels, and was estimated from their true points."
    )
    outside = [
        f"{count:,} faces {name.replace('_', ' ')}"
        for name, count in first["yaw_in_no_bin"].items()
        if count
    ]
    if outside:
        note += f" In no bin: {', '.join(outside)}."
    return joined(
        _parts_table(numbers, "yaw_bins", list(first["yaw_bins"]), "|yaw|, degrees"),
        *([_yaw_bins_mean(numbers)] if first["yaw_bins_mean"] else []),
        paragraph(note, class_="soft"),
    )


def _yaw_bins_mean(numbers: dict) -> Html:
    rows = [
        [model_name(model["name"], index), with_interval(model["yaw_bins_mean"], percent)]
        for index, model in enumerate(numbers["models"])
    ]
    return table("Balanced mean of the yaw bins", ["model", "mean of the bins' NME, %"], rows)


def _boxes(numbers: dict) -> Html:
    boxes = numbers["models"][0]["boxes"]
    note = (
        f"{boxes['faces']:,} faces drawn at random. The box is moved or scaled in the stored"
        f" picture, which shows {boxes['context']:g} times the box and is continued with its border"
        " pixels beyond; the points are measured against those of the right box."
    )
    return joined(
        paragraph(note),
        _legend(numbers),
        tag(
            "div",
            joined(
                chart(
                    figures.shift_chart(numbers),
                    "Error against the shift of the box",
                    "Solid: moved to the right (above zero) or left; dashed: down or up.",
                ),
                chart(
                    figures.scale_chart(numbers),
                    "Error against the scale of the box",
                    "Above one the box shows more than it was trained for.",
                ),
            ),
            class_="charts",
        ),
    )


def _detector(numbers: dict) -> Html:
    measured = [
        (model_name(model["name"], index), model["detected"])
        for index, model in enumerate(numbers["models"])
    ]
    notes = [paragraph(joined(name, found["note"])) for name, found in measured if "note" in found]
    tables = [(name, found["parts"]) for name, found in measured if "parts" in found]
    if not tables:
        return joined(*notes)
    transform = next(found["transform"] for _, found in measured if "parts" in found)
    rows = [
        [
            subset,
            name,
            f"{parts[subset]['found']:,} of {parts[subset]['faces']:,}",
            with_interval(parts[subset]["nme_detected"], percent),
            with_interval(parts[subset]["nme_truth"], percent),
            with_interval(
                parts[subset]["relative_difference"], partial(signed, digits=1), to=" to "
            ),
        ]
        for subset in tables[0][1]
        for name, parts in tables
    ]
    head = [
        "subset",
        "model",
        "found",
        "NME with dlib's box, %",
        "with the true box, %",
        "difference, %",
    ]
    return joined(
        paragraph(
            "The whole pictures go the demo's way: dlib finds faces, its box is brought to the face"
            " box as the model card says, the network runs on that and a second time on the box of"
            " the points it found. A face counts as found where the boxes overlap; the errors are"
            " those of the found ones."
        ),
        table("Scores with dlib's boxes", head, rows, names=2),
        *notes,
        paragraph(_scatter(transform), class_="soft"),
    )


def _scatter(transform: dict) -> str:
    x, y, size = transform["spread"]
    return (
        f"On the {transform['found']:,} training pictures where preparation measured it, dlib's box"
        f" scattered by {x:.1%} of its side sideways, {y:.1%} up and down, and {size:.1%} in size"
        " (standard deviations): compare the curves of the misplaced box."
    )


def _gallery(numbers: dict, pictures: dict) -> Html:
    parts = []
    for kind, faces in numbers["gallery"].items():
        shown = (
            tag(
                "figure",
                joined(
                    Html(f'<img src="{pictures[face["index"]]}" alt="{text(face["name"])}">'),
                    tag("figcaption", f"{percent(face['nme'])} %, {face['name']}"),
                ),
            )
            for face in faces
        )
        parts += [tag("h3", kind.capitalize()), tag("div", joined(*shown), class_="faces")]
    name = numbers["models"][0]["name"]
    note = (
        f"By {name}; green: labelled, red: predicted; NME below. Each of another photo or person."
    )
    return joined(paragraph(note), *parts)


def _training(numbers: dict) -> Html | None:
    training = numbers["training"]
    if training is None:
        return None
    steps = f"{training['step'][-1]:,.0f}"
    charts = [
        chart(figures.loss_chart(numbers), "Training loss", "Loss of single steps, logarithmic.")
    ]
    if any(value is not None for value in training["val_nme"]):
        best = min(value for value in training["val_nme"] if value is not None)
        caption = f"Mean NME of the validation side; the lowest is {percent(best)} %."
        charts.append(chart(figures.val_chart(numbers), "Validation error", caption))
    return joined(
        paragraph(f"The run {training['run']}, {steps} steps."),
        tag("div", joined(*charts), class_="charts"),
    )


def _models(numbers: dict) -> Html:
    parts = []
    for index, model in enumerate(numbers["models"]):
        parts += [
            tag("h3", model_name(model["name"], index)),
            facts(
                f"Conditions of {model['name']}",
                model["conditions"] | {"overlap": model["overlap"]},
            ),
        ]
        if model["card"]:
            card = facts(f"Model card of {model['name']}", model["card"])
            parts.append(tag("details", joined(tag("summary", "model card"), card)))
    return joined(*parts)


def _conditions(numbers: dict) -> Html:
    return joined(
        paragraph("What holds for every number above that does not say otherwise."),
        facts("Conditions", numbers["conditions"]),
    )
