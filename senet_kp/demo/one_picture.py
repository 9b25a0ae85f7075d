"""What the demo does with one picture, in this process or in a worker."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from senet_kp.demo.crops import write_crops
from senet_kp.demo.facts import FaceFacts
from senet_kp.demo.results import describe, describe_unreadable, draw_faces
from senet_kp.face.facebox import is_beside
from senet_kp.face.pictures import BadPicture, read_picture, write_picture
from senet_kp.inference.predictor import Face, LandmarkPredictor


class Task(NamedTuple):
    """A picture, and where its results go.

    boxes: given face boxes, None to detect faces. drawing: the file of the drawing, None for no
    drawing. crops: what the files of the crops begin with, None for no crops.
    """

    source: str
    boxes: list | None
    drawing: Path | None
    crops: Path | None


class Done(NamedTuple):
    """What became of a picture.

    described: its line of the JSON output. notes: lines for the user on given boxes. drawn: the
    picture [H, W, 3] uint8 RGB with its faces drawn into it, if it is to be shown.
    """

    described: dict
    notes: list[str]
    drawn: np.ndarray | None = None


@dataclass(frozen=True)
class PictureWork:
    """A function from a Task to Done; it can be given to other processes.

    facts: what is said about faces besides their landmarks. beside: the drawing has the original to
    its left. crops_px: the size of crops, None for that of the network's input. show: keep what is
    drawn.
    """

    predictor: LandmarkPredictor
    facts: FaceFacts
    beside: bool = False
    crops_px: int | None = None
    show: bool = False

    def __call__(self, task: Task) -> Done:
        try:
            picture = read_picture(task.source)
        except BadPicture as error:
            return Done(describe_unreadable(task.source, error), [])
        faces, notes = faces_in(picture, task.source, self.predictor, task.boxes)
        rotations = self.facts.rotations(picture, faces)
        facts = self.facts.of(picture, faces, rotations)
        described = describe(task.source, None, picture, faces, facts)
        if task.crops:
            files = write_crops(picture, faces, task.crops, self.predictor, self.crops_px)
            for face, file in zip(described["faces"], files, strict=True):
                face["crop"] = file
        drawn = self._drawn(picture, faces, rotations, task.drawing)
        return Done(described, notes, drawn if self.show else None)

    def _drawn(self, picture, faces, rotations, target: Path | None):
        """The picture with its faces drawn into it, which is written to the target, if any."""
        if target is None:
            return None
        original = [picture.copy()] if self.beside else []
        drawn = draw_faces(picture, faces, self.predictor.scheme, rotations)
        write_picture(target, np.hstack([*original, drawn]))
        return drawn


def faces_in(
    picture, source: str, predictor: LandmarkPredictor, given: list | None
) -> tuple[list[Face], list[str]]:
    """The faces in given boxes, or in detected ones if given is None; and lines for the user.

    A given box that has nothing of the picture in it is reported and gets no landmarks.
    """
    if given is None:
        return predictor.predict(picture), []
    beside = [box for box in given if is_beside(box, picture)]
    notes = [
        f"{source}: the box {box} lies outside the picture of {picture.shape[1]}x"
        f"{picture.shape[0]} px and gets no landmarks; were the boxes made for another size of it?"
        for box in beside
    ]
    return predictor.predict(picture, [box for box in given if box not in beside]), notes
