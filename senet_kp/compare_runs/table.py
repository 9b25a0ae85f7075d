"""The table that `senet-kp compare-runs` prints."""

END = {  # columns of the last row of metrics.csv, with their names and formats in the table
    "step": ("steps", ",.0f"),
    "epoch": ("epochs", ".4g"),
    "minutes": ("minutes", ".1f"),
    "train_loss": ("training loss", ".4g"),
    "val_loss": ("validation loss", ".4g"),
    "train_mae": ("training MAE", ".3%"),
    "val_mae": ("validation MAE", ".3%"),
    "val_nme": ("validation NME", ".2%"),
}


def table(numbers: dict) -> str:
    """The settings that differ, the ends of the curves and the scores, with a column for each run.

    numbers: as `compare_runs` returns them. Below the table follow the differences of the scores.
    """
    ends = [run["end"] for run in numbers["runs"]]
    rows = [
        ("", *(run["name"] for run in numbers["runs"])),
        *((name, *map(_shown, values)) for name, values in numbers["settings"].items()),
        *((label, *(_shown(end[key], form) for end in ends)) for key, (label, form) in END.items()),
    ]
    results = numbers["results"]
    if results is None:
        return aligned(rows)
    side = results["conditions"]["side"]
    rows.append((f"best, {side} NME", *(_estimate(run["nme"]) for run in results["runs"])))
    return "\n".join([aligned(rows), *_differences(results)])


def _differences(results: dict) -> list[str]:
    faces, groups = (results["conditions"][key] for key in ("faces", "groups"))
    return [
        f"{pair['first']} minus {pair['other']}: NME {_estimate(pair['difference'], '+')}, better"
        f" on {pair['better']['value']:.0%} of {faces:,} faces in {groups:,} groups"
        for pair in results["comparisons"]
    ]


def aligned(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells as text with aligned columns."""
    columns = max(map(len, rows))
    filled = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*filled, strict=True)]
    lines = (
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        for row in filled
    )
    return "\n".join(line.rstrip() for line in lines)


def _shown(value, form: str = "") -> str:
    return "-" if value is None else f"{value:{form}}" if form else str(value)


def _estimate(score: dict, sign: str = "") -> str:
    """A score in percent with its interval, which a single group does not have."""
    if score["low"] is None:
        return f"{score['value']:{sign}.2%}"
    return f"{score['value']:{sign}.2%} ({score['low']:{sign}.2%} to {score['high']:{sign}.2%})"
