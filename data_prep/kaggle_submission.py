"""python -m data_prep.kaggle_submission --model out/senet.pb --test test.csv \\
    --lookup IdLookupTable.csv --out submission.csv

Predicts the pictures of Kaggle's "Facial Keypoints Detection" and writes the coordinates that its
lookup table asks for (RowId, ImageId, FeatureName, Location) as a submission (RowId, Location), in
pixels of the 96x96 pictures, none outside 0..96. The model is one trained on records that were
prepared as data_prep/formats/kaggle.py says.
Exit codes: 0 done, 2 unusable arguments, 3 a table cannot be read, 4 the model cannot be used, 6 no
place to write.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.formats.kaggle import FEATURES, PICTURE_BOX, PICTURE_PX, rows
from senet_kp.face.facebox import crop, face_box, to_absolute
from senet_kp.face.known_schemes import KAGGLE15
from senet_kp.face.pictures import grey_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import AUTO, open_backend, require_backend
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.tfrecords.errors import InputError, ModelError, exit_code_of
from senet_kp.tfrecords.files import write_csv

COLUMNS = ("RowId", "ImageId", "FeatureName")


@dataclass(frozen=True)
class SubmissionConfig:
    model: Path = Path("out/senet.pb")
    """frozen graph or what was exported from it, its card beside it"""
    test: Path = Path("test.csv")
    """the pictures: ImageId, Image"""
    lookup: Path = Path("IdLookupTable.csv")
    """what is asked for: RowId, ImageId, FeatureName, Location"""
    out: Path = Path("submission.csv")
    """the submission: RowId, Location"""
    backend: str = AUTO
    """opencv, tensorflow, onnxruntime or tflite; auto takes the first that can"""


def submit(config: SubmissionConfig) -> int:
    """Write the submission; return how many coordinates it holds."""
    require_backend(config.backend)
    asked = read_lookup(config.lookup)
    run = open_graph(config.model, config.backend)
    locations = predict(run, config.test, {image for _, image, _ in asked})
    if missing := sorted({image for _, image, _ in asked} - locations.keys()):
        raise InputError(f"{config.test}: no ImageId {missing[0]}, which {config.lookup} asks for")
    write_csv(
        config.out,
        ("RowId", "Location"),
        ((row, f"{locations[image][feature]:.4f}") for row, image, feature in asked),
    )
    return len(asked)


def read_lookup(path: Path) -> list[tuple[str, str, int]]:
    """(RowId, ImageId, index in FEATURES) of every row; raises InputError for another table."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
        asked = [tuple(line[name] for name in COLUMNS) for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(f"{path}: no table of {', '.join(COLUMNS)} ({error})") from None
    if not asked:
        raise InputError(f"{path}: asks for nothing")
    for row, _, feature in asked:
        if feature not in FEATURES:
            raise InputError(f"{path}: row {row} asks for {feature!r}, which no point is called")
    return [(row, image, FEATURES.index(feature)) for row, image, feature in asked]


def open_graph(path: Path, backend: str):
    """A function from a 96x96 picture to its coordinates [30] in pixels.

    Raises ModelError for a graph of other points or of boxes that the pictures do not have.
    """
    card = read_card(path)
    rule = box_rule(card)
    if scheme_of(card) != KAGGLE15 or rule.source != "label":
        raise ModelError(
            f"{path}: not made for {KAGGLE15.name} points in given boxes;"
            " data_prep/formats/kaggle.py says how to prepare the records"
        )
    box = face_box(np.array([PICTURE_BOX[:2], PICTURE_BOX[:2] + PICTURE_BOX[2:]]), rule)
    graph = open_backend(path, backend)

    def run(picture) -> np.ndarray:
        relative = graph(crop(picture, box, rule.size_px, rule.padding))
        return to_absolute(relative, box).ravel().clip(0, PICTURE_PX)

    return run


def predict(run, table: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """{ImageId: coordinates [30] in pixels} of the wanted rows of a table of pictures."""
    locations = {}
    bar = tqdm(rows(table, ("ImageId",)), total=len(wanted), unit="picture", disable=None)
    for _, before, pixels, cell in bar:
        image = before.decode(errors="replace").strip('" ')
        if image in wanted:
            picture = grey_picture(pixels, cell.width_px, f"{table}: ImageId {image}")
            locations[image] = run(picture)
    return locations


def main():
    config = tyro.cli(
        SubmissionConfig, prog="python -m data_prep.kaggle_submission", description=__doc__
    )
    count = submit(config)
    print(f"{config.out}: {count:,} coordinates")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
