"""Aligned crops of faces: moved, turned and scaled so that the landmarks lie on the mean face's.

The mean face is the `mean_shape` of the model card: mean landmarks relative to the face box. A crop
is the turned square that takes this place round the face, so that all crops of a model show eyes,
nose and mouth in the same places.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from senet_kp.demo.names import crop_file
from senet_kp.face.facebox import BoxRule
from senet_kp.face.pictures import write_picture
from senet_kp.face.turned import similarity, turned_crop
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.tfrecords.errors import ModelError, UserError

LEAST_PX, MOST_PX = 16, 4096


def check_crops(predictor: LandmarkPredictor, crops_px: int | None):
    """Raise UserError or ModelError if no crops of this size can be made with the model."""
    if crops_px is not None and not LEAST_PX <= crops_px <= MOST_PX:
        raise UserError(f"--crops-px is {crops_px}, but has to be from {LEAST_PX} to {MOST_PX}")
    if "mean_shape" not in predictor.card:
        raise ModelError(
            "--crops: the model card has no mean_shape, to which faces are aligned; freeze the"
            " model again"
        )


def aligned_square(landmarks, mean_shape) -> tuple[np.ndarray, float]:
    """The turned square round a face in which its landmarks are closest to the mean shape.

    landmarks [N, 2] in pixels, mean_shape [N, 2] relative to the square. Returns the box
    [x, y, side, side] and its roll in degrees, as in `senet_kp.face.turned`. The fit is a
    similarity, by least squares.
    """
    turn, move = similarity(mean_shape, landmarks)
    centre, side = turn * (0.5 + 0.5j) + move, abs(turn)
    box = np.array([centre.real - side / 2, centre.imag - side / 2, side, side])
    return box, float(np.degrees(np.angle(turn)))


def aligned_crop(picture, landmarks, mean_shape, rule: BoxRule) -> np.ndarray:
    """The crop [S, S, 3] uint8 of a face with landmarks [N, 2] in pixels; S is rule.size_px.

    A landmark that is at (u, v) of the mean shape is at the pixel (u * S - 0.5, v * S - 0.5).
    """
    box, roll_deg = aligned_square(landmarks, mean_shape)
    return turned_crop(picture, box, rule, roll_deg)


def write_crops(
    picture, faces: list[Face], start: Path, predictor: LandmarkPredictor, crops_px: int | None
) -> list[str]:
    """Write the crop of every face; return the files.

    start: what their names begin with, see `crop_file`. crops_px: their width and height; None for
    those of the network's input.
    """
    rule = replace(predictor.rule, size_px=crops_px or predictor.rule.size_px)
    files = [crop_file(start, number) for number in range(1, len(faces) + 1)]
    for face, file in zip(faces, files, strict=True):
        write_picture(
            file, aligned_crop(picture, face.landmarks, predictor.card["mean_shape"], rule)
        )
    return list(map(str, files))
