"""python -m benchmarks.bench_demo photo.jpg

Measure the time of the whole `demo.py` process, from its start to the written picture, and of its
parts after a warm-up. It takes about 20 s.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import tyro

from benchmarks.measure import Record, conditions, interleaved_s, report, summary
from senet_kp.face.draw import draw_landmarks
from senet_kp.face.facebox import crop
from senet_kp.face.pictures import read_picture
from senet_kp.inference.backends import OpenCVBackend
from senet_kp.inference.face_detector import DLIB
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.tfrecords.errors import InputError, exit_code_of


@dataclass(frozen=True)
class Config:
    photo: tyro.conf.Positional[Path]
    """a picture that shows a face"""
    model: Path = Path("export/pretrained/senet68.pb")
    """frozen graph"""
    detector: str = DLIB
    """auto, dlib, or the file of the YuNet detector"""
    long_edge_px: int = 1000
    """the photo is first resized so that its longer edge has this length"""
    repeats: int = 15
    """number of timed rounds"""
    write: bool = False
    """store the result in benchmarks/results/demo.json"""


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.bench_demo", description=__doc__)
    picture = read_picture(config.photo)
    scale = config.long_edge_px / max(picture.shape[:2])
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        cv2.imwrite(str(path), picture[:, :, ::-1])
        command = [sys.executable, "demo.py", path, "--model", config.model, "--out", folder]
        command += ["--detector", config.detector]
        whole = interleaved_s(
            {"demo": lambda: subprocess.run(command, check=True, capture_output=True)},
            config.repeats,
            warmup=2,
            record=Record("demo"),
        )
        parts = interleaved_s(_parts(path, config.model, config.detector), config.repeats, warmup=3)
    report(
        "demo",
        {
            "conditions": conditions(
                picture=f"{picture.shape[1]}x{picture.shape[0]}",
                repeats=config.repeats,
                threads=cv2.getNumThreads(),
            ),
            "start_to_picture_ms": summary([1000 * s for s in whole["demo"]]),
            **{f"{name}_ms": summary([1000 * s for s in values]) for name, values in parts.items()},
        },
        config.write,
    )


def _parts(path: Path, model: Path, detector: str) -> dict:
    predictor = LandmarkPredictor(model, detector=detector)
    network = OpenCVBackend(model.read_bytes())
    picture = read_picture(path)
    faces = predictor.predict(picture)
    if not faces:
        raise InputError(f"{path}: no face is found in this picture; give another one")
    cut = crop(picture, faces[0].box, predictor.rule.size_px)
    return {
        "read": lambda: read_picture(path),
        "detect": lambda: predictor.face_boxes(picture),
        "crop": lambda: crop(picture, faces[0].box, predictor.rule.size_px),
        "network": lambda: network(cut),
        "draw": lambda: draw_landmarks(picture.copy(), faces[0].landmarks, predictor.scheme),
    }


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
