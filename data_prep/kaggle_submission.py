"""senet-kp kaggle-submission --model out/senet.pb --test test.csv --lookup IdLookupTable.csv

Predict the landmarks of the test pictures of Kaggle's "Facial Keypoints Detection", and write the
coordinates listed in its lookup table (RowId, ImageId, FeatureName, Location) as a submission
(RowId, Location), in pixels of the 96x96 pictures, clipped to 0..96. The model must be trained on
records prepared as described in data_prep/formats/kaggle.py.
Exit codes: 0 done, 2 unusable arguments, 3 a table cannot be read, 4 the model cannot be used, 6
the submission cannot be written.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.formats.kaggle import FEATURES, PICTURE_BOX, PICTURE_PX, rows
from senet_kp.face.facebox import crop, face_box, to_absolute
from senet_kp.face.known_schemes import KAGGLE15
from senet_kp.face.pictures import grey_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import open_backend
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.tfrecords.errors import InputError, ModelError, exit_code_of
from senet_kp.tfrecords.files import write_csv

COLUMNS = ("RowId", "ImageId", "FeatureName")


@dataclass(frozen=True)
class SubmissionConfig:
    model: Path = Path("out/senet.pb")
    """frozen graph or a model exported from it, with its model card in the same folder"""
    test: Path = Path("test.csv")
    """table of the pictures: ImageId, Image"""
    lookup: Path = Path("IdLookupTable.csv")
    """table of the coordinates to predict: RowId, ImageId, FeatureName, Location"""
    out: Path = Path("submission.csv")
    """the submission: RowId, Location"""
    backend: Literal["auto", "opencv", "tensorflow", "onnxruntime", "tflite"] = "auto"
    """inference engine; auto takes the first one that can run the model"""


def submit(config: SubmissionConfig) -> int:
    """Write the submission; return the number of coordinates in it."""
    wanted = read_lookup(config.lookup)
    run = open_graph(config.model, config.backend)
    locations = predict(run, config.test, {image for _, image, _ in wanted})
    if missing := sorted({image for _, image, _ in wanted} - locations.keys()):
        raise InputError(f"{config.test}: no ImageId {missing[0]}, which {config.lookup} lists")
    write_csv(
        config.out,
        ("RowId", "Location"),
        ((row, f"{locations[image][feature]:.4f}") for row, image, feature in wanted),
    )
    return len(wanted)


def read_lookup(path: Path) -> list[tuple[str, str, int]]:
    """Return (RowId, ImageId, index in FEATURES) of every row of the lookup table.

    Raises InputError if the file is not such a table.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
        wanted = [tuple(line[name] for name in COLUMNS) for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(f"{path}: not a table of {', '.join(COLUMNS)} ({error})") from None
    if not wanted:
        raise InputError(f"{path}: the table has no rows")
    for row, _, feature in wanted:
        if feature not in FEATURES:
            raise InputError(f"{path}: row {row} names {feature!r}, which is not a landmark")
    return [(row, image, FEATURES.index(feature)) for row, image, feature in wanted]


def open_graph(path: Path, backend: str):
    """Return a function from a 96x96 picture to its coordinates [30] in pixels.

    Raises ModelError if the model has another landmark scheme, or its boxes come from landmarks.
    """
    card = read_card(path)
    rule = box_rule(card)
    if scheme_of(card) != KAGGLE15 or rule.source == "landmarks":
        raise ModelError(
            f"{path}: the model does not predict {KAGGLE15.name} landmarks in whole pictures;"
            " prepare the records as described in data_prep/formats/kaggle.py"
        )
    corners = np.array([PICTURE_BOX[:2], PICTURE_BOX[:2] + PICTURE_BOX[2:]])
    box = PICTURE_BOX if rule.source == "picture" else face_box(corners, rule)
    graph = open_backend(path, backend)

    def run(picture) -> np.ndarray:
        relative = graph(crop(picture, box, rule.size_px, rule.padding))
        return to_absolute(relative, box).ravel().clip(0, PICTURE_PX)

    return run


def predict(run, table: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """Return {ImageId: coordinates [30] in pixels} of the wanted rows of a table of pictures."""
    locations = {}
    bar = tqdm(rows(table, ("ImageId",)), total=len(wanted), unit="picture", disable=None)
    for _, before, pixels, cell in bar:
        image = before.decode(errors="replace").strip('" ')
        if image in wanted:
            picture = grey_picture(pixels, cell.width_px, f"{table}: ImageId {image}")
            locations[image] = run(picture)
    return locations


def main():
    config = tyro.cli(SubmissionConfig, prog="senet-kp kaggle-submission", description=__doc__)
    count = submit(config)
    print(f"{config.out}: {count:,} coordinates")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
