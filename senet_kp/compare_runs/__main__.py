"""senet-kp compare-runs out/adam out/sgd --records out/tfrecords

Compares two or more training runs. Writes a picture, out/compare-runs.png, with the loss, the mean
absolute error and the NME of every run over the steps and over the minutes, and the numbers as
out/compare-runs.json; prints the settings that differ and the results. The best checkpoint of every
run is scored on the same faces, those of the val side, and the first run is compared with each of
the others face by face, with 95 % bootstrap intervals. Takes about ten seconds per run and 1,000
faces.
Exit codes: 0 done, 2 invalid arguments, 3 the records or the metrics of a run cannot be read, or
the runs were trained on different records, 4 a run folder cannot be used, 5 a run was trained on
the scored faces, 6 the picture or the numbers cannot be written.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from senet_kp.compare_runs.figure import draw_curves
from senet_kp.compare_runs.results import compared_results
from senet_kp.compare_runs.settings import differing_settings
from senet_kp.compare_runs.table import table
from senet_kp.inference.backends import AUTO, Backend
from senet_kp.nets import output_names
from senet_kp.scoring.config import ScoringConfig, check
from senet_kp.scoring.models import short_names
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import write_json
from senet_kp.tfrecords.sides import Side
from senet_kp.train.checkpoints import read_settings
from senet_kp.train.training_curve import training_curve

OTHER_RECORDS = (
    "The runs were trained on different records: their validation faces are not the same, and their"
    " curves cannot be compared in height."
)
OTHER_LOSSES = "The runs minimise different losses, which cannot be compared in height."


@dataclass(frozen=True, kw_only=True)
class CompareRunsConfig(ScoringConfig):
    runs: tyro.conf.Positional[tuple[Path, ...]]
    """run folders, two or more; the first one is compared with each of the others"""
    side: Side = "val"
    """which side of the train/val/test split to score"""
    curves_only: bool = False
    """compare only curves and settings; needs no records, and the runs may be of different ones"""
    seed: int = 0
    """seed of the confidence intervals"""
    out: Path = Path("out/compare-runs.png")
    """the picture, a .png file; the numbers are written to the same name with .json"""
    # A run folder runs in TensorFlow, and no face is counted as a failure here.
    backend: tyro.conf.Suppress[tyro.conf.Fixed[Backend]] = AUTO
    threshold: tyro.conf.Suppress[tyro.conf.Fixed[float]] = 0.08


def compare_runs(config: CompareRunsConfig) -> dict:
    """Compare the runs, write the picture and the JSON file, and return the numbers.

    Raises UserError and its subclasses as the exit codes above list them.
    """
    _check(config)
    names = short_names(config.runs)
    settings = [read_settings(run) for run in config.runs]
    curves = [training_curve(run) for run in config.runs]
    notes = _notes(settings)
    if OTHER_RECORDS in notes and not config.curves_only:
        raise InputError(
            f"{', '.join(map(str, config.runs))}: the runs were trained on different records, so"
            " they have no validation faces in common; pass --curves-only to compare their curves"
            " and settings alone"
        )
    numbers = {
        "runs": [
            {"name": name, "folder": run, "end": _last_row(curve)}
            for name, run, curve in zip(names, config.runs, curves, strict=True)
        ],
        "notes": notes,
        "settings": differing_settings(settings),
        "results": None if config.curves_only else compared_results(config, names),
        "curves": curves,
    }
    draw_curves(config.out, names, curves, notes)
    write_json(config.out.with_suffix(".json"), numbers)
    return numbers


def _check(config: CompareRunsConfig):
    check(config)
    if len({run.absolute() for run in config.runs}) < max(2, len(config.runs)):
        raise UserError("give two or more run folders, each of them once")
    if config.out.suffix != ".png":
        raise UserError(f"--out {config.out}: the name of the picture must end in .png")


def _notes(settings: list[dict]) -> list[str]:
    """What keeps the curves from being compared in height, in sentences."""
    records = [each["records_sha256"] for each in settings]
    losses = [_loss_of(each) for each in settings]
    found = {OTHER_RECORDS: records, OTHER_LOSSES: losses}
    return [note for note, values in found.items() if any(v != values[0] for v in values)]


def _loss_of(settings: dict) -> tuple:
    """What the landmark loss depends on: its kind, its weights, and the unit of its labels."""
    standardised = "label_spread" in output_names(settings["net"])
    return settings["loss"], settings["region_weights"], standardised


def _last_row(curve: dict) -> dict:
    return {name: values[-1] for name, values in curve.items() if name != "run"}


def main():
    config = tyro.cli(CompareRunsConfig, prog="senet-kp compare-runs", description=__doc__)
    numbers = compare_runs(config)
    print(table(numbers), *numbers["notes"], sep="\n")
    print(f"{config.out}, {config.out.with_suffix('.json')}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
