"""The command line of the demo."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from senet_kp.demo import videos
from senet_kp.inference.backends import AUTO, Backend
from senet_kp.inference.looks import PASSES
from senet_kp.inference.pretrained import OWN, SHIPPED, default_model
from senet_kp.tfrecords.errors import UserError

COMMAND = "senet-kp demo"


def parse_arguments(description: str) -> argparse.Namespace:
    """The arguments of this process. Raises UserError for those that contradict each other.

    description: the help text, whose commands begin with COMMAND.
    """
    launcher = Path(sys.argv[0]).name == "demo.py"  # of a checkout
    parser = argparse.ArgumentParser(
        prog="demo.py" if launcher else COMMAND,
        description=description.replace(COMMAND, "python demo.py" if launcher else COMMAND),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="+",
        help="picture, folder, video, address, camera number, or - for frames on standard input",
    )
    _add_model(parser.add_argument_group("model"))
    _add_faces(parser.add_argument_group("faces"))
    _add_results(parser.add_argument_group("results"))
    _add_drawings(parser.add_argument_group("drawings"))
    videos.add_arguments(parser.add_argument_group("videos, cameras, streams and pipes"))
    parser.set_defaults(view=False)
    args = parser.parse_args()
    _check(args)
    videos.check_arguments(args)
    args.pose = args.pose or args.measures
    args.model = args.model or (SHIPPED[args.points] if args.points else default_model())
    return args


def _add_model(group):
    group.add_argument(
        "--model",
        help="frozen graph, or a file that was exported from one, with its model card in the same"
        f" folder (default: the newest .pb in {OWN}/, or else the shipped"
        " export/pretrained/senet68.pb)",
    )
    group.add_argument(
        "--points",
        choices=SHIPPED,
        help="run a shipped graph, not with --model: the jaw of visible follows the visible contour"
        " of the face; the points of 3d are those of a head model, also on the far side (default:"
        " visible)",
    )
    group.add_argument(
        "--backend",
        default=AUTO,
        choices=get_args(Backend),
        help="engine that runs the model; auto is the first that reads it (default: %(default)s)",
    )
    group.add_argument(
        "--passes",
        default=PASSES,
        type=int,
        help="how often the network looks at a detected face; each further pass uses the face box"
        " of the landmarks of the pass before it (default: %(default)s)",
    )
    group.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="how many processes share the pictures; the results do not depend on it (default: as"
        " many as there are cores, 1 for at most 20 pictures and with --show)",
    )


def _add_faces(group):
    group.add_argument(
        "--boxes",
        metavar="FILE.json",
        help='{"name.jpg": [[x, y, w, h], ...]}: face boxes by the rule of the model card, to be'
        " used instead of a face detector",
    )
    group.add_argument(
        "--detector",
        default=AUTO,
        metavar="auto|dlib|FILE",
        help="what finds the faces: dlib, or YuNet from its file (face_detection_yunet); auto is"
        " YuNet if `senet-kp fetch yunet` has put its file into your cache, or else dlib (default:"
        " %(default)s)",
    )
    group.add_argument(
        "--min-face-px",
        type=float,
        metavar="N",
        help="find every face of at least N pixels; a small N takes longer (default: 80 with dlib,"
        " 40 with YuNet)",
    )
    group.add_argument(
        "--any-roll",
        action="store_true",
        help="search every picture in all four quarter turns; without it, only pictures without an"
        " upright face",
    )


def _add_results(group):
    group.add_argument(
        "--json",
        metavar="FILE|-",
        help="write one JSON object per picture or frame; - is standard output",
    )
    group.add_argument(
        "--csv",
        metavar="FILE|-",
        help="write a table with one row per face, and one for a picture without a face",
    )
    group.add_argument(
        "--crops",
        type=Path,
        metavar="DIR",
        help="write every face of a picture, aligned to the mean face of the model card, as"
        " DIR/photo-face-1.png and so on",
    )
    group.add_argument(
        "--crops-px",
        type=int,
        metavar="N",
        help="width and height of the crops (default: those of the network's input)",
    )
    group.add_argument(
        "--pose",
        action="store_true",
        help="estimate the head pose: draw the head's axes, write pitch, yaw and roll in degrees;"
        " with the shipped graph of visible points, that of 3d points runs once on each face",
    )

    group.add_argument(
        "--certainty",
        action="store_true",
        help="write how certain it is that landmarks are a face's and right, which takes one more"
        " look at each",
    )
    group.add_argument(
        "--measures",
        action="store_true",
        help="write how far eyes and mouth are open, in videos also the blinks, and the head pose",
    )


def _add_drawings(group):
    group.add_argument(
        "--out",
        default="out/demo",
        type=Path,
        metavar="DIR",
        help="folder for the drawn pictures (default: %(default)s)",
    )
    group.add_argument(
        "--no-draw",
        dest="draw",
        action="store_false",
        help="draw no pictures, for their landmarks or crops alone",
    )
    group.add_argument(
        "--beside",
        action="store_true",
        help="put the original picture to the left of the drawn one; not in videos",
    )
    group.add_argument(
        "--show",
        action="store_true",
        help="also show the results in a window, or else the first picture in the system's viewer",
    )


def _check(args):
    if args.points and args.model:
        raise UserError("--points: chooses between the shipped graphs; leave it out, or --model")
    if args.processes is not None and args.processes < 1:
        raise UserError(f"--processes is {args.processes}, but has to be at least 1")
    if args.crops_px is not None and not args.crops:
        raise UserError("--crops-px: is the size of the crops; give --crops, too")
    if args.csv and args.csv == args.json:
        raise UserError(f"--csv {args.csv}: --json is written there; choose another file")
    if not args.draw and (args.show or args.beside):
        raise UserError("--no-draw: leaves nothing for --show or --beside")
    if not (args.draw or args.json or args.csv or args.crops):
        raise UserError("--no-draw: nothing would be written; add --json, --csv or --crops")
