"""Where the results of a run go, and on what they depend."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from senet_kp.demo.lines import JSON, STDOUT, LineFormat, Lines, all_lines, csv_format
from senet_kp.demo.one_picture import PictureWork
from senet_kp.demo.resumable import PART, Resumable, resumable
from senet_kp.tfrecords.files import sha256_of, sha256_of_lines

_FLAGS = ("points", "passes", "min_face_px", "any_roll", "pose", "certainty")
_FLAGS += ("measures", "beside", "draw", "crops_px")


def can_be_continued(args, videos: bool) -> bool:
    """Whether a killed run can be continued: results of pictures can, if they are in a file."""
    return bool(args.json or args.csv) and STDOUT not in (args.json, args.csv) and not videos


@contextlib.contextmanager
def open_results(args, work: PictureWork, videos: bool) -> Iterator[Lines | Resumable]:
    """Yield where the lines of --json and --csv go; see `all_lines` and `resumable`."""
    formats = _formats(args, work)
    if can_be_continued(args, videos):
        with resumable(formats, _settings(args, work)) as results:
            yield results
    else:
        with all_lines(formats) as results:
            yield results


def places(args, videos: bool) -> str:
    """Where the results of an interrupted run are, in words."""
    files = [file for file in (args.json, args.csv) if file]
    folders = [str(folder) for folder in (args.draw and args.out, args.crops) if folder]
    if not can_be_continued(args, videos):
        return ", ".join([*folders, *files])
    unfinished = [f"{file}{PART}" for file in files]
    return f"{', '.join([*folders, *unfinished])}; the same command goes on from there"


def _formats(args, work: PictureWork) -> dict[str, LineFormat]:
    wanted = (("pose", args.pose), ("certainty", args.certainty), ("crop", args.crops))
    facts = [name for name, is_wanted in wanted if is_wanted]
    facts += ["eye_aspect_ratios", "mouth_opening"] if args.measures else []
    table = csv_format(work.predictor.scheme.count, facts)
    both = {args.json: JSON, args.csv: table}
    return {file: form for file, form in both.items() if file}


def _settings(args, work: PictureWork) -> dict:
    """The settings that change the results, as {name: value for JSON}; no package versions."""
    return {
        "sources": [str(Path(source).absolute()) for source in args.source],
        "folders": args.folders,  # one on a disk that is not there is not to end the run
        "model": sha256_of_lines([json.dumps(work.predictor.card)]),
        "backend": args.backend,
        "detector": None if args.boxes else str(work.predictor.detector),
        "boxes": args.boxes and sha256_of(args.boxes),
        "out": str(args.out.absolute()) if args.draw else None,
        "crops": args.crops and str(args.crops.absolute()),
        **{name: getattr(args, name) for name in _FLAGS},
    }
