"""senet-kp profile-views photos/ --out out/views

Make turned views of photos with 68 landmarks, in steps up to the profile, as the synthetic views of
300W-LP were made. The output folder has the layout of 300W-LP: <SET>/<NAME>_<k>.jpg with a .mat
file (pt2d, roi, Pose_Para), and landmarks/<SET>/<NAME>_<k>_pts.mat (pts_2d with the jaw on the
visible contour, pts_3d with all points fixed on the head). Number 0 is the photo itself; the others
turn the head further to the side that it is already turned to. Photos that cannot be used are
listed in rejects.csv.
Exit codes: 0 done, or the folder already holds these views; 2 unusable arguments, 3 the data cannot
be read, 5 too many rejects, 6 the folder cannot be written.
"""

import os
import re
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.config import AUTO, FormatName, Points, PrepareConfig, check, crop_rule
from senet_kp.data_prep.crop_record import Reject
from senet_kp.data_prep.crop_rule import LabelPixels
from senet_kp.data_prep.data_sets import listing, scan_all
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.profile_views.make_views import Made, Task, make_views
from senet_kp.data_prep.recognise import with_formats
from senet_kp.data_prep.rejects import too_many, write_rejects
from senet_kp.face.draw import contact_sheet, draw_landmarks
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import read_picture, write_picture
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_folder, json_of, restore_folder, write_csv, write_json
from senet_kp.tfrecords.shards import CONTACT_SHEET, REJECTS
from senet_kp.tfrecords.workers import worker_pool

VERSION = 1  # increased whenever the same settings would give other pictures
_SUMMARY, _FITS = "views.json", "fits.csv"
_OWN_FILE = re.compile(r"[^/]+/[^/]+_\d+\.(jpg|mat)|landmarks/[^/]+/[^/]+_\d+_pts\.mat")
_SHEET_PHOTOS, _SHEET_VIEWS, _TILE_PX = 12, 8, 180


@dataclass(frozen=True)
class ViewsConfig:
    data: tyro.conf.Positional[tuple[Path, ...]]
    """data sets with 68 landmarks, in any format that `senet-kp prepare` reads"""
    out: Path = Path("out/views")
    """folder to write; refused if it holds anything else than such views"""
    format: tuple[FormatName, ...] = (AUTO,)
    """format of the data sets: one for all, or one for each; auto recognises it"""
    points: Points = ""
    """labels of a data set to use, as for `senet-kp prepare`"""
    label_pixels: LabelPixels = "format"
    """where the labels of a data set lie, as for `senet-kp prepare`"""
    steps_deg: float = 15.0
    """difference in yaw from one view to the next"""
    max_error_percent: float = 4.0
    """largest mean distance of the fitted head's landmarks from the labels, in percent of the
    longer edge of the labels' bounding box; photos above it are rejected"""
    max_rejects: float = 0.05
    """largest share of unusable photos; above it the command fails"""
    processes: int = os.cpu_count() or 1
    """worker processes; the views do not depend on it"""

    def __post_init__(self):
        rules = (
            (1 <= self.steps_deg <= 90, "--steps-deg must be between 1 and 90"),
            (self.max_error_percent > 0, "--max-error-percent must be above 0"),
            (0 <= self.max_rejects <= 1, "--max-rejects must be between 0 and 1"),
            (self.processes > 0, "--processes must be at least 1"),
        )
        for holds, message in rules:
            if not holds:
                raise UserError(message)

    def prepared(self) -> PrepareConfig:
        """Return the settings with which preparation would read the same faces.

        Raises UserError and InputError.
        """
        asked = PrepareConfig(
            self.data, self.format, points=self.points, label_pixels=self.label_pixels
        )
        check(asked)
        return with_formats(asked)


def write_views(config: ViewsConfig) -> dict:
    """Write the views of all photos, unless the folder already holds them; return the summary.

    Raises UserError, InputError, CheckError and OutputError.
    """
    restore_folder(config.out, _files_written)
    reading = config.prepared()
    rule, data_sets = crop_rule(reading), scan_all(reading)
    if rule.scheme.name != IBUG68.name:
        raise UserError(
            f"views can be made from 68 landmarks ({IBUG68.name}), not {rule.scheme.name}"
        )
    print(*(data_set.survey() for data_set in data_sets), sep="\n")
    settings = _settings(config, listing(data_sets))
    if (kept := json_of(config.out / _SUMMARY)).get("settings") == settings:
        print(f"nothing to do: {config.out} already holds the views of these photos")
        return kept
    tasks = tasks_of([source for data_set in data_sets for source in data_set.sources])
    with atomic_folder(config.out, _files_written) as folder:
        results = _made(config, tasks, folder, rule)
        summary = _close(config, folder, tasks, results) | {"settings": settings}
        write_json(folder / _SUMMARY, summary)
    print(
        f"{config.out}: {summary['views']:,} views of {summary['photos']:,} photos;"
        f" {summary['rejects']} rejects ({REJECTS}); contact sheet {config.out / CONTACT_SHEET}"
    )
    return summary


