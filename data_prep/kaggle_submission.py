"""senet-kp kaggle-submission --model out/senet.pb --test test.csv --lookup IdLookupTable.csv

Predict the landmarks of the test pictures of Kaggle's "Facial Keypoints Detection", and write the
coordinates listed in its lookup table (RowId, ImageId, FeatureName, Location) as a submission
(RowId, Location), in pixels of the 96x96 pictures, clipped to 0..96. A contact sheet beside it,
submission.png, shows the predictions on the first pictures. The model must be trained on records
of Kaggle's training.csv.
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
from senet_kp.face.draw import GREEN, contact_sheet, drawn_face
from senet_kp.face.facebox import crop, face_box, to_absolute, to_relative
from senet_kp.face.known_schemes import KAGGLE15
from senet_kp.face.pictures import grey_picture, write_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import open_backend
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.tfrecords.errors import InputError, ModelError, exit_code_of
from senet_kp.tfrecords.files import write_csv

SHEET_COLUMNS, ENLARGED = 4, 2
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
    """the submission: RowId, Location; the contact sheet has the same name with .png"""
    pictures: int = 12
    """number of pictures on the contact sheet; 0 for none"""
    backend: Literal["auto", "opencv", "tensorflow", "onnxruntime", "tflite"] = "auto"
    """inference engine; auto takes the first one that can run the model"""


def submit(config: SubmissionConfig) -> int:
    """Write the submission; return the number of coordinates in it."""
    wanted = read_lookup(config.lookup)
    run = open_graph(config.model, config.backend)
    images = {image for _, image, _ in wanted}
    locations, drawn = predict(run, config.test, images, config.pictures)
    if missing := sorted({image for _, image, _ in wanted} - locations.keys()):
        raise InputError(f"{config.test}: no ImageId {missing[0]}, which {config.lookup} lists")
    write_csv(
        config.out,
        ("RowId", "Location"),
        ((row, f"{locations[image][feature]:.4f}") for row, image, feature in wanted),
    )
    if drawn:
        write_picture(config.out.with_suffix(".png"), contact_sheet(drawn, SHEET_COLUMNS))
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
            " prepare the records with --format kaggle"
        )
    corners = np.array([PICTURE_BOX[:2], PICTURE_BOX[:2] + PICTURE_BOX[2:]])
    box = PICTURE_BOX if rule.source == "picture" else face_box(corners, rule)
    graph = open_backend(path, backend)

    def run(picture) -> np.ndarray:
        relative = graph(crop(picture, box, rule.size_px, rule.padding))
        return to_absolute(relative, box).ravel().clip(0, PICTURE_PX)

    return run


def predict(run, table: Path, wanted: set[str], shown: int) -> tuple[dict[str, np.ndarray], list]:
    """Predict the landmarks of the wanted rows of a table of pictures.

    Returns {ImageId: coordinates [30] in pixels}, and the first `shown` pictures, enlarged and with
    their landmarks drawn in.
    """
    locations, drawn = {}, []
    bar = tqdm(rows(table, ("ImageId",)), total=len(wanted), unit="picture", disable=None)
    for _, before, pixels, cell in bar:
        image = before.decode(errors="replace").strip('" ')
        if image in wanted:
            picture = grey_picture(pixels, cell.width_px, f"{table}: ImageId {image}")
            locations[image] = run(picture)
            if len(drawn) < shown:
                relative = to_relative(locations[image].reshape(-1, 2), PICTURE_BOX)
                drawn.append(drawn_face(picture, [(relative, GREEN)], KAGGLE15, ENLARGED))
    return locations, drawn


def main():
    config = tyro.cli(SubmissionConfig, prog="senet-kp kaggle-submission", description=__doc__)
    count = submit(config)
    print(f"{config.out}: {count:,} coordinates")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
