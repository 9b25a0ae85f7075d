"""python -m benchmarks.bench_video --data 300W_LP

Measure landmarks in videos: how far they are off, how much they jitter and lag, whether faces keep
their identity, which faces are lost, and how many frames are done in a second. The clips are
rendered ones, in which heads turn, talk, blink, walk by one another and are hidden, and, with
--data, labelled photos that a moving camera records. Their landmarks are known in every frame.
Rendering takes about six minutes of one core; the frames are kept in out/benchmarks/clips, so that
later runs begin at once. The times are processor time on one thread, without reading and drawing.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, get_args

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.bench_detection import processor
from benchmarks.clips.clip import FPS, Clip
from benchmarks.clips.rendered import rendered_clip
from benchmarks.clips.scripts import ClipName
from benchmarks.clips.stills import still_clip
from benchmarks.labelled import labelled_pictures
from benchmarks.measure import KEPT, Record, conditions, markdown_table, report_table, summary
from benchmarks.video_measures import LEAST_VISIBLE, Followed, followed, measures
from senet_kp.face.draw import RED, contact_sheet, draw_landmarks, draw_text
from senet_kp.face.facebox import face_box
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import read_picture, write_picture
from senet_kp.face.pose import true_yaw_deg
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.cache import cache_folder
from senet_kp.inference.face_detector import AUTO
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tracking.smoothing import FaceSmoother, SmoothingConfig, smoothed_offline
from senet_kp.tracking.tracker import FaceTracker, TrackingConfig

NAME = "video"
RENDERED, STILLS = "rendered", "photos"
# The ways from frames to landmarks: those of the tracker, and a prediction in each frame by itself.
EACH_FRAME, TRACKED, LIVE, OFFLINE = "each frame", "tracked", "tracked, live", "tracked, offline"
DLIB = "dlib, each frame"
MOST_YAW_DEG = 45  # of photos; the eyes of a face from the side are too near for a normaliser
DRAWN = 4  # photos for each one that is to be left
WARM_UP = 3  # frames that are not timed
TIMED = 20  # frames in which the parts are timed
STRIP_FRAMES, STRIP_WIDTH_PX = 5, 400


@dataclass(frozen=True)
class Config:
    clips: tuple[ClipName, ...] = get_args(ClipName)
    """the rendered clips"""
    data: Path | None = None
    """folder of labelled photos with 68 landmarks, from which further clips are made"""
    photos: int = 8
    """number of randomly drawn photos"""
    frames: int = 120
    """frames of each clip, of which there are 25 in a second"""
    model: Path = PRETRAINED
    """the model, with its card"""
    dlib: Path | None = None
    """a shape predictor of dlib (.dat), with its card, that is measured beside the model"""
    detector: str = AUTO
    """auto, dlib, or the file of the YuNet detector"""
    detect_every: int = TrackingConfig.detect_every
    """number of frames from one search for new faces to the next"""
    keep_s: float = TrackingConfig.keep_s
    """how long the identity of a face that is not found is kept for it"""
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    """the filters' settings"""
    seed: int = 0
    """seed of the clips"""
    processes: int = 1
    """worker processes that render"""
    strip: Path | None = None
    """picture to draw some frames of the first clip to, above without tracking, below with it"""
    write: bool = False
    """store the result in benchmarks/results/video.json and update the documentation"""

    def __post_init__(self):
        if min(self.photos, self.frames, self.processes) < 1 or self.seed < 0:
            raise UserError(
                "--photos, --frames and --processes must be at least 1, and --seed at least 0"
            )
        if not (self.clips or self.data):
            raise UserError("--clips: name at least one clip, or a folder of photos with --data")


class Run(NamedTuple):
    """The faces of each frame of a clip, and the seconds of processor time that they took."""

    frames: list[list[Face]]
    seconds: float


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.bench_video", description=__doc__)
    cv2.setNumThreads(1)
    predictors = _predictors(config)
    predictor = predictors[EACH_FRAME]
    clips = _clips(config)
    _warm_up(clips[0][1], predictors, config)
    record, found = Record(NAME), {}
    for kind, clip in tqdm(clips, unit="clip", disable=None):
        runs = _runs(clip, predictors, config)
        if config.strip and clip is clips[0][1]:
            write_picture(config.strip, strip(clip, runs, predictor.scheme))
        for way, run in runs.items():
            seen = followed(clip, run.frames)
            found.setdefault((kind, way), []).append((seen, run.seconds))
            record.add(f"{clip.name}, {way}", **_row([(seen, run.seconds)], predictor.scheme))
    result = {
        "conditions": _conditions(config, predictor, clips),
        "rows": [
            {"clips": kind, "way": way} | _row(seen, predictor.scheme)
            for (kind, way), seen in found.items()
        ],
        "parts": _parts(predictor, [clip for _, clip in clips], config),
    }
    report_table(NAME, result, table(result), config.write)


