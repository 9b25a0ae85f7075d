"""python -m benchmarks.turned AFLW2000 --models a.pb b.pb

Measure the landmarks that models predict on turned heads: the NME by the bins of the head's yaw
and the mean of the bins, of all points and of those that are not on the contour, divided by the
square root of width times height of all labelled points' bounding rectangle. The face boxes are
those of the labels and those of the detector, whose lost faces are counted. Where the labels state
the pose, the mean absolute errors of the head pose are measured, too: estimated from the same
points, and, for comparison, from those of the labels. `--sheet` also draws some faces with the
landmarks of every model, in the labels' boxes. Takes about a tenth of a second per picture and
model.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.labelled import LABELS, boxes_in, labelled_pictures
from benchmarks.measure import conditions, markdown_table, report_table
from senet_kp.data_prep.formats.face_sample import FaceLabel
from senet_kp.face.draw import contact_sheet, draw_landmarks
from senet_kp.face.facebox import BoxRule, crop, face_box, to_relative
from senet_kp.face.metrics import mean_of_found, nme, normalised_errors
from senet_kp.face.pictures import read_picture, write_picture
from senet_kp.face.pose import estimate_pose_deg, true_yaw_deg
from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.inference.backends import open_backend
from senet_kp.inference.cache import cache_folder
from senet_kp.inference.detections import Detection
from senet_kp.inference.face_detector import AUTO, FaceDetector
from senet_kp.inference.looks import landmarks_near
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.inference.pretrained import SHIPPED
from senet_kp.scoring.yaw_bins import yaw_masks
from senet_kp.tfrecords.errors import UserError, exit_code_of

NAME = "turned"
MEAN = "mean"
MOST_DEG = 99  # faces with a larger angle are left out of pose errors, as in published evaluations
# The sheet: faces in a row, the side of each, and the side of its square in sides of the face box.
COLUMNS, SIDE_PX, SHOWN_SCALE = 10, 192, 1.4


@dataclass(frozen=True)
class Config:
    data: tyro.conf.Positional[Path]
    """folder of a data set whose labels have the models' scheme"""
    models: tuple[Path, ...] = tuple(SHIPPED.values())
    """the models, with their cards"""
    detector: str = AUTO
    """auto, dlib, or the file of the YuNet detector"""
    label_looks: int = 1
    """number of looks at a face in the box of its label"""
    detector_looks: int = 2
    """number of looks at a detected face"""
    pictures: int = 0
    """number of randomly drawn pictures; 0 for all"""
    sheet: Path | None = None
    """picture to draw faces to: in every block of rows, a row for each model"""
    sheet_faces: int = 40
    """number of randomly drawn faces on the sheet, in the order of their yaw"""
    seed: int = 0
    """seed of the draws"""
    write: bool = False
    """store the result in benchmarks/results/turned.json and update the documentation"""


class Model(NamedTuple):
    """A model that is measured; run: its backend, detector: that of its face boxes."""

    name: str
    card: dict
    run: Callable
    detector: FaceDetector


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.turned", description=__doc__)
    models = _opened(config)
    scheme = scheme_of(models[0].card)
    faces = labelled_pictures(config.data, config.models, config.pictures, config.seed)
    yaw = _absolute_yaw_deg(faces, scheme)
    rows, shapes = _measured(models, faces, yaw, config)
    if config.sheet:
        chosen = _chosen(yaw, config)
        write_picture(config.sheet, _sheet(faces, shapes, chosen, scheme))
        print(f"drawn: {len(chosen)} faces, {config.sheet}", file=sys.stderr)
    result = {"conditions": _conditions(config, models[0], faces, yaw), "rows": rows}
    report_table(NAME, result, table(result), config.write)


def table(result: dict) -> str:
    """The result as a Markdown table: NMEs by yaw, their mean, lost faces by yaw, pose errors."""
    bins = list(result["conditions"]["faces"])
    body = [
        [row["model"], row["boxes"], str(row["looks"]), str(row["points"])]
        + [_percent(row["nme"][name]) for name in (*bins, MEAN)]
        + [" / ".join(str(row["lost"][name]) for name in bins)]
        + ["-" if row["pose_deg"] is None else " / ".join(f"{one:.1f}" for one in row["pose_deg"])]
        for row in result["rows"]
    ]
    head = ["model", "face boxes", "looks", "points", *bins, f"{MEAN} of the bins", "lost faces"]
    return markdown_table([*head, "pitch / yaw / roll, degrees"], body)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _opened(config: Config) -> list[Model]:
    """The models. Raises UserError for numbers below 1 and for models of several schemes."""
    if min(config.label_looks, config.detector_looks, config.sheet_faces) < 1:
        raise UserError("--label-looks, --detector-looks and --sheet-faces must be at least 1")
    models = []
    for path, name in zip(config.models, _names(config.models), strict=True):
        card = read_card(path)
        detector = FaceDetector(card, config.detector, model=path)
        models.append(Model(name, card, open_backend(path, AUTO), detector))
    schemes = {model.card["scheme"]["name"] for model in models}
    if len(schemes) > 1:
        raise UserError(f"--models: predict {' and '.join(sorted(schemes))}; choose one scheme")
    return models


def _names(models) -> list[str]:
    """The names of the files, or their paths if two files have one name."""
    names = [model.name for model in models]
    return names if len(set(names)) == len(names) else [model.as_posix() for model in models]


def _absolute_yaw_deg(faces, scheme: LandmarkScheme) -> np.ndarray:
    """[n] degrees, labelled or else estimated from the labelled points."""
    labels = (label for _, label in faces)
    return np.abs([true_yaw_deg(one.pose_deg, one.landmarks, one.mask, scheme) for one in labels])


