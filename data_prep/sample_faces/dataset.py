"""senet-kp sample --out out/sample

Render sample faces with exact landmarks into a folder with the layout of 300W-LP. Each picture is
OUT/SAMPLE/SAMPLE_<identity>_1_<pose>.jpg; its labels are in the .mat file of the same name (pt2d,
roi, Pose_Para) and in OUT/landmarks/SAMPLE/SAMPLE_<identity>_1_<pose>_pts.mat (pts_2d with the jaw
on the visible contour, pts_3d with all points fixed on the head). Pose 0 is near-frontal; the other
poses turn the same identity by up to 80 degrees to either side.
Exit codes: 0 done, or the folder already holds this set; 2 unusable arguments, 6 the folder cannot
be written.
"""

import os
import re
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.data_prep.sample_faces.layout import write_view
from senet_kp.face.draw import contact_sheet, draw_landmarks
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import read_picture, write_picture
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import (
    atomic_folder,
    json_of,
    restore_folder,
    sha256_of_file,
    sha256_of_lines,
    write_json,
)
from senet_kp.tfrecords.workers import worker_pool

SET_NAME = "SAMPLE"
RENDERER = 1  # version, increased whenever the same settings would give other pictures
_SUMMARY, _SHEET = "sample.json", "contact_sheet.png"
_OWN_FILE = re.compile(
    r"(SAMPLE/SAMPLE_\d{5,}_1_\d+\.(jpg|mat)|landmarks/SAMPLE/SAMPLE_\d{5,}_1_\d+_pts\.mat)"
)
_SHEET_PICTURES, _SHEET_COLUMNS = 40, 8


@dataclass(frozen=True)
class Config:
    """Settings of one sample folder."""

    out: Path = Path("out/sample")
    """folder to write; refused if it holds anything else than a sample set"""
    count: int = 1200
    """number of pictures"""
    views: int = 6
    """pictures of each identity: one near-frontal, the others turned"""
    seed: int = 0
    """random seed of the identities; equal seeds give equal bytes"""
    processes: int = os.cpu_count() or 1
    """worker processes; the default is the number of cores"""

    def __post_init__(self):
        for name in ("count", "views", "processes"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, got {self.seed}")

    @property
    def identities(self) -> int:
        """The number of identities; the last one may have fewer views."""
        return -(-self.count // self.views)

    def views_of(self, identity: int) -> int:
        """Return the number of pictures of an identity."""
        return min(self.views, self.count - identity * self.views)

    def settings(self) -> dict:
        """Return the settings that determine the pictures, as stored in sample.json."""
        kept = {
            key: value for key, value in asdict(self).items() if key not in ("out", "processes")
        }
        return {**kept, "renderer": RENDERER}


def write_samples(config: Config):
    """Render a whole set, or do nothing if `config.out` already holds it.

    Raises UserError, and leaves the folder unchanged, if it holds something else.
    """
    restore_folder(config.out, _files_written)
    if _already_there(config):
        print(f"nothing to do: {config.out} already holds these {config.count} pictures")
        return
    with atomic_folder(config.out, _files_written) as folder:
        (folder / SET_NAME).mkdir()
        (folder / "landmarks" / SET_NAME).mkdir(parents=True)
        with tqdm(total=config.count, unit="picture", disable=None) as progress:
            for done in _rendered(config, folder):
                progress.update(done)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
        digest = sha256_of_lines(f"{name} {sha256_of_file(folder / name)}" for name in names)
        write_picture(folder / _SHEET, _contact_sheet(config, folder))
        write_json(folder / _SUMMARY, {**config.settings(), "sha256": digest})
    print(f"{config.out}: {config.count} pictures of {config.identities} identities")


def _already_there(config):
    """Return whether `config.out` holds the set with these settings."""
    kept = json_of(config.out / _SUMMARY)
    return {**kept, "sha256": None} == {**config.settings(), "sha256": None}


def _files_written(folder: Path) -> set[str] | None:
    """Return the paths of a sample set's files below `folder`; None if it holds no sample set."""
    kept = json_of(folder / _SUMMARY)
    if not {"count", "views", "seed", "renderer", "sha256"} <= kept.keys():
        return None
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob(f"{SET_NAME}_*"))
    return {_SUMMARY, _SHEET, *filter(_OWN_FILE.fullmatch, paths)}


def _rendered(config, folder):
    """Write all identities with `config.processes` processes; yield each one's picture count."""
    work = partial(_write_identity, config, folder)
    if config.processes == 1:
        yield from map(work, range(config.identities))
        return
    with worker_pool(config.processes) as pool:
        yield from pool.map(work, range(config.identities))


def _write_identity(config, folder, identity):
    views = render_identity(config.seed, identity, config.views)[: config.views_of(identity)]
    for pose, view in enumerate(views):
        stem = f"{SET_NAME}_{identity:05d}_1_{pose}"
        write_view(folder, SET_NAME, stem, view, original=views[0])
    return len(views)


def _contact_sheet(config, folder):
    """Return a sheet of random pictures, every third one with its landmarks."""
    import scipy.io

    paths = sorted((folder / SET_NAME).glob("*.jpg"))
    chosen = np.random.default_rng(config.seed).permutation(len(paths))[:_SHEET_PICTURES]
    tiles = []
    for tile, index in enumerate(chosen):
        picture = read_picture(paths[index])
        if tile % 3 == 2:
            labels = folder / "landmarks" / SET_NAME / f"{paths[index].stem}_pts.mat"
            draw_landmarks(picture, scipy.io.loadmat(labels)["pts_2d"] - 1, IBUG68)
        tiles.append(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return contact_sheet(tiles, _SHEET_COLUMNS)


def main():
    write_samples(tyro.cli(Config, prog="senet-kp sample", description=__doc__))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
