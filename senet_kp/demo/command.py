"""Find faces, place their landmarks, draw them.

    python demo.py photo.jpg                      one picture
    python demo.py folder/ --json points.jsonl    every picture of a folder, points as JSON lines
    python demo.py clip.mp4                       a video
    python demo.py 0 --show                       the first camera, until q or Ctrl-C
    python demo.py photo.jpg --detector yunet.onnx    faces found by YuNet instead of dlib

The model that comes with the project learned from pictures of 300-W and P1, which are for
non-commercial research only, and so is that model; one trained on your own data (--model) is yours.

Exit codes: 0 done (also when a picture holds no face: a line on stderr says so), 2 unusable
arguments, 3 an input could not be read, 4 the model could not be used, 6 a result could not be
written.
"""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.draw import draw_axes, draw_box, draw_landmarks
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pictures import pictures_in, read_picture, write_picture
from senet_kp.face.pose import angles_deg, head_rotation
from senet_kp.inference.backends import AUTO, BACKENDS
from senet_kp.inference.predictor import PASSES, Face, LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_path

VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"))


def main() -> int:
    args = parse_arguments()
    if args.show and (reason := no_window_reason()):
        print(f"--show: {reason}; the results are written all the same", file=sys.stderr)
        args.show = False
    boxes = read_boxes(args.boxes) if args.boxes else None
    predictor = LandmarkPredictor(args.model, args.backend, args.passes, args.detector)
    if args.pose and predictor.scheme != IBUG68:
        raise UserError(f"--pose: needs the 68 points; the model has {predictor.scheme.name}")
    failures = 0
    with json_lines(args.json) as write_line:
        for source in expand_sources(args.source):
            try:
                process(source, predictor, boxes, args, write_line)
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
                failures += 1
    return InputError.exit_code if failures else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="+", help="picture, folder, video or camera number")
    parser.add_argument(
        "--model",
        default=PRETRAINED,
        help="frozen graph or what was exported from it, its card beside it (default:"
        " export/pretrained/senet68.pb)",
    )
    parser.add_argument(
        "--backend",
        default=AUTO,
        choices=(AUTO, *BACKENDS),
        help="what runs the model; auto takes the first that can (default: %(default)s)",
    )
    parser.add_argument(
        "--boxes",
        metavar="FILE.json",
        help='{"name.jpg": [[x, y, w, h], ...]}: face boxes by the model card\'s'
        " rule, instead of dlib's",
    )
    parser.add_argument(
        "--detector",
        metavar="FILE.onnx",
        help="YuNet's file (face_detection_yunet), which OpenCV runs, instead of dlib's detector",
    )
    parser.add_argument(
        "--json",
        metavar="FILE|-",
        help="write one JSON object per picture or frame, - for standard output",
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
        help="how often the network looks at a face that was found, each time in the box of the"
        " points it found before (default: %(default)s)",
    )
    parser.add_argument(
        "--pose",
        action="store_true",
        help="estimate how heads are turned: draw their axes, write pitch, yaw and roll in degrees",
    )
    parser.add_argument("--show", action="store_true", help="show a window as well, where possible")
    return parser.parse_args()


def expand_sources(sources: list[str]):
    """Files and camera numbers, folders replaced by the pictures in them."""
    for source in sources:
        if Path(source).is_dir():
            yield from map(str, pictures_in(source))
        else:
            yield source


def process(source: str, predictor: LandmarkPredictor, boxes, args, write_line):
    """Predict, draw and write one picture, video or camera."""
    video = Path(source).suffix.lower() in VIDEO_SUFFIXES
    if video or (source.isdecimal() and not Path(source).exists()):
        process_video(source, predictor, boxes, args, write_line)
        return
    picture = read_picture(source)
    faces = predict(picture, source, predictor, boxes)
    write_line(describe(source, None, picture, faces, args.pose))
    suffix = ".png" if Path(source).suffix.lower() == ".png" else ".jpg"
    target = args.out / f"{Path(source).stem}-landmarks{suffix}"
    write_picture(target, draw(picture, faces, predictor, args.pose))
    print(f"{source}: {count_of(faces)}, {target}", file=sys.stderr)
    if args.show:
        show(picture, wait_ms=0)


