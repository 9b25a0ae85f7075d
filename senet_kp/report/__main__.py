"""python -m senet_kp.report --models out/senet.pb other.pb --records out/tfrecords

Measures models on one side of a record folder and writes a page, out/report.html, and the same
numbers, out/report.json: scores with intervals by subset, yaw, region and point, what a misplaced
box costs, and with --data what is left with dlib's boxes on the whole pictures. The first model
is compared with each of the others. About a minute a model for 1,000 faces.
Exit codes: 0 done, 2 unusable arguments, 3 the records or pictures cannot be read, 4 a model
cannot be used, 5 a model was trained on some of the faces, 6 the report cannot be written.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from senet_kp.inference.backends import AUTO
from senet_kp.report.numbers import collect
from senet_kp.report.page import page
from senet_kp.scoring.evaluate import check
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import write_bytes, write_json


@dataclass(frozen=True)
class ReportConfig:
    models: tuple[Path, ...] = (Path("out/senet.pb"),)
    """frozen graphs (.pb), what was exported from them, training runs (folders) or dlib shape
    predictors (.dat)"""
    records: Path = Path("out/tfrecords")
    """record folder"""
    data: tuple[Path, ...] = ()
    """folders that the records were prepared from, to search the pictures with dlib"""
    run: Path | None = None
    """training run whose curves are shown"""
    side: str = "test"
    """train, val or test"""
    normaliser: str = "inter-ocular"
    """inter-ocular (outer eye corners), inter-pupil, box (sqrt of its area) or diagonal"""
    threshold: float = 0.08
    """NME above which a face counts as failed, and where the area under the curve ends"""
    backend: str = AUTO
    """opencv, tensorflow, onnxruntime or tflite, for model files; auto takes the first that can"""
    trained_on: tuple[Path, ...] = ()
    """record folders that the models were trained on, where they are not the scored ones"""
    allow_overlap: bool = False
    """score faces too that a model was trained on"""
    box_faces: int = 200
    """faces, drawn at random, whose boxes are moved and scaled"""
    detector_faces: int = 2000
    """faces, drawn at random, whose pictures dlib searches"""
    seed: int = 0
    """of the intervals and of what is drawn at random"""
    out: Path = Path("out/report.html")
    """the page; the numbers go beside it as .json"""


def write_report(config: ReportConfig) -> dict:
    """Measure, write both files, return the numbers."""
    check(config)
    _check(config)
    numbers, pictures = collect(config)
    write_json(config.out.with_suffix(".json"), numbers)
    write_bytes(config.out, page(numbers, pictures).encode())
    return numbers


def _check(config: ReportConfig):
    if config.out.suffix != ".html":
        raise UserError(f"--out {config.out}: the name of a report ends in .html")
    if not config.models:
        raise UserError("--models names no model")
    if config.box_faces < 1 or config.detector_faces < 1:
        raise UserError("--box-faces and --detector-faces are at least 1")


def main():
    config = tyro.cli(ReportConfig, prog="python -m senet_kp.report", description=__doc__)
    numbers = write_report(config)
    for model in numbers["models"]:
        nme = model["scores"]["all"]["nme"]
        bounds = "" if nme["low"] is None else f" ({nme['low']:.2%} to {nme['high']:.2%})"
        print(f"{model['name']}: NME {nme['value']:.2%}{bounds}")
    print(f"{config.out}, {config.out.with_suffix('.json')}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