def tasks_of(sources: list[FaceSource]) -> list[Task]:
    """Return a task for the first view of every photo, sorted by name.

    Faces of one group get names that the reader of 300W-LP puts into one group again.
    """
    photos = {}
    for source in sorted(sources, key=lambda source: source.name):
        photos.setdefault((source.format, source.photo), source)
    numbers, tasks = Counter(), []
    for source in photos.values():
        subset = _plain(source.subset) or "VIEWS"
        if source.format == "300w-lp":
            stem = source.picture.stem.rpartition("_")[0]
        else:
            numbers[subset, source.group] += 1
            stem = f"{_plain(source.group)}_{numbers[subset, source.group]}"
        tasks.append(Task(source, subset, stem))
    return tasks


def _plain(name: str) -> str:
    """Return a name that can be part of a file's."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")


def _settings(config: ViewsConfig, files: str) -> dict:
    """Return what the views depend on."""
    names = ("steps_deg", "max_error_percent", "points", "label_pixels")
    return {name: asdict(config)[name] for name in names} | {"listing": files, "version": VERSION}


def _files_written(folder: Path) -> set[str] | None:
    """Return the paths of the files of views below `folder`; None if it holds no views."""
    if not {"views", "photos", "rejects", "settings"} <= json_of(folder / _SUMMARY).keys():
        return None
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    return {_SUMMARY, _FITS, REJECTS, CONTACT_SHEET, *filter(_OWN_FILE.fullmatch, paths)}


def _made(config: ViewsConfig, tasks: list[Task], folder: Path, rule) -> list[Made | Reject]:
    """Write all views with `config.processes` processes; return the result for every task."""
    for subset in {task.subset for task in tasks}:
        (folder / subset).mkdir()
        (folder / "landmarks" / subset).mkdir(parents=True)
    work = partial(
        make_views,
        folder=folder,
        rule=rule,
        steps_deg=config.steps_deg,
        max_error_percent=config.max_error_percent,
    )
    with worker_pool(config.processes) as pool:
        results = pool.map(work, tasks, chunksize=4)
        return list(tqdm(results, total=len(tasks), unit="photo", disable=None))


def _close(config: ViewsConfig, folder: Path, tasks, results) -> dict:
    """Write tables and contact sheet; return the numbers of views, photos and rejects.

    Raises CheckError if too many photos were rejected.
    """
    pairs = list(zip(tasks, results, strict=True))
    made = [(task, result) for task, result in pairs if isinstance(result, Made)]
    rejects = [
        (task.source.name, result.reason, result.message)
        for task, result in pairs
        if isinstance(result, Reject)
    ]
    write_rejects(folder / REJECTS, rejects)
    if not made or len(rejects) > config.max_rejects * len(pairs):
        complaint = (
            f"{len(rejects)} of {len(pairs)} photos cannot be used (--max-rejects allows"
            f" {config.max_rejects:.0%})"
        )
        raise too_many(complaint, rejects, config.out)
    fits = [
        (f"{task.subset}/{task.stem}", f"{one.yaw_deg:.1f}", f"{one.error_percent:.2f}", one.views)
        for task, one in made
    ]
    write_csv(folder / _FITS, ("photo", "yaw_deg", "error_percent", "views"), fits)
    write_picture(folder / CONTACT_SHEET, _contact_sheet(folder, made))
    views = sum(one.views for _, one in made)
    return {"views": views, "photos": len(made), "rejects": len(rejects)}


def _contact_sheet(folder: Path, made) -> np.ndarray:
    """Return a sheet with the views of a photo in each row, every third row with landmarks."""
    chosen = np.linspace(0, len(made) - 1, min(_SHEET_PHOTOS, len(made))).astype(int)
    tiles = []
    for row, index in enumerate(chosen):
        task, one = made[index]
        numbers = np.linspace(0, one.views - 1, _SHEET_VIEWS).astype(int)
        tiles += [_tile(folder, task, number, row % 3 == 2) for number in numbers]
    return contact_sheet(tiles, _SHEET_VIEWS)


def _tile(folder: Path, task: Task, number: int, drawn: bool) -> np.ndarray:
    import scipy.io

    stem = f"{task.stem}_{number}"
    picture = read_picture(folder / task.subset / f"{stem}.jpg")
    if drawn:
        labels = scipy.io.loadmat(folder / "landmarks" / task.subset / f"{stem}_pts.mat")
        draw_landmarks(picture, labels["pts_2d"] - 1)
    return cv2.resize(picture, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)


def main():
    write_views(tyro.cli(ViewsConfig, prog="senet-kp profile-views", description=__doc__))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
