"""python -m data_prep.autolabel photos/ --model export/pretrained/senet68.pb --out out/labels

First labels for pictures of your own, to be looked at and mended: dlib (or YuNet, --detector) finds
the faces, a frozen graph or a dlib shape predictor places their points. Writes one `.pts` a face,
named after its picture (photo.pts, further faces photo_2.pts, ...), and, the least sure face first,
review.csv and review.png. A picture whose label exists is left alone, so that the same command goes
on with a stopped run.
Exit codes: 0 done, also where pictures hold no face (rejects.csv); 2 unusable arguments, 3 nothing
to read, 4 the model cannot be used, 6 the labels cannot be written.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.data_prep.formats.pts import SUFFIX, write_pts
from senet_kp.data_prep.labellers import open_labeller, spread_percent
from senet_kp.face.draw import contact_sheet, draw_landmarks
from senet_kp.face.facebox import BoxRule, crop, face_box, to_relative
from senet_kp.face.pictures import BadPicture, pictures_in, read_picture, write_picture
from senet_kp.inference.predictor import Face
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import naming, read_csv, write_csv

REVIEW, SHEET, REJECTS = "review.csv", "review.png", "rejects.csv"
DRAWN = "review"  # folder of the drawn faces, a .jpg for each label
COLUMNS = ("label", "picture", "spread_percent", "detector_score", "x", "y", "width", "height")
SHOWN = BoxRule(scale=1.5, size_px=192)  # what a drawn face shows
SHEET_FACES, SHEET_COLUMNS = 200, 8  # more faces would be a picture that no viewer opens


@dataclass(frozen=True)
class AutolabelConfig:
    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """pictures, or folders of pictures"""
    model: Path
    """a frozen graph (.pb), or a dlib shape predictor (.dat): one of benchmarks.dlib_baseline, with
    its .json beside it, or one that takes dlib's own boxes"""
    out: Path = Path("out/labels")
    """folder for the labels"""
    overwrite: bool = False
    """label anew what has a label"""
    detector: Path | None = None
    """YuNet's file (face_detection_yunet), which OpenCV runs, instead of dlib's detector"""


def autolabel(config: AutolabelConfig) -> dict[str, int]:
    """Label the pictures; return how many faces, labelled pictures, skipped ones and rejects."""
    pictures = _by_stem(config.pictures)
    missing = {
        stem: path
        for stem, path in pictures.items()
        if config.overwrite or not _label(config.out, stem).exists()
    }
    labeller = open_labeller(config.model, config.detector) if missing else None
    review, rejects, labelled = Review(config.out), [], 0
    for stem, path in tqdm(missing.items(), unit="picture", disable=None):
        try:
            picture, faces = _faces_in(path, labeller)
            labelled += 1
        except Rejected as error:
            rejects.append((path, error.reason, str(error)))
            continue
        # The first face last: where its label is, those of the others are too.
        for number, face in reversed(list(enumerate(faces, 1))):
            name = stem if number == 1 else f"{stem}_{number}"
            label = _label(config.out, name)
            if number > 1 and name in pictures:
                taken = f"{path}: face {number} would be {label.name}, which is {pictures[name]}'s"
                rejects.append((path, "name-taken", taken))
            elif config.overwrite or not label.exists():
                review.enter(name, path, picture, face, labeller)
                write_pts(label, face.landmarks)
    review.close()
    write_csv(config.out / REJECTS, ("picture", "reason", "message"), rejects)
    return {
        "faces": review.entered,
        "pictures": labelled,
        "rejects": len(rejects),
        "skipped": len(pictures) - len(missing),
    }


class Review:
    """review.csv and the drawn faces, of this run and of those before it.

    A row is appended before its label is written, so that no label is without one, whenever a
    run ends; closing puts them in order and draws the sheet.
    """

    def __init__(self, out: Path):
        self.out, self.entered = out, 0
        self._write(self._rows())  # without what a killed run left half-written

    def enter(self, name: str, path: Path, picture, face: Face, labeller):
        """Measure, draw and note one face."""
        spread = spread_percent(labeller, picture, face)
        write_picture(self._drawn(name), _surroundings(picture, face.landmarks, labeller.scheme))
        row = (name + SUFFIX, path, f"{spread:.3f}", f"{face.score:.3f}", *np.round(face.box, 2))
        table = self.out / REVIEW
        with naming(table), open(table, "a", newline="") as file:
            csv.writer(file).writerow(row)
        self.entered += 1

    def close(self):
        """Order the table, the least sure face first, and draw the first SHEET_FACES."""
        rows = self._rows()
        self._write(rows)
        drawn = [self._drawn(row["label"].removesuffix(SUFFIX)) for row in rows[:SHEET_FACES]]
        faces = [read_picture(path) for path in drawn if path.exists()]
        if faces:
            write_picture(self.out / SHEET, contact_sheet(faces, SHEET_COLUMNS))

    def _drawn(self, name: str) -> Path:
        return self.out / DRAWN / f"{name}.jpg"

    def _rows(self) -> list[dict]:
        """The newest row of every label that exists, by falling spread."""
        rows = {
            row["label"]: row
            for row in read_csv(self.out / REVIEW)
            if all(row.get(column) for column in COLUMNS) and (self.out / row["label"]).exists()
        }
        return sorted(rows.values(), key=lambda row: (-float(row["spread_percent"]), row["label"]))

    def _write(self, rows: list[dict]):
        write_csv(self.out / REVIEW, COLUMNS, ([row[c] for c in COLUMNS] for row in rows))


def _surroundings(picture, landmarks, scheme) -> np.ndarray:
    """The face and what is round it, [S, S, 3], with its points in it."""
    box = face_box(landmarks, SHOWN)
    shown = crop(picture, box, SHOWN.size_px)
    points = to_relative(landmarks, box) * SHOWN.size_px - 0.5
    return draw_landmarks(shown, points, scheme)


def _faces_in(path: Path, labeller) -> tuple[np.ndarray, list[Face]]:
    """A picture and its faces, best first; raises Rejected where there is none to be had."""
    try:
        picture = read_picture(path)
    except BadPicture as error:
        raise Rejected(error.reason, str(error)) from None
    if not (faces := labeller.find(picture)):
        raise Rejected("no-face", f"{path}: no face was found")
    return picture, faces


def _label(out: Path, name: str) -> Path:
    return out / f"{name}{SUFFIX}"


def _by_stem(named: tuple[Path, ...]) -> dict[str, Path]:
    """The pictures by what their labels will be called; raises InputError where two share that."""
    if not named:
        raise UserError("no picture and no folder is named")
    pictures = {}
    for path in named:
        for picture in pictures_in(path) if path.is_dir() else [path]:
            if (other := pictures.setdefault(picture.stem, picture)) != picture:
                raise InputError(
                    f"{other} and {picture}: would have one label, {picture.stem}{SUFFIX}; label"
                    " them apart, with another --out"
                )
    return pictures


def main():
    config = tyro.cli(AutolabelConfig, prog="python -m data_prep.autolabel", description=__doc__)
    cv2.setNumThreads(1)  # faces come one by one: threads would only wait for each other
    done = autolabel(config)
    if not done["pictures"] + done["rejects"]:
        print(f"{config.out}: every picture has its label, nothing to do")
        return
    print(
        f"{config.out}: {done['faces']:,} faces of {done['pictures']:,} pictures labelled,"
        f" {done['skipped']:,} had their label, {done['rejects']:,} rejects ({REJECTS}); look at"
        f" {config.out / SHEET} and {REVIEW}, the least sure first"
    )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
