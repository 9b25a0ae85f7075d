"""senet-kp report --models out/senet.pb other.pb --records out/tfrecords

Compares models on one side of a record folder. Writes a page, out/report.html, and the same numbers
as out/report.json: scores with confidence intervals by subset, yaw, facial region and landmark; the
sensitivity to a displaced face box; and, with --data, the scores with dlib's face detector on the
original pictures. --predictions adds the landmarks that other programs found in the same pictures.
The first model is compared with each of the others. Takes about a minute per
model and 1,000 faces.
Exit codes: 0 done, 2 invalid arguments, 3 the records or pictures cannot be read, 4 a model cannot
be used, 5 a model was trained on some of the faces, 6 the report cannot be written.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from senet_kp.report.numbers import collect
from senet_kp.report.page import page
from senet_kp.scoring.config import ScoringConfig, check
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import write_bytes, write_json


@dataclass(frozen=True, kw_only=True)
class ReportConfig(ScoringConfig):
    models: tuple[Path, ...] = (Path("out/senet.pb"),)
    """frozen graphs (.pb), files exported from them, folders of training runs, or dlib shape
    predictors (.dat)"""
    predictions: tuple[Path, ...] = ()
    """files with the landmarks that other programs found in the same pictures, as docs/peers.md
    describes; they are scored beside the models"""
    data: tuple[Path, ...] = ()
    """folders that the records were prepared from, to run dlib on the original pictures"""
    run: Path | None = None
    """training run whose loss and validation curves are shown"""
    box_faces: int = 200
    """number of randomly drawn faces whose boxes are shifted and scaled"""
    detector_faces: int = 2000
    """number of randomly drawn faces on whose pictures dlib runs"""
    min_face_px: float | None = None
    """dlib finds every face of at least this size; None is 80"""
    seed: int = 0
    """seed of the confidence intervals and of all random draws"""
    out: Path = Path("out/report.html")
    """the page, a .html file; the numbers are written to the same name with .json"""


def write_report(config: ReportConfig) -> dict:
    """Compute the numbers, write the page and the JSON file, and return the numbers.

    Raises UserError and its subclasses as the exit codes above list them.
    """
    check(config)
    _check(config)
    numbers, pictures = collect(config)
    write_json(config.out.with_suffix(".json"), numbers)
    write_bytes(config.out, page(numbers, pictures).encode())
    return numbers


def _check(config: ReportConfig):
    if config.out.suffix != ".html":
        raise UserError(f"--out {config.out}: the name of the report must end in .html")
    if not config.models and not config.predictions:
        raise UserError("--models must name at least one model, or --predictions a file")
    if config.box_faces < 1 or config.detector_faces < 1:
        raise UserError("--box-faces and --detector-faces must be at least 1")


def main():
    config = tyro.cli(ReportConfig, prog="senet-kp report", description=__doc__)
    numbers = write_report(config)
    for model in numbers["models"]:
        score = model["scores"]["all"]
        nme, missing = score["nme"], score["missing"]
        bounds = "" if nme["low"] is None else f" ({nme['low']:.2%} to {nme['high']:.2%})"
        value = "-" if nme["value"] is None else f"{nme['value']:.2%}"
        found = f" of the found faces; {missing:,} of {score['faces']:,} missing" if missing else ""
        print(f"{model['name']}: NME {value}{bounds}{found}")
    print(f"{config.out}, {config.out.with_suffix('.json')}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