def process_video(source: str, predictor: LandmarkPredictor, boxes, args, write_line):
    """The same for every frame, into one video file."""
    capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    ok, frame = capture.read()
    if not ok:
        kind = "camera" if source.isdecimal() else "video"
        raise InputError(f"{source}: no frame to be had from this {kind}")
    name = f"camera{source}" if source.isdecimal() else Path(source).stem
    target = args.out / f"{name}-landmarks.mp4"
    number = seen = 0
    with atomic_path(target, ".mp4") as temporary:
        writer = cv2.VideoWriter(
            str(temporary),
            cv2.VideoWriter_fourcc(*"mp4v"),
            capture.get(cv2.CAP_PROP_FPS) or 25.0,
            (frame.shape[1], frame.shape[0]),
        )
        with contextlib.suppress(KeyboardInterrupt):  # how a camera's recording ends
            while ok:
                picture = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                faces = predict(picture, source, predictor, boxes, quiet=True)
                write_line(describe(source, number, picture, faces, args.pose))
                writer.write(
                    cv2.cvtColor(draw(picture, faces, predictor, args.pose), cv2.COLOR_RGB2BGR)
                )
                number, seen = number + 1, seen + bool(faces)
                if args.show and show(picture, wait_ms=1) == ord("q"):
                    break
                ok, frame = capture.read()
        writer.release()
    print(f"{source}: {number} frames, {seen} with faces, {target}", file=sys.stderr)


def predict(picture, source: str, predictor: LandmarkPredictor, boxes, quiet=False) -> list[Face]:
    """The picture's faces; a line on stderr where there is none."""
    given = None if boxes is None else boxes.get(source, boxes.get(Path(source).name, []))
    faces = predictor.predict(picture, given)
    if not faces and not quiet:
        why = "no face found" if boxes is None else "no box for it in the boxes file"
        print(f"{source}: {why}", file=sys.stderr)
    return faces


def draw(picture, faces: list[Face], predictor: LandmarkPredictor, pose: bool):
    """Boxes, landmarks and heads' axes, drawn into the picture itself."""
    for face in faces:
        draw_box(picture, face.box)
        draw_landmarks(picture, face.landmarks, predictor.scheme)
        if pose and (rotation := rotation_of(face)) is not None:
            draw_axes(picture, face.landmarks, rotation)
    return picture


def describe(source: str, frame: int | None, picture, faces: list[Face], pose: bool) -> dict:
    """One line of the JSON output; coordinates in pixels, rounded to 0.001."""
    return {
        "source": source,
        "frame": frame,
        "width": picture.shape[1],
        "height": picture.shape[0],
        "faces": [
            {
                "box": np.round(face.box, 3).tolist(),
                "score": None if face.score is None else round(face.score, 4),
                "landmarks": np.round(face.landmarks, 3).tolist(),
                **({"pose": pose_of(face)} if pose else {}),
            }
            for face in faces
        ],
    }


def rotation_of(face: Face):
    """How the head is turned, [3, 3]; None where its points do not tell."""
    return head_rotation(face.landmarks, np.ones(len(face.landmarks)), IBUG68)


def pose_of(face: Face) -> list[float] | None:
    """Pitch, yaw and roll in degrees."""
    rotation = rotation_of(face)
    return None if rotation is None else np.round(angles_deg(rotation), 2).tolist()


def count_of(faces: list[Face]) -> str:
    return f"{len(faces)} face{'' if len(faces) == 1 else 's'}"


@contextlib.contextmanager
def json_lines(target: str | None):
    """A function that writes one object as a line: to a file (whole or not at all), or `-`."""
    if target is None:
        yield lambda value: None
    elif target == "-":
        yield lambda value: print(json.dumps(value), flush=True)
    else:
        with atomic_path(target) as temporary, open(temporary, "w") as file:
            yield lambda value: file.write(json.dumps(value) + "\n")


def read_boxes(path: str) -> dict:
    """Face boxes by file name; raises UserError for a file that is not of that form."""
    try:
        boxes = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"--boxes {path}: not readable ({error})") from None
    if not isinstance(boxes, dict):
        raise UserError(f'--boxes {path}: not of the form {{"name.jpg": [[x, y, w, h], ...]}}')
    for name, given in boxes.items():
        if not (isinstance(given, list) and all(map(is_square, given))):
            raise UserError(
                f"--boxes {path}: {name} needs a list of squares [x, y, w, h], w = h > 0"
            )
    return boxes


def is_square(box) -> bool:
    """Whether this is [x, y, w, h] with w == h > 0, but for rounding."""
    if not (isinstance(box, list) and len(box) == 4):
        return False
    numbers = all(isinstance(value, (int, float)) and np.isfinite(value) for value in box)
    return numbers and box[2] > 0 and abs(box[2] - box[3]) <= 1e-3 * box[2]


def no_window_reason() -> str | None:
    """Why no window can be shown; asked first, because Qt ends the process when it cannot."""
    gui = [line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line]
    if not gui or "NONE" in gui[0]:
        return "this OpenCV is built without windows (install opencv-python instead of -headless)"
    if sys.platform == "linux" and not (os.getenv("DISPLAY") or os.getenv("WAYLAND_DISPLAY")):
        return "there is no display"
    return None


def show(picture, wait_ms: int) -> int:
    """Show a picture; the key that was pressed, or -1."""
    cv2.imshow("landmarks", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return cv2.waitKey(wait_ms)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