def table(result: dict) -> str:
    """The result as two Markdown tables: the measures of each way, and the time of each part."""
    body = [
        [
            row["clips"],
            row["way"],
            _shown(row["nme"], "{:.2%}"),
            _shown(row["nmf"], "{:.2%}"),
            _shown(row["lag_frames"], "{:.2f}"),
            _shown(row["blink_f1"], "{:.2f}"),
            _shown(row["switches"], "{}"),
            _shown(row["lost_per_1000"], "{:.1f}"),
            _shown(row["false_per_1000"], "{:.1f}"),
            f"{row['frames_per_s']:.0f}",
        ]
        for row in result["rows"]
    ]
    head = ["clips", "landmarks", "NME", "NMF", "lag, frames", "blink F1"]
    head += ["identity switches", "lost faces", "false faces", "frames/s"]
    parts = [
        [name, f"{ms['median']:.2f}", f"{1000 / ms['median']:,.0f}"]
        for name, ms in result["parts"].items()
    ]
    return markdown_table(head, body) + "\n" + markdown_table(["part", "ms", "in a second"], parts)


def _shown(value, form: str) -> str:
    return "-" if value is None else form.format(value)


def _predictors(config: Config) -> dict[str, LandmarkPredictor]:
    """The predictors by the names of their rows. Raises UserError for other landmarks."""
    files = {EACH_FRAME: config.model} | ({DLIB: config.dlib} if config.dlib else {})
    predictors = {
        way: LandmarkPredictor(file, detector=config.detector) for way, file in files.items()
    }
    for way, predictor in predictors.items():
        if predictor.scheme.name != IBUG68.name:
            raise UserError(
                f"{files[way]}: predicts {predictor.scheme.name}, but the clips have the"
                f" landmarks {IBUG68.name}; choose a model for these"
            )
    return predictors


def _conditions(config: Config, predictor: LandmarkPredictor, clips) -> dict:
    return conditions(
        processor=processor(),
        threads=cv2.getNumThreads(),
        model=config.model.name,
        detector=str(predictor.detector).replace(f"{cache_folder()}/", ""),
        data=config.data and config.data.name,
        clips=[clip.name for _, clip in clips],
        frames=config.frames,
        fps=FPS,
        least_visible=LEAST_VISIBLE,
        tracking=asdict(_tracking(config)),
        seed=config.seed,
    )


def _tracking(config: Config) -> TrackingConfig:
    return TrackingConfig(config.detect_every, config.keep_s, "off", config.smoothing)


# ---- clips


def _clips(config: Config) -> list[tuple[str, Clip]]:
    """Pairs of the kind and the clip."""
    folder = KEPT / "clips"
    rendered = [
        (RENDERED, rendered_clip(name, config.frames, config.seed, folder, config.processes))
        for name in config.clips
    ]
    return rendered + [(STILLS, clip) for clip in _still_clips(config)]


def _still_clips(config: Config) -> list[Clip]:
    """Clips of randomly drawn photos that no model learned and whose face is not turned far."""
    if not config.data:
        return []
    models = [config.model] + ([config.dlib] if config.dlib else [])
    faces = labelled_pictures(config.data, models, DRAWN * config.photos, config.seed)
    frontal = [
        (path, label.landmarks)
        for path, label in faces
        if label.mask.all()
        and abs(true_yaw_deg(label.pose_deg, label.landmarks, label.mask, IBUG68)) < MOST_YAW_DEG
    ]
    if not frontal:
        raise UserError(
            f"{config.data}: none of {len(faces)} drawn photos that no model learned has a face"
            f" turned by less than {MOST_YAW_DEG} degrees; draw more (--photos)"
        )
    return [
        still_clip(path.stem, read_picture(path), landmarks, config.frames, config.seed + number)
        for number, (path, landmarks) in enumerate(frontal[: config.photos])
    ]


# ---- ways


def _warm_up(clip: Clip, predictors: dict[str, LandmarkPredictor], config: Config):
    """Do everything once that takes longer the first time, such as loading the detector."""
    few = replace(clip, jpegs=clip.jpegs[:WARM_UP])
    _runs(few, predictors, replace(config, detect_every=1))


