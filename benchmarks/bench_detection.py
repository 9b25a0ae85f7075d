"""python -m benchmarks.bench_detection photo.jpg

Measure how long the face detectors search, by the size of the picture and of the smallest face that
is to be found, and how many of the faces in a collage of that face they find. The collage repeats
the photo's face at sizes from 20 px to 320 px. YuNet is measured if its file is in the cache. Takes
about two minutes. The times are processor time on one thread, to which other programs on the
machine add little.
"""

import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.measure import conditions, markdown_table, report_table, summary
from senet_kp.face.pictures import read_picture
from senet_kp.inference.dlib_detector import DlibDetector
from senet_kp.inference.face_detector import DLIB, open_detector
from senet_kp.inference.model_card import read_card
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.inference.yunet import cached_file
from senet_kp.tfrecords.errors import InputError, exit_code_of

YUNET = "YuNet"
FACE_SIDES_PX = (20, 28, 40, 56, 80, 113, 160, 226, 320)  # a step of the square root of two


@dataclass(frozen=True)
class Config:
    photo: tyro.conf.Positional[Path]
    """a picture with one face, which dlib finds"""
    sides_px: tuple[int, ...] = (640, 1280, 1920, 4000)
    """longest sides of the pictures, whose format is 4:3"""
    min_faces_px: tuple[float, ...] = (20, 40, 80, 160)
    """sizes of the smallest face that is to be found"""
    repeats: int = 3
    """number of timed searches"""
    longest_mp: float = 20.0
    """largest copy that is searched, in million pixels; others are left out"""
    write: bool = False
    """store the result in benchmarks/results/detection.json and update the documentation"""


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.bench_detection", description=__doc__)
    cv2.setNumThreads(1)
    face = _face_in(read_picture(config.photo))
    rows = []
    for side_px in tqdm(config.sides_px, unit="size", disable=None):
        picture, sides = collage(face, side_px)
        for least_px in config.min_faces_px:
            for name, detector in _detectors(least_px, side_px, config.longest_mp).items():
                row = _row(detector, picture, sides, config.repeats)
                rows.append({"side_px": side_px, "min_face_px": least_px, "detector": name, **row})
                print(rows[-1], flush=True)
    result = {
        "conditions": conditions(
            processor=processor(), repeats=config.repeats, threads=cv2.getNumThreads()
        ),
        "rows": rows,
    }
    report_table("detection", result, table(result), config.write)


def table(result: dict) -> str:
    """The result as a Markdown table: the times of each detector by picture and smallest face."""
    rows = {(r["side_px"], r["min_face_px"], r["detector"]): r for r in result["rows"]}
    names = sorted({name for *_, name in rows}, reverse=True)
    body = [
        [f"{side_px:,} x {side_px * 3 // 4:,} px", f"{least_px:g} px"]
        + [text for name in names for text in _cells(rows.get((side_px, least_px, name)))]
        for side_px, least_px in dict.fromkeys(key[:2] for key in rows)
    ]
    head = [text for name in names for text in (f"{name}, ms", f"{name}, found")]
    return markdown_table(["picture", "`--min-face-px`", *head], body)


def _cells(row: dict | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    return f"{row['ms']['median']:,.0f}", f"{row['found']} of {row['faces']}"


def collage(face, side_px: int) -> tuple[np.ndarray, list]:
    """A grey picture of 4:3 with the square picture of a face at every size that has room.

    Returns the picture and the boxes [x, y, side] of the faces, side being that of dlib's box.
    """
    height = side_px * 3 // 4
    picture = np.full((height, side_px, 3), 128, np.uint8)
    x, y, row, placed = 0, 0, 0, []
    for size in sorted(FACE_SIDES_PX, reverse=True):
        whole = 2 * size  # the square picture is twice as wide as dlib's box in it
        if x + whole > side_px:
            x, y, row = 0, y + row, 0
        if y + whole > height or whole > side_px:
            continue
        copy = cv2.resize(face, (whole, whole), interpolation=cv2.INTER_AREA)
        picture[y : y + whole, x : x + whole] = copy
        placed.append((x + whole / 4, y + whole / 4, size))
        x, row = x + whole, max(row, whole)
    return picture, placed


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _face_in(picture) -> np.ndarray:
    """The square around the best face, twice as wide as dlib's box."""
    found = DlibDetector().detect(picture)
    if not found:
        raise InputError("dlib finds no face in this picture; give another one")
    x, y, side, _ = found[0].box
    centre, half = np.round([x + side / 2, y + side / 2]).astype(int), round(side)
    padded = cv2.copyMakeBorder(picture, half, half, half, half, cv2.BORDER_REPLICATE)
    return padded[centre[1] : centre[1] + 2 * half, centre[0] : centre[0] + 2 * half]


def _detectors(least_px: float, side_px: int, longest_mp: float) -> dict:
    """The detectors whose search takes a copy of at most longest_mp million pixels."""
    facts, file = read_card(PRETRAINED), cached_file()
    megapixels = side_px**2 * 0.75e-6 * (80 / least_px) ** 2
    choices = {DLIB: DLIB if megapixels <= longest_mp else None, YUNET: file}
    return {
        name: open_detector(choice, facts, least_px) for name, choice in choices.items() if choice
    }


def _row(detector, picture, sides, repeats: int) -> dict:
    milliseconds = []
    for _ in range(repeats + 1):  # the first is the warm-up
        began = time.process_time()
        boxes = [one.box for one in detector.detect(picture)]
        milliseconds.append(1000 * (time.process_time() - began))
    large = [one for one in sides if one[2] >= detector.min_face_px]
    found = [one for one in large if any(_is_at(box, one) for box in boxes)]
    return {"ms": summary(milliseconds[1:]), "faces": len(large), "found": len(found)}


def _is_at(box, placed) -> bool:
    """Whether a box's centre is within half a placed face, and its size about the same."""
    x, y, side = placed
    off = np.abs(np.asarray(box[:2]) + box[2:] / 2 - (x + side / 2, y + side / 2)).max()
    return bool(off < side / 2 and 0.5 < box[2] / side < 2)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
