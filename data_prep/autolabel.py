"""senet-kp autolabel photos/ --model export/pretrained/senet68.pb --out out/labels

Label your own pictures automatically, as a first version to review and correct. YuNet or dlib's
detector (--detector) finds the faces, and a frozen graph or a dlib shape predictor predicts their
landmarks. The command writes one `.pts` file per face, named after its picture (photo.pts, for
further faces photo_2.pts, ...), puts every labelled picture beside its labels, so that the folder
is a data set for `senet-kp prepare`, and lists the faces in review.csv and review.png, the most
uncertain ones first. Pictures that already have a label are skipped, so the same command resumes an
interrupted run.
Exit codes: 0 done, even if pictures show no face (see rejects.csv); 2 unusable arguments, 3 no
picture can be read, 4 the model cannot be used, 6 the labels cannot be written.
"""

import csv
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.formats.face_sample import Rejected
from senet_kp.data_prep.formats.pts import DRAWN, REVIEW, SHEET, SUFFIX, write_pts
from senet_kp.data_prep.labellers import open_labeller, spread_percent
from senet_kp.face.draw import contact_sheet, draw_landmarks
from senet_kp.face.facebox import BoxRule, crop, face_box, to_relative
from senet_kp.face.folders import pictures_in
from senet_kp.face.pictures import BadPicture, read_picture, write_picture
from senet_kp.inference.face_detector import AUTO
from senet_kp.inference.predictor import Face
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import link_or_copy, naming, read_csv, write_csv

REJECTS = "rejects.csv"
COLUMNS = ("label", "picture", "spread_percent", "detector_score", "x", "y", "width", "height")
REJECT_COLUMNS = ("picture", "reason", "message")
SHOWN = BoxRule(scale=1.5, size_px=192)  # the part of the picture that is drawn
SHEET_FACES, SHEET_COLUMNS = 200, 8  # with more faces the sheet is too large for viewers


@dataclass(frozen=True)
class AutolabelConfig:
    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """pictures, or folders of pictures"""
    model: Path
    """a frozen graph (.pb), or a dlib shape predictor (.dat): one written by
    benchmarks.dlib_baseline with its .json, or one that was trained on boxes of dlib's detector"""
    out: Path = Path("out/labels")
    """folder for the labels and the pictures, which take no further space on the same disk"""
    overwrite: bool = False
    """label pictures that already have a label again"""
    detector: str = AUTO
    """what finds the faces: dlib, or YuNet from its file (face_detection_yunet); auto is YuNet if
    `senet-kp fetch yunet` has put its file into your cache, or else dlib"""
    min_face_px: float | None = None
    """find every face of at least this size; None is 80 with dlib and 40 with YuNet"""
    any_roll: bool = False
    """search every picture in all four quarter turns; without it, only pictures without an upright
    face"""


def autolabel(config: AutolabelConfig) -> dict[str, int]:
    """Label the pictures; return the numbers of "faces", "pictures", "skipped" and "rejects"."""
    pictures = _by_stem(config.pictures)
    _check_ours(config.out)
    missing = {
        stem: path
        for stem, path in pictures.items()
        if config.overwrite or not _label(config.out, stem).exists()
    }
    labeller = _opened(config) if missing else None
    review, rejects, labelled = Review(config.out), [], 0
    for stem, path in tqdm(missing.items(), unit="picture", disable=None):
        try:
            picture, faces = _faces_in(path, labeller)
            labelled += 1
        except Rejected as error:
            rejects.append((path, error.reason, str(error)))
            continue
        # The first face comes last: if its label exists, those of the other faces do, too.
        for number, face in reversed(list(enumerate(faces, 1))):
            name = stem if number == 1 else f"{stem}_{number}"
            label = _label(config.out, name)
            if number > 1 and name in pictures:
                taken = (
                    f"{path}: the label of face {number} would be {label.name}, which is the label"
                    f" of {pictures[name]}"
                )
                rejects.append((path, "name-taken", taken))
            elif config.overwrite or not label.exists():
                review.enter(name, path, picture, face, labeller)
                write_pts(label, face.landmarks)
    review.close()
    _place_beside_labels(pictures, config.out)
    write_csv(config.out / REJECTS, REJECT_COLUMNS, rejects)
    return {
        "faces": review.entered,
        "pictures": labelled,
        "rejects": len(rejects),
        "skipped": len(pictures) - len(missing),
    }


def _opened(config: AutolabelConfig):
    finding = (config.detector, config.min_face_px, config.any_roll)
    labeller = open_labeller(config.model, *finding)
    print(f"face detector: {labeller.detector}", file=sys.stderr)
    return labeller


def _check_ours(out: Path):
    """Raise UserError if a file that this command would replace in `out` is not of its making."""
    known = {REVIEW: COLUMNS, REJECTS: REJECT_COLUMNS}
    foreign = [name for name, columns in known.items() if not _is_table(out / name, columns)]
    if not (out / REVIEW).exists():
        foreign += [name for name in (SHEET, DRAWN) if (out / name).exists()]
    if foreign:
        raise UserError(
            f"{out / foreign[0]}: this command writes a file of that name, but has not written this"
            " one; choose another --out"
        )


