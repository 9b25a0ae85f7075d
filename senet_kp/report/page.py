"""Builds the report's page: its numbers and drawn faces as one HTML file without external files."""

from importlib.resources import files
from string import Template

from senet_kp.report import box_sections, sections
from senet_kp.report.markup import joined, tag


def page(numbers: dict, pictures: dict) -> str:
    """The whole HTML file. pictures: {face index: data URI} of the faces in numbers["gallery"]."""
    every = {
        "scores": ("Scores by subset", sections.subsets(numbers)),
        "normalisers": ("NME by normaliser", sections.normalisers(numbers)),
        "ced": ("Cumulative error distribution", sections.cumulative_errors(numbers)),
        "comparison": ("Paired comparison", sections.comparison(numbers)),
        "points": ("Error by landmark and region", sections.landmarks(numbers)),
        "yaw": ("Error by yaw", sections.yaw(numbers)),
        "boxes": ("Sensitivity to the face box", box_sections.box_sensitivity(numbers)),
        "detector": ("Scores with dlib's face detector", box_sections.detector(numbers)),
        "faces": ("Best, median and worst faces", sections.gallery(numbers, pictures)),
        "training": ("Training", sections.training(numbers)),
        "models": ("Models", sections.models(numbers)),
        "conditions": ("Conditions", sections.conditions(numbers)),
    }
    shown = {name: (title, content) for name, (title, content) in every.items() if content}
    links = (tag("li", tag("a", title, href=f"#{name}")) for name, (title, _) in shown.items())
    return Template(_resource("page.html")).substitute(
        title="Facial landmarks: report",
        style=_resource("page.css"),
        summary=sections.summary(numbers),
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
