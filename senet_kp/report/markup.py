"""Pieces of a page. Text goes in as text and is escaped here; what comes out is HTML."""

import json
from html import escape

from senet_kp.report.figures import colour_of


class Html(str):
    """A string that is HTML already."""


def text(value) -> Html:
    """A value as HTML: escaped, unless it is HTML."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def joined(*parts) -> Html:
    return Html("\n".join(text(part) for part in parts))


def tag(name: str, content, **attributes) -> Html:
    """`<name ...>content</name>`; a trailing underscore of an attribute's name is taken off."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{given}>{text(content)}</{name}>")


def paragraph(content, **attributes) -> Html:
    return tag("p", content, **attributes)


def table(label: str, head: list[str], rows: list[list], names: int = 1) -> Html:
    """A table that scrolls by itself where it is too wide; its first `names` columns hold words."""

    def row(cells, tags) -> Html:
        sides = ["left"] * names + ["right"] * (len(cells) - names)
        return tag(
            "tr", joined(*map(lambda t, c, side: tag(t, c, class_=side), tags, cells, sides))
        )

    titles = row(head, ["th"] * len(head))
    lines = [row(cells, ["th"] + ["td"] * len(cells)) for cells in rows]
    content = joined(tag("thead", titles), tag("tbody", joined(*lines)))
    return _scrolling(label, tag("table", content))


def facts(label: str, values: dict) -> Html:
    """Nested values as a table of two columns."""
    lines = [
        tag("tr", joined(tag("th", key, scope="row"), tag("td", value)))
        for key, value in _flat(values)
    ]
    return _scrolling(label, tag("table", tag("tbody", joined(*lines)), class_="facts"))


def chart(svg: str, label: str, caption) -> Html:
    """A figure; `label` is what those hear who cannot see it."""
    head, _, body = svg.partition(">")
    named = Html(f'{head} role="img" aria-label="{escape(label)}">{body}')
    return tag("figure", joined(named, tag("figcaption", caption)))


def model_name(name: str, index: int) -> Html:
    """A model's name behind the colour that it has in the charts."""
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
    """A cell with {"value", "low", "high"}, each as `shown` says it."""
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
