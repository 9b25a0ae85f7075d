"""Find the faces in pictures, videos or camera images, predict their landmarks and draw them.

    senet-kp demo photo.jpg                      one picture
    senet-kp demo folder/ --json points.jsonl    every picture of a folder, landmarks as JSON lines
    senet-kp demo clip.mp4                       a video
    senet-kp demo 0 --show                       the first camera, until q or Ctrl-C is pressed
    ffmpeg ... -f mjpeg - | senet-kp demo -      the frames that another program writes
    senet-kp demo group.jpg --min-face-px 30     find small faces, too
    senet-kp demo photo.jpg --points 3d          the points of a 3-D head model

The shipped models were trained on pictures of 300-W and P1, which are licensed for non-commercial
research only, and so are the models. A model trained on your own data (--model) is yours.

Exit codes: 0 done (also if a picture has no face: a line on stderr reports it), 2 unusable
arguments, 3 an input could not be read, 4 the model could not be used, 6 a result could not be
written, 130 interrupted (what was done is kept; half a video is named -incomplete.mp4).
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from senet_kp.demo.frames import Frame
from senet_kp.demo.head_pose import HeadPose
from senet_kp.demo.results import (
    DrawnNames,
    describe,
    draw_faces,
    json_lines,
    no_window_reason,
    open_in_viewer,
    show,
    viewer,
)
from senet_kp.demo.sources import boxes_of, is_video, pictures_of, read_boxes
from senet_kp.demo.videos import add_arguments, check_arguments, numbered, process_video
from senet_kp.face.facebox import is_beside
from senet_kp.face.pictures import read_picture, write_picture
from senet_kp.inference.backends import AUTO, Backend
from senet_kp.inference.predictor import PASSES, Face, LandmarkPredictor
from senet_kp.inference.pretrained import OWN, SHIPPED, default_model, trained_on
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of

COMMAND = "senet-kp demo"


def main() -> int:
    args = parse_arguments()
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
    args.rotations = lambda picture, faces: None
    if args.pose:
        pose = HeadPose(predictor, args.model, args.backend, args.detector)
        print(f"head pose: {pose}", file=sys.stderr)
        args.rotations = pose.rotations
    args.names = DrawnNames(args.out)
    return process_sources(predictor, boxes, args)


def process_sources(predictor: LandmarkPredictor, boxes, args) -> int:
    """Process every source; return the exit code. One that cannot be read does not end the run."""
    sources, failures = [], 0
    for given in args.source:
        try:
            pictures, left_out = pictures_of(given)
            sources += pictures
            print(*(f"{given}: {line}\n" for line in left_out), sep="", end="", file=sys.stderr)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            failures += 1
    done = 0
    try:
        with json_lines(args.json) as write_line:
            for source in sources:
                try:
                    if is_video(source):
                        find = partial(in_given_boxes, source, predictor, boxes)
                        given = None if boxes is None else find
                        process_video(source, predictor, given, args, write_line)
                    else:
                        process_picture(source, predictor, boxes, args, write_line)
                except InputError as error:
                    print(f"error: {error}", file=sys.stderr)
                    failures += 1
                done += 1
    except BrokenPipeError:  # whoever reads the JSON lines has seen enough
        raise
    except BaseException:
        results = ", ".join(str(place) for place in (args.out, args.json) if place)
        print(f"{done} of {len(sources)} sources are done: {results}", file=sys.stderr)
        raise
    return InputError.exit_code if failures else 0


def parse_arguments() -> argparse.Namespace:
    launcher = Path(sys.argv[0]).name == "demo.py"  # of a checkout
    prog = "demo.py" if launcher else COMMAND
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__.replace(COMMAND, "python demo.py" if launcher else COMMAND),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="+",
        help="picture, folder, video, address, camera number, or - for frames on standard input",
    )
    parser.add_argument(
        "--model",
        help="frozen graph, or a file that was exported from one, with its model card in the same"
        f" folder (default: the newest .pb in {OWN}/, or else the shipped"
        " export/pretrained/senet68.pb)",
    )
    parser.add_argument(
        "--points",
        choices=SHIPPED,
        help="run a shipped graph, not with --model: the jaw of visible follows the visible contour"
        " of the face; the points of 3d are those of a head model, also on the far side (default:"
        " visible)",
    )
    parser.add_argument(
        "--backend",
        default=AUTO,
        choices=get_args(Backend),
        help="engine that runs the model; auto is the first that reads it (default: %(default)s)",
    )
    parser.add_argument(
        "--boxes",
        metavar="FILE.json",
        help='{"name.jpg": [[x, y, w, h], ...]}: face boxes by the rule of the model card, to be'
        " used instead of a face detector",
    )
    parser.add_argument(
        "--detector",
        default=AUTO,
        metavar="auto|dlib|FILE",
        help="what finds the faces: dlib, or YuNet from its file (face_detection_yunet); auto is"
        " YuNet if `senet-kp fetch yunet` has put its file into your cache, or else dlib (default:"
        " %(default)s)",
    )
    parser.add_argument(
        "--min-face-px",
        type=float,
        metavar="N",
        help="find every face of at least N pixels; a small N takes longer (default: 80 with dlib,"
        " 40 with YuNet)",
    )
    parser.add_argument(
        "--any-roll",
        action="store_true",
        help="search every picture in all four quarter turns; without it, only pictures without an"
        " upright face",
    )
    parser.add_argument(
        "--json",
        metavar="FILE|-",
        help="write one JSON object per picture or frame; - is standard output",
    )
    parser.add_argument(
        "--out",
        default="out/demo",
        type=Path,
        metavar="DIR",
        help="folder for the drawn pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--passes",
        default=PASSES,
        type=int,
        help="how often the network looks at a detected face; each further pass uses the face box"
        " of the landmarks of the pass before it (default: %(default)s)",
    )
    parser.add_argument(
        "--pose",
        action="store_true",
        help="estimate the head pose: draw the head's axes, write pitch, yaw and roll in degrees;"
        " with the shipped graph of visible points, that of 3d points runs once on each face",
    )
    parser.add_argument(
        "--beside",
        action="store_true",
        help="put the original picture to the left of the drawn one; not in videos",
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="also show the results in a window, or else the first picture in the system's viewer",
    )
    add_arguments(parser)
    parser.set_defaults(view=False)
    args = parser.parse_args()
    check_arguments(args)
    if args.points and args.model:
        raise UserError("--points: chooses between the shipped graphs; leave it out, or --model")
    args.model = args.model or (SHIPPED[args.points] if args.points else default_model())
    return args


def process_picture(source: str, predictor: LandmarkPredictor, boxes, args, write_line):
    """Predict, draw and write one picture."""
    picture = read_picture(source)
    faces = predict(picture, source, predictor, boxes)
    if not faces:
        why = "no face found" if boxes is None else "the boxes file has no usable box for it"
        print(f"{source}: {why}", file=sys.stderr)
    rotations = args.rotations(picture, faces)
    write_line(describe(source, None, picture, faces, rotations))
    suffix = ".png" if Path(source).suffix.lower() == ".png" else ".jpg"
    target = args.names.target(Path(source).stem, suffix)
    original = [picture.copy()] if args.beside else []
    drawn = draw_faces(picture, faces, predictor.scheme, rotations)
    write_picture(target, np.hstack([*original, drawn]))
    count = f"{len(faces)} face{'' if len(faces) == 1 else 's'}"
    print(f"{source}: {count}, {target}", file=sys.stderr)
    if args.show:
        show(picture, wait_ms=0)
    elif args.view:
        open_in_viewer(target)
        args.view = False  # a folder of pictures does not open as many windows


def in_given_boxes(source: str, predictor: LandmarkPredictor, boxes, frame: Frame) -> list[Face]:
    """The faces in the boxes that were given for a video; their ids are the boxes' numbers."""
    return numbered(predict(frame.picture, source, predictor, boxes))


def predict(picture, source: str, predictor: LandmarkPredictor, boxes) -> list[Face]:
    """The faces in the source's given boxes, or in detected ones if no boxes were given.

    A given box that has nothing of the picture in it is reported and gets no landmarks.
    """
    if boxes is None:
        return predictor.predict(picture)
    given = boxes_of(source, boxes)
    for box in (box for box in given if is_beside(box, picture)):
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        print(
            f"{source}: the box {box} lies outside the picture of {size} px and gets no landmarks;"
            " were the boxes made for another size of it?",
            file=sys.stderr,
        )
    return predictor.predict(picture, [box for box in given if not is_beside(box, picture)])


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
