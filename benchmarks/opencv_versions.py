"""python -m benchmarks.opencv_versions --write

Test which OpenCV versions run a frozen graph, and how much their landmarks differ from those of the
installed OpenCV. Each version is installed into a temporary virtual environment and gets the same
rendered faces. It takes a few minutes, mostly for downloads.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import tyro

from benchmarks.measure import Record, report
from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.export.parity import LIMIT_PX
from senet_kp.face.facebox import crop, face_box
from senet_kp.inference.model_card import INPUT_NODE, OUTPUT_NODE, box_rule, read_card
from senet_kp.tfrecords.errors import UserError, exit_code_of

FACES = 8
# A script for Python 3.7 or later. Arguments: graph, faces, result.
PROBE = f"""
import sys, cv2, numpy as np
faces, net = np.load(sys.argv[2]), cv2.dnn.readNetFromTensorflow(sys.argv[1])
size = faces["crops"].shape[1]
def points(crop):
    net.setInput(cv2.dnn.blobFromImage(crop), "{INPUT_NODE}")
    return net.forward("{OUTPUT_NODE}").reshape(-1, 2) * size
def warped(picture, box):
    x, y, step = box[0], box[1], box[2] / size
    return cv2.warpAffine(picture, np.array([[step, 0, x + step / 2], [0, step, y + step / 2]]),
                          (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
np.savez(sys.argv[3], same_crops=[points(crop) for crop in faces["crops"]],
         own_crops=[points(warped(*one)) for one in zip(faces["pictures"], faces["boxes"])])
"""


@dataclass(frozen=True)
class Config:
    versions: tuple[str, ...] = (
        "4.2.0.34", "4.4.0.46", "4.5.1.48", "4.5.2.54", "4.5.3.56", "4.6.0.66", "4.8.1.78",
        "4.11.0.86", "4.14.0.94",
    )  # fmt: skip
    """versions of opencv-python-headless, oldest first"""
    pythons: tuple[str, ...] = (sys.executable,)
    """Python interpreters to try, in this order; wheels before 4.5.4 need Python 3.7 to 3.9"""
    model: Path = Path("export/pretrained/senet68.pb")
    """frozen graph"""
    write: bool = False
    """store the result in benchmarks/results/opencv_versions.json"""


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.opencv_versions", description=__doc__)
    rule = box_rule(read_card(config.model))
    views = [render_identity(11, identity, 1)[0] for identity in range(FACES)]
    pictures = [np.ascontiguousarray(view.image[..., ::-1]) for view in views]
    boxes = [face_box(view.points_2d, rule) for view in views]
    crops = [crop(*one, rule.size_px) for one in zip(pictures, boxes, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "faces.npz", pictures=pictures, boxes=boxes, crops=crops)
        ours = answer(sys.executable, config.model, Path(folder))
        found, record = {}, Record("opencv_versions")
        for version in config.versions:
            found[version] = tried(version, config, Path(folder), ours)
            record.add(version, **found[version])
    agree = [v for v, result in found.items() if result.get("same_crops_px", 1) <= LIMIT_PX]
    conditions = {"reference": cv2.__version__, "faces": FACES, "limit_px": LIMIT_PX}
    result = {"conditions": conditions, "oldest": agree[0] if agree else None, "wheels": found}
    report("opencv_versions", result, config.write)


def answer(python, model: Path, folder: Path) -> dict[str, np.ndarray]:
    """Return the landmarks in pixels of the crop; raises CalledProcessError if OpenCV fails."""
    files = (model, folder / "faces.npz", folder / "points.npz")
    subprocess.run([python, "-c", PROBE, *files], check=True, capture_output=True, text=True)
    return dict(np.load(files[-1]))


def tried(version: str, config: Config, folder: Path, ours) -> dict:
    """Return the largest distances between its landmarks and ours, in crop pixels, or an error."""
    for python, numpy in product(config.pythons, ("numpy<2", "numpy")):
        _make_environment(python, folder / version)
        pip = [folder / version / "bin" / "pip", "install", "--only-binary", ":all:"]
        # Older wheels need numpy<2 without declaring it.
        pip += [f"opencv-python-headless=={version}", numpy]
        if subprocess.run(pip, capture_output=True).returncode == 0:
            break
    else:
        return {"error": "no wheel for these Pythons"}
    try:
        theirs = answer(folder / version / "bin" / "python", config.model, folder)
    except subprocess.CalledProcessError as error:
        return {"error": error.stderr.strip().splitlines()[-1].rpartition("error: ")[2]}
    return {f"{kind}_px": float(np.abs(theirs[kind] - ours[kind]).max()) for kind in ours}


def _make_environment(python: str, folder: Path):
    command = [python, "-m", "venv", "--clear", folder]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise UserError(
            f"--pythons {python}: no such interpreter, or it has no venv; give another one"
        ) from None


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
