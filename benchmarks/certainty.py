"""python -m benchmarks.certainty data/AFLW2000 data/300W_LP/HELEN

Measure what `LandmarkPredictor.certainty` knows: how well it tells faces from other places of the
same pictures, and landmarks that are right from landmarks that are off by more than 8 %, as areas
under the ROC curve. Faces are looked at twice, from the boxes of their labels. The regression that
turns disagreement into certainty is fitted on every other picture and judged on the others. Takes
about 0.2 s per picture.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from scipy.optimize import minimize
from tqdm import tqdm

from benchmarks.labelled import labelled_pictures
from benchmarks.measure import conditions, markdown_table, report_table
from senet_kp.face.facebox import face_box, is_beside
from senet_kp.face.metrics import nme, normalised_errors
from senet_kp.face.pictures import read_picture
from senet_kp.inference.agreement import disagreement, second_box
from senet_kp.inference.box_transform import iou
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.tfrecords.errors import exit_code_of

NAME = "certainty"
MOST_ERROR = 0.08  # of landmarks that are right
PLACES = 2  # other places in each picture
SIDES = (0.5, 1.0)  # of their boxes, in sides of the face box


@dataclass(frozen=True)
class Config:
    data: tyro.conf.Positional[tuple[Path, ...]]
    """folders of data sets with labels"""
    model: Path = PRETRAINED
    """the model, with its card"""
    pictures: int = 500
    """number of randomly drawn pictures of each data set; 0 for all"""
    seed: int = 0
    """seed of the draws"""
    write: bool = False
    """store the result in benchmarks/results/certainty.json and update the documentation"""


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.certainty", description=__doc__)
    predictor = LandmarkPredictor(config.model)
    found = {data.name: measured(data, predictor, config) for data in config.data}
    fit = fitted(*joined(found, 0))
    rows = [row_of(name, *values) for name, values in found.items()]
    result = {
        "conditions": conditions(model=config.model.name, normaliser="box", seed=config.seed),
        "rows": rows,
        "intercept": fit[0],
        "slope": fit[1],
        "calibration": calibration(fit, *joined(found, 1)),
    }
    print(f"intercept {fit[0]:.2f}, slope {fit[1]:.2f}; calibration {result['calibration']}")
    report_table(NAME, result, table(result), config.write)


def measured(data: Path, predictor: LandmarkPredictor, config: Config):
    """Disagreements [n] and errors [n] of the faces, and disagreements [m] at other places."""
    apart, errors, elsewhere = [], [], []
    inner = [p for p in range(predictor.scheme.count) if p not in predictor.scheme.contour]
    rng = np.random.default_rng(config.seed)
    pictures = labelled_pictures(data, [config.model], config.pictures, config.seed)
    for path, label in tqdm(pictures, unit="picture", desc=data.name, disable=None):
        picture = read_picture(path)
        box = face_box(label.landmarks[label.mask], predictor.rule)
        found = in_two_looks(picture, box, predictor)
        error = normalised_errors(
            found.landmarks[None], label.landmarks[None], label.mask[None], predictor.scheme, "box"
        )
        apart.append(disagreement_of(picture, found, predictor))
        errors.append(float(nme(error[:, inner])[0]))
        for place in other_places(picture, box, predictor, rng):
            (found,) = predictor.predict(picture, [place])
            elsewhere.append(disagreement_of(picture, found, predictor))
    return np.array(apart), np.array(errors), np.array(elsewhere)


def in_two_looks(picture, box, predictor: LandmarkPredictor) -> Face:
    """The face in a box, looked at again in the face box of its landmarks."""
    (first,) = predictor.predict(picture, [box])
    own = face_box(first.landmarks, predictor.rule)
    return first if is_beside(own, picture) else predictor.predict(picture, [own])[0]


def disagreement_of(picture, face: Face, predictor: LandmarkPredictor) -> float:
    """The disagreement of a second look; infinite if its box is beside the picture."""
    other = second_box(face.box)
    if is_beside(other, picture):
        return np.inf
    (again,) = predictor.predict(picture, [other])
    return disagreement(face.landmarks, again.landmarks, face.box)


def other_places(picture, box, predictor: LandmarkPredictor, rng) -> list[np.ndarray]:
    """Boxes in which no face is known: neither the labelled one nor one that the detector finds."""
    faces = [box, *(found for found, _ in predictor.face_boxes(picture))]
    height, width = picture.shape[:2]
    places = []
    for _ in range(PLACES):
        side = box[2] * rng.uniform(*SIDES)
        corner = rng.uniform(0, 1, 2) * (width, height) - side / 2
        place = np.array([*corner, side, side])
        if all(iou(place, face) == 0 for face in faces):
            places.append(place)
    return places


def joined(found: dict, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Log disagreements [n] and whether landmarks are right [n], of every other face and place."""
    logs, right = [], []
    for apart, errors, elsewhere in found.values():
        values = np.concatenate([apart[part::2], elsewhere[part::2]])
        good = np.concatenate([errors[part::2] < MOST_ERROR, np.zeros(len(elsewhere[part::2]))])
        known = np.isfinite(values)
        logs.append(np.log(values[known]))
        right.append(good[known])
    return np.concatenate(logs), np.concatenate(right)


def fitted(logs, right) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of `right` on `logs`."""

    def loss(values):
        return np.logaddexp(0, -(2 * right - 1) * (values[0] + values[1] * logs)).mean()

    return tuple(float(value) for value in minimize(loss, (-14.0, -4.0)).x)


def calibration(fit, logs, right) -> list[dict]:
    """For five ranges of the certainty: its mean, and the share of landmarks that are right."""
    certain = 1 / (1 + np.exp(-(fit[0] + fit[1] * logs)))
    fifths = np.minimum((5 * certain).astype(int), 4)
    parts = [fifths == number for number in range(5)]
    return [
        {
            "faces": int(part.sum()),
            "certainty": float(certain[part].mean()),
            "right": float(right[part].mean()),
        }
        for part in parts
        if part.any()
    ]


def row_of(name: str, apart, errors, elsewhere) -> dict:
    """The numbers of one data set."""
    wrong = errors >= MOST_ERROR
    return {
        "data": name,
        "faces": len(apart),
        "places": len(elsewhere),
        "wrong": int(wrong.sum()),
        "auc_places": area(apart, elsewhere),
        "auc_wrong": area(apart[~wrong], apart[wrong]),
    }


def area(low, high) -> float | None:
    """The area under the ROC curve: how often a value of `low` is below one of `high`."""
    if not (len(low) and len(high)):
        return None
    return float(np.mean(np.asarray(low)[:, None] < np.asarray(high)[None]))


def table(result: dict) -> str:
    """The result as a Markdown table."""
    body = [
        [row["data"], f"{row['faces']:,}", f"{row['places']:,}", _area(row["auc_places"])]
        + [f"{row['wrong']:,}", _area(row["auc_wrong"])]
        for row in result["rows"]
    ]
    head = ["data", "faces", "other places", "faces from places"]
    return markdown_table([*head, "faces off by 8 % or more", "right from wrong"], body)


def _area(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
