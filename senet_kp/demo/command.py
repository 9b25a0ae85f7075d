"""Find the faces in pictures, videos or camera images, predict their landmarks and draw them.

    senet-kp demo photo.jpg                      one picture
    senet-kp demo folder/ --json points.jsonl    every picture in it, landmarks as JSON lines
    senet-kp demo folder/ --csv points.csv --crops faces/    a table, and aligned faces
    senet-kp demo clip.mp4                       a video
    senet-kp demo 0 --show                       the first camera, until q or Ctrl-C is pressed
    ffmpeg ... -f mjpeg - | senet-kp demo -      the frames that another program writes
    senet-kp demo group.jpg --min-face-px 30     find small faces, too
    senet-kp demo photo.jpg --points 3d          the points of a 3-D head model

The shipped models were trained on pictures of 300-W and P1, which are licensed for non-commercial
research only, and so are the models. A model trained on your own data (--model) is yours.

Exit codes: 0 done (also if a picture has no face: a line on stderr reports it), 2 unusable
arguments, 3 an input could not be read, 4 the model could not be used, 6 a result could not be
written, 130 interrupted (what was done is kept, and the same command goes on with the pictures;
half a video is named -incomplete.mp4).
"""

import sys
from functools import partial
from itertools import groupby
from pathlib import Path

from senet_kp.demo.arguments import parse_arguments
from senet_kp.demo.crops import check_crops
from senet_kp.demo.facts import FaceFacts
from senet_kp.demo.frames import Frame
from senet_kp.demo.head_pose import HeadPose
from senet_kp.demo.many import process_pictures
from senet_kp.demo.names import DrawnNames
from senet_kp.demo.one_picture import PictureWork, faces_in
from senet_kp.demo.outputs import open_results, places
from senet_kp.demo.results import no_window_reason, viewer
from senet_kp.demo.sources import Source, boxes_of, is_video, pictures_of, read_boxes
from senet_kp.demo.telling import Tally
from senet_kp.demo.videos import numbered, process_video
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.inference.pretrained import trained_on
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of


def main() -> int:
    args = parse_arguments(__doc__)
    if args.show and (reason := no_window_reason()):
        args.show, args.view = False, bool(viewer())
        instead = "the first drawn picture is opened in the system's viewer"
        instead = instead if args.view else "there is no viewer of the system either"
        print(f"--show: {reason}; {instead}", file=sys.stderr)
    boxes = read_boxes(args.boxes) if args.boxes else None
    predictor = LandmarkPredictor(
        args.model, args.backend, args.passes, args.detector, args.min_face_px, args.any_roll
    )
    print(f"model: {args.model}, trained on {trained_on(predictor.card)}", file=sys.stderr)
    if boxes is None:
        print(f"face detector: {predictor.detector}", file=sys.stderr)
    if args.crops:
        check_crops(predictor, args.crops_px)
    pose = HeadPose(predictor, args.model, args.backend, args.detector) if args.pose else None
    if pose:
        print(f"head pose: {pose}", file=sys.stderr)
    args.names = DrawnNames(args.out)
    facts = FaceFacts(predictor, pose, args.certainty, args.measures)
    work = PictureWork(predictor, facts, args.beside, args.crops_px, args.show)
    return process_sources(work, boxes, args)


def process_sources(work: PictureWork, boxes, args) -> int:
    """Process every source; return the exit code. One that cannot be read does not end the run."""
    tally = Tally()
    sources = find_sources(args, tally)
    videos = {source for source in sources if is_video(source.path)}
    if videos and args.crops:
        raise UserError("--crops: are for pictures; give videos in another command")
    try:
        with open_results(args, work, bool(videos)) as results:
            for video, group in groupby(sources, key=videos.__contains__):
                if video:
                    process_videos(group, work, boxes, args, results, tally)
                else:
                    process_pictures(list(group), work, args, boxes, results, tally)
    except BrokenPipeError:  # whoever reads the JSON lines has seen enough
        raise
    except BaseException:
        if tally.done:
            where = places(args, bool(videos))
            print(f"{tally.done} of {len(sources)} sources are done: {where}", file=sys.stderr)
        raise
    return InputError.exit_code if tally.failures else 0


def find_sources(args, tally: Tally) -> list[Source]:
    """The pictures and videos of the given sources; tells what is left out and what fails.

    args.folders is set to the folders among them that have pictures.
    """
    sources, args.folders = [], []
    for given in args.source:
        try:
            pictures, left_out = pictures_of(given, args.out if args.draw else None, args.crops)
            sources += pictures
            args.folders += [given] if Path(given).is_dir() else []
            print(*(f"{given}: {line}\n" for line in left_out), sep="", end="", file=sys.stderr)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            tally.failures += 1
    return sources


def process_videos(sources, work: PictureWork, boxes, args, results, tally: Tally):
    """Process videos one after the other; print an error for each that cannot be read."""
    for source in sources:
        find = partial(in_given_boxes, source.path, work.predictor, boxes)
        given = None if boxes is None else find
        try:
            process_video(source.path, work, given, args, results.write_line)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            tally.failures += 1
        tally.done += 1


def in_given_boxes(source: str, predictor: LandmarkPredictor, boxes, frame: Frame) -> tuple:
    """The faces in the boxes that were given for a video, twice, since they are not smoothed.

    Their ids are the boxes' numbers.
    """
    faces = numbered(predict(frame.picture, source, predictor, boxes))
    return faces, faces


def predict(picture, source: str, predictor: LandmarkPredictor, boxes) -> list[Face]:
    """The faces in a frame; tells which of the source's given boxes lie beside it."""
    given = None if boxes is None else boxes_of(source, boxes)
    faces, notes = faces_in(picture, source, predictor, given)
    print(*(f"{note}\n" for note in notes), sep="", end="", file=sys.stderr)
    return faces


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