def _is_table(path: Path, columns: tuple[str, ...]) -> bool:
    """Return whether a file does not exist or begins with these columns."""
    if not path.exists():
        return True
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().strip() == ",".join(columns)


class Review:
    """review.csv and the drawn faces of this run and of earlier runs into the same folder.

    A row is appended before its label is written, so that every label has a row even if the run is
    killed. Closing sorts the rows and draws the contact sheet.
    """

    def __init__(self, out: Path):
        self.out, self.entered = out, 0
        self._write(self._rows())  # drops incomplete rows of a killed run

    def enter(self, name: str, path: Path, picture, face: Face, labeller):
        """Measure the uncertainty of one face, draw it, and append its row."""
        spread = spread_percent(labeller, picture, face)
        write_picture(self._drawn(name), _surroundings(picture, face.landmarks, labeller.scheme))
        row = (name + SUFFIX, path, f"{spread:.3f}", f"{face.score:.3f}", *np.round(face.box, 2))
        table = self.out / REVIEW
        with naming(table), open(table, "a", newline="") as file:
            csv.writer(file).writerow(row)
        self.entered += 1

    def close(self):
        """Sort the table, most uncertain face first, and draw the first SHEET_FACES faces."""
        rows = self._rows()
        self._write(rows)
        drawn = [self._drawn(row["label"].removesuffix(SUFFIX)) for row in rows[:SHEET_FACES]]
        faces = [read_picture(path) for path in drawn if path.exists()]
        if faces:
            write_picture(self.out / SHEET, contact_sheet(faces, SHEET_COLUMNS))

    def _drawn(self, name: str) -> Path:
        return self.out / DRAWN / f"{name}.jpg"

    def _rows(self) -> list[dict]:
        """Return the newest row of every label that exists, sorted by decreasing spread."""
        rows = {
            row["label"]: row
            for row in read_csv(self.out / REVIEW)
            if _is_whole(row) and (self.out / row["label"]).is_file()
        }
        return sorted(rows.values(), key=lambda row: (-float(row["spread_percent"]), row["label"]))

    def _write(self, rows: list[dict]):
        write_csv(self.out / REVIEW, COLUMNS, ([row[c] for c in COLUMNS] for row in rows))


def _is_whole(row: dict) -> bool:
    """Whether a row of the table has all its cells; a killed run may have written half of one."""
    with suppress(ValueError):
        return all(row.get(column) for column in COLUMNS) and float(row["spread_percent"]) >= 0
    return False


def _surroundings(picture, landmarks, scheme) -> np.ndarray:
    """Return the face with some context and its landmarks, [S, S, 3] RGB."""
    box = face_box(landmarks, SHOWN)
    shown = crop(picture, box, SHOWN.size_px)
    points = to_relative(landmarks, box) * SHOWN.size_px - 0.5
    return draw_landmarks(shown, points, scheme)


def _faces_in(path: Path, labeller) -> tuple[np.ndarray, list[Face]]:
    """Return a picture and its faces, best first.

    Raises Rejected if the picture cannot be read or shows no face.
    """
    try:
        picture = read_picture(path)
    except BadPicture as error:
        raise Rejected(error.reason, str(error)) from None
    if not (faces := labeller.find(picture)):
        raise Rejected("no-face", f"{path}: no face was found")
    return picture, faces


def _place_beside_labels(pictures: dict[str, Path], out: Path):
    """Put every picture that has a label into the folder of the labels, if it is not there yet."""
    for stem, path in pictures.items():
        target = out / path.name
        if _label(out, stem).exists() and not target.exists():
            link_or_copy(path, target)


def _label(out: Path, name: str) -> Path:
    return out / f"{name}{SUFFIX}"


def _by_stem(named: tuple[Path, ...]) -> dict[str, Path]:
    """Return the pictures by the stem of their labels; raises InputError if two share a stem."""
    if not named:
        raise UserError("no picture and no folder is given; name at least one")
    pictures = {}
    for path in named:
        for picture in _pictures_of(path):
            if (other := pictures.setdefault(picture.stem, picture)) != picture:
                raise InputError(
                    f"{other} and {picture} would have one label, {picture.stem}{SUFFIX}; label"
                    " them separately, with another --out"
                )
    return pictures


def _pictures_of(path: Path) -> list[Path]:
    """Return the pictures directly in a folder, or the picture itself; print what is left out."""
    if not path.is_dir():
        return [path]
    found = pictures_in(path)
    print(*(f"{path}: {line}\n" for line in found.lines()), sep="", end="")
    return found.pictures


def main():
    config = tyro.cli(AutolabelConfig, prog="senet-kp autolabel", description=__doc__)
    cv2.setNumThreads(1)  # faces are processed one by one, too little work for several threads
    done = autolabel(config)
    if not done["pictures"] + done["rejects"]:
        print(f"{config.out}: every picture has its label, nothing to do")
        return
    print(
        f"{config.out}: labelled {done['faces']:,} faces of {done['pictures']:,} pictures;"
        f" {done['skipped']:,} pictures already had a label, {done['rejects']:,} rejects are in"
        f" {REJECTS}; review {config.out / SHEET} and {REVIEW}, the most uncertain faces first"
    )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