def _conditions(config: Config, model: Model, faces, yaw) -> dict:
    return conditions(
        data=config.data.name,
        normaliser="box",
        detector=str(model.detector).replace(f"{cache_folder()}/", ""),
        pictures=len(faces),
        faces={name: int(part.sum()) for name, part in yaw_masks(yaw).items()},
        seed=config.seed,
    )


def _measured(models: list[Model], faces, yaw, config: Config) -> tuple[list[dict], list]:
    """The rows of the labels' points and of all models; each model's landmarks in label boxes."""
    shapes, scheme = [], scheme_of(models[0].card)
    own = {"model": LABELS, "boxes": "", "looks": ""}
    truth = np.array([label.landmarks for _, label in faces])
    rows = [own | row for row in _rows(truth, faces, yaw, scheme)]
    for model in models:
        found = _landmarks(model, faces, config)
        shapes.append(found[LABELS])
        for boxes, predicted in found.items():
            head = {"model": model.name, "boxes": boxes, "looks": _looks(boxes, config)}
            for row in _rows(predicted, faces, yaw, scheme):
                rows.append(head | row)
                print(rows[-1], flush=True)
    return rows, shapes


def _looks(boxes: str, config: Config) -> int:
    return config.label_looks if boxes == LABELS else config.detector_looks


def _landmarks(model: Model, faces, config: Config) -> dict[str, np.ndarray]:
    """{"labels" or the detector's name: [n, N, 2] in pixels, NaN for a face that was not found}."""
    found = {}
    for path, label in tqdm(faces, unit="picture", desc=model.name, disable=None):
        picture, points = read_picture(path), label.landmarks[label.mask]
        seen = boxes_in(picture, points, box_rule(model.card), [model.detector])
        for boxes, one in seen.items():
            shape = _landmarks_in(picture, one, model, _looks(boxes, config))
            found.setdefault(boxes, []).append(shape)
    return {boxes: np.array(shapes) for boxes, shapes in found.items()}


def _landmarks_in(picture, seen: Detection | None, model: Model, looks: int) -> np.ndarray:
    if seen is None:
        return np.full((scheme_of(model.card).count, 2), np.nan)
    mean_shape = model.card.get("mean_shape")
    rule, roll_deg = box_rule(model.card), seen.roll_deg
    return landmarks_near(picture, seen.box, model.run, rule, looks, roll_deg, mean_shape).landmarks


def _rows(predicted, faces, yaw, scheme: LandmarkScheme) -> list[dict]:
    """A row for all points, and one for those that are not on the contour if there are any."""
    truth = np.array([label.landmarks for _, label in faces])
    mask = np.array([label.mask for _, label in faces])
    errors = normalised_errors(predicted, truth, mask, scheme, "box")
    inner = [point for point in range(scheme.count) if point not in scheme.contour]
    parts = [errors] if len(inner) == scheme.count else [errors, errors[:, inner]]
    labels = [label for _, label in faces]
    lost = np.isnan(predicted).any(axis=(1, 2))
    lost_by_yaw = {name: int(lost[part].sum()) for name, part in yaw_masks(yaw).items()}
    return [
        {
            "points": part.shape[1],
            "nme": _by_yaw(nme(part), yaw),
            "lost": lost_by_yaw,
            "pose_deg": _pose_errors_deg(predicted, labels, scheme, part is errors),
        }
        for part in parts
    ]


def _pose_errors_deg(predicted, labels, scheme: LandmarkScheme, with_contour: bool):
    """Mean absolute errors of pitch, yaw, roll [3] of the found faces; None if none has a pose."""
    errors = [
        np.abs(estimate_pose_deg(shape, label.mask, scheme, with_contour) - label.pose_deg)
        for shape, label in zip(predicted, labels, strict=True)
        if np.isfinite(shape).all() and (np.abs(label.pose_deg) <= MOST_DEG).all()
    ]
    return np.mean(errors, axis=0).tolist() if errors and np.isfinite(errors).all() else None


def _by_yaw(nmes, yaw) -> dict[str, float | None]:
    """The mean NME of the found faces in each bin, and the bins' mean; None without a face."""
    means = {name: mean_of_found(nmes[part]) for name, part in yaw_masks(yaw).items()}
    means[MEAN] = float(np.mean(list(means.values())))
    return {name: value if np.isfinite(value) else None for name, value in means.items()}


def _chosen(yaw, config: Config) -> np.ndarray:
    """The numbers of the faces on the sheet, by their yaw."""
    drawn = np.random.default_rng(config.seed).permutation(len(yaw))[: config.sheet_faces]
    return drawn[np.argsort(yaw[drawn])]


def _sheet(faces, shapes, chosen, scheme: LandmarkScheme) -> np.ndarray:
    """The chosen faces in blocks of rows; row k of a block has the landmarks of model k."""
    blank = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)
    pictures = []
    columns = min(COLUMNS, len(chosen))
    for start in range(0, len(chosen), columns):
        block = chosen[start : start + columns]
        for predicted in shapes:
            pictures += [_drawn(*faces[face], predicted[face], scheme) for face in block]
            pictures += [blank] * (columns - len(block))
    return contact_sheet(pictures, columns)


def _drawn(path: Path, label: FaceLabel, landmarks, scheme: LandmarkScheme) -> np.ndarray:
    box = face_box(label.landmarks[label.mask], BoxRule(scale=SHOWN_SCALE))
    picture = crop(read_picture(path), box, SIDE_PX)
    return draw_landmarks(picture, to_relative(landmarks, box) * SIDE_PX - 0.5, scheme)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
