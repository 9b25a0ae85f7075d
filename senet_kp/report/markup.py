"""Functions that build the HTML elements of the page.

Arguments of type str are text and are escaped; arguments and results of type Html are HTML.
"""

import json
from html import escape

from senet_kp.report.figures import colour_of


class Html(str):
    """A string that is HTML, and is not escaped again."""


def text(value) -> Html:
    """A value as HTML; it is escaped unless it is Html already."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def joined(*parts) -> Html:
    return Html("\n".join(text(part) for part in parts))


def tag(name: str, content, **attributes) -> Html:
    """`<name ...>content</name>`.

    In the names of attributes, a trailing underscore is removed (class_) and others become hyphens.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{given}>{text(content)}</{name}>")


def paragraph(content, **attributes) -> Html:
    return tag("p", content, **attributes)


def table(label: str, head: list[str], rows: list[list], names: int = 1) -> Html:
    """A table that scrolls sideways if it is too wide for the screen.

    label: describes it to screen readers. names: number of leading columns that contain text, which
    are left-aligned; the other columns contain numbers.
    """

    def row(cells, tags) -> Html:
        alignments = ["left"] * names + ["right"] * (len(cells) - names)
        columns = zip(tags, cells, alignments, strict=True)
        return tag("tr", joined(*(tag(t, cell, class_=align) for t, cell, align in columns)))

    titles = row(head, ["th"] * len(head))
    lines = [row(cells, ["th"] + ["td"] * (len(cells) - 1)) for cells in rows]
    content = joined(tag("thead", titles), tag("tbody", joined(*lines)))
    return _scrolling(label, tag("table", content))


def facts(label: str, values: dict) -> Html:
    """Nested values as a table of two columns, with keys such as "versions.numpy"."""
    lines = [
        tag("tr", joined(tag("th", key, scope="row"), tag("td", value)))
        for key, value in _flat(values)
    ]
    return _scrolling(label, tag("table", tag("tbody", joined(*lines)), class_="facts"))


def chart(svg: str, label: str, caption) -> Html:
    """A figure with a caption; `label` describes it to screen readers."""
    head, _, body = svg.partition(">")
    named = Html(f'{head} role="img" aria-label="{escape(label)}">{body}')
    return tag("figure", joined(named, tag("figcaption", caption)))


def model_name(name: str, index: int) -> Html:
    """A model's name, after a swatch of its colour in the charts."""
    swatch = tag("span", "", class_="swatch", style=f"background:{colour_of(index)}")
    return tag("span", Html(swatch + tag("span", name)), class_="name")


def legend(names: list[str]) -> Html:
    entries = (tag("li", model_name(name, index)) for index, name in enumerate(names))
    return tag("ul", joined(*entries), class_="legend")


def percent(value: float | None, digits: int = 2, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{100 * value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def with_interval(estimate: dict | None, shown, to: str = "–") -> Html:
    """A table cell with an estimate {"value", "low", "high"}, each formatted by `shown`."""
    if estimate is None:
        return text("–")
    if estimate["low"] is None:
        return text(shown(estimate["value"]))
    bounds = f"{shown(estimate['low'])}{to}{shown(estimate['high'])}"
    return Html(text(shown(estimate["value"])) + tag("small", bounds))


def _scrolling(label: str, content: Html) -> Html:
    return tag("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def _flat(values: dict, prefix: str = ""):
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)