def _runs(clip: Clip, predictors: dict[str, LandmarkPredictor], config: Config) -> dict[str, Run]:
    """What every way finds in a clip."""
    tracking = _tracking(config)
    runs = {}
    for way, predictor in predictors.items():
        runs[way] = _timed(clip, lambda picture, _, one=predictor: one.predict(picture))
    for way, smooth in ((TRACKED, "off"), (LIVE, "live")):
        tracker = FaceTracker(predictors[EACH_FRAME], replace(tracking, smooth=smooth))
        runs[way] = _timed(clip, tracker.update)
    began = time.process_time()
    smooth = smoothed_offline(runs[TRACKED].frames, clip.times_s, config.smoothing)
    took = time.process_time() - began
    return runs | {OFFLINE: Run(smooth, runs[TRACKED].seconds + took)}


def _timed(clip: Clip, find: Callable) -> Run:
    """The faces that `find(picture, time_s)` returns for each frame."""
    frames, seconds = [], 0.0
    for number, time_s in enumerate(clip.times_s):
        picture = clip.frame(number)
        began = time.process_time()
        frames.append(find(picture, time_s))
        seconds += time.process_time() - began
    return Run(frames, seconds)


def _row(runs: list[tuple[Followed, float]], scheme: LandmarkScheme) -> dict:
    """The measures of some clips together, with the seconds that they took."""
    found = measures([seen for seen, _ in runs], scheme)
    return {
        "nme": found.nme,
        "nmf": found.nmf,
        "lag_frames": found.lag_frames,
        "blink_f1": found.blink_f1,
        "switches": found.switches,
        "lost_per_1000": 1000 * found.lost / found.frames,
        "false_per_1000": None if found.false is None else 1000 * found.false / found.frames,
        "faces": found.faces,
        "frames": found.frames,
        "frames_per_s": found.frames / sum(seconds for _, seconds in runs),
    }


# ---- parts


def _parts(predictor: LandmarkPredictor, clips: list[Clip], config: Config) -> dict:
    """Milliseconds of a search in a frame, of a look at a face, and of smoothing its landmarks."""
    smoother, took = FaceSmoother(config.smoothing), {}
    every = chain.from_iterable(((clip, number) for number in range(len(clip))) for clip in clips)
    seen = [(clip, number) for clip, number in every if clip.visible[number].max() == 1]
    chosen = np.linspace(0, len(seen) - 1, min(TIMED, len(seen))).astype(int)
    for turn, (clip, number) in enumerate(seen[index] for index in chosen):
        picture = clip.frame(number)
        landmarks = clip.landmarks[number, clip.visible[number].argmax()]
        box = face_box(landmarks, predictor.rule)
        for part, work in {
            "detector, a frame": lambda p=picture: predictor.detector.detect(p),
            "network, a look at a face": lambda p=picture, b=box: predictor.predict(p, [b]),
            "smoothing, a face": lambda m=landmarks, t=turn: smoother(m, t / FPS),
        }.items():
            began = time.process_time()
            work()
            took.setdefault(part, []).append(1000 * (time.process_time() - began))
    return {part: summary(ms) for part, ms in took.items()}


# ---- looking at a clip


def strip(clip: Clip, runs: dict[str, Run], scheme: LandmarkScheme) -> np.ndarray:
    """Some frames of a clip: above the landmarks of each frame by itself, below the tracked ones.

    The true landmarks are red, and a number is the face's identity.
    """
    chosen = np.linspace(0, len(clip) - 1, min(STRIP_FRAMES, len(clip))).astype(int)
    pictures = []
    for way in (EACH_FRAME, LIVE):
        for number in chosen:
            pictures.append(_drawn(clip, number, runs[way].frames[number], scheme))
    return contact_sheet(pictures, len(chosen))


def _drawn(clip: Clip, number: int, faces: list[Face], scheme: LandmarkScheme) -> np.ndarray:
    picture = clip.frame(number)
    scale = STRIP_WIDTH_PX / picture.shape[1]
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for landmarks, visible in zip(clip.landmarks[number], clip.visible[number], strict=True):
        if visible >= LEAST_VISIBLE:
            draw_landmarks(picture, scale * (landmarks + 0.5) - 0.5, scheme, RED, lines=False)
    for face in faces:
        landmarks = scale * (face.landmarks + 0.5) - 0.5
        draw_landmarks(picture, landmarks, scheme)
        if face.id is not None:
            draw_text(picture, str(face.id), landmarks.min(axis=0) - 20)
    return picture


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
