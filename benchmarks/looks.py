"""python -m benchmarks.looks AFLW2000 --rolls-deg 0 90

Measure the landmarks of labelled pictures after one, two and three looks at a face, by its yaw and
by the roll to which the picture is turned: the share of faces that are found, and the NME of these,
divided by the size of the labels' bounding box. The face boxes are those of the labels and those of
each detector. Takes about half a second per picture, roll and detector.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.labelled import boxes_in, labelled_pictures
from benchmarks.measure import conditions, markdown_table, report_table
from senet_kp.face.metrics import mean_of_found, nme, normalised_errors
from senet_kp.face.pictures import read_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.face.turned import turned
from senet_kp.inference.backends import open_backend
from senet_kp.inference.cache import cache_folder
from senet_kp.inference.face_detector import AUTO, DLIB, FaceDetector
from senet_kp.inference.looks import landmarks_near
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.scoring.yaw_bins import yaw_masks
from senet_kp.tfrecords.errors import exit_code_of


@dataclass(frozen=True)
class Config:
    data: tyro.conf.Positional[Path]
    """folder of a data set whose labels have the model's scheme"""
    model: Path = PRETRAINED
    """the model, with its card"""
    detectors: tuple[str, ...] = (DLIB, AUTO)
    """dlib, auto, or the file of the YuNet detector"""
    rolls_deg: tuple[float, ...] = (0.0,)
    """angles by which the pictures are turned clockwise"""
    passes: tuple[int, ...] = (1, 2, 3)
    """numbers of looks at a face"""
    pictures: int = 0
    """number of randomly drawn pictures; 0 for all"""
    seed: int = 0
    """seed of the draw"""
    name: str = "looks"
    """name of the result"""
    write: bool = False
    """store the result in benchmarks/results/<name>.json and update the documentation"""


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.looks", description=__doc__)
    card, run = read_card(config.model), open_backend(config.model, AUTO)
    detectors = [FaceDetector(card, one) for one in config.detectors]
    rows = []
    faces = labelled_pictures(config.data, [config.model], config.pictures, config.seed)
    yaw = np.array([abs(label.pose_deg[1]) for _, label in faces])
    for roll_deg in config.rolls_deg:
        scores = _scores(faces, roll_deg, card, run, detectors, config.passes)
        for (boxes, passes), nmes in scores.items():
            row = {"roll_deg": roll_deg, "boxes": boxes, "passes": passes}
            rows.append(row | {"yaw": _by_yaw(np.array(nmes), yaw)})
            print(rows[-1], flush=True)
    result = {
        "conditions": conditions(
            data=config.data.name,
            model=config.model.name,
            faces=len(faces),
            seed=config.seed,
            detectors=[str(one).replace(f"{cache_folder()}/", "") for one in detectors],
        ),
        "rows": rows,
    }
    report_table(config.name, result, table(result), config.write)


def table(result: dict) -> str:
    """The result as a Markdown table: in every bin of yaw the NME and the share found."""
    bins = [name for name, part in result["rows"][0]["yaw"].items() if part["faces"]]
    body = [
        [f"{row['roll_deg']:g}", row["boxes"], str(row["passes"])]
        + [_cell(row["yaw"][name]) for name in bins]
        for row in result["rows"]
    ]
    return markdown_table(["roll, degrees", "face boxes", "looks", *bins], body)


def _cell(part: dict) -> str:
    found = part["found"] / part["faces"]
    shown = "-" if part["nme"] is None else f"{part['nme']:.2%}"
    return shown if found == 1 else f"{shown} of {found:.1%}"


def _scores(faces, roll_deg, card, run, detectors, passes) -> dict[tuple, list]:
    """{(boxes, passes): [n] NMEs, NaN for a face that was not found}."""
    rule, scheme, scores = box_rule(card), scheme_of(card), {}
    for path, label in tqdm(faces, unit="picture", desc=f"roll {roll_deg:g}", disable=None):
        picture, truth = turned_picture(read_picture(path), label.landmarks, roll_deg)
        seen = boxes_in(picture, truth[label.mask], rule, detectors)
        for boxes, found in seen.items():
            for count in passes:
                error = np.nan
                if found is not None:
                    last = landmarks_near(
                        picture, found.box, run, rule, count, found.roll_deg, card["mean_shape"]
                    )
                    shape = last.landmarks[None]
                    error = nme(
                        normalised_errors(shape, truth[None], label.mask[None], scheme, "box")
                    )[0]
                scores.setdefault((boxes, count), []).append(error)
    return scores


def turned_picture(picture, landmarks, roll_deg: float):
    """The picture and landmarks [N, 2], turned clockwise about its centre; none of it is lost."""
    if not roll_deg:
        return picture, np.asarray(landmarks, np.float64)
    size = np.array(picture.shape[1::-1], np.float64)
    centre = (size - 1) / 2
    corners = turned([(0, 0), (size[0], 0), (0, size[1]), size], roll_deg)
    new = np.ceil(np.ptp(corners, axis=0) - 1e-6).astype(int)
    move = (new - 1) / 2
    first = turned([(0, 0), (1, 0), (0, 1)], roll_deg, centre) + move - centre
    matrix = np.column_stack([first[1] - first[0], first[2] - first[0], first[0]])
    copy = cv2.warpAffine(picture, matrix, tuple(new.tolist()), flags=cv2.INTER_CUBIC)
    return copy, turned(landmarks, roll_deg, centre) + move - centre


def _by_yaw(nmes, yaw) -> dict:
    parts = {"all": np.ones(len(nmes), bool), **yaw_masks(yaw)}
    return {name: _part(nmes[part]) for name, part in parts.items()}


def _part(nmes) -> dict:
    found = int(np.isfinite(nmes).sum())
    return {
        "faces": len(nmes),
        "found": found,
        "nme": mean_of_found(nmes) if found else None,
    }


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
