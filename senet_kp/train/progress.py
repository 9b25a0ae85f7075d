"""The predictions of a few validation faces over time: progress.png, drawn from progress.json.

progress.json holds the landmarks instead of pictures, so that it stays small, and a training that
was killed and resumed draws the same picture as an uninterrupted one.
"""

from pathlib import Path

import cv2
import numpy as np

from senet_kp.face.draw import GREEN, RED, contact_sheet, drawn_face
from senet_kp.face.pictures import encode_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops
from senet_kp.tfrecords.files import json_of, write_bytes, write_json
from senet_kp.tfrecords.forms import COUNT, NUMBER, fields, listed

PICTURE, STATE = "progress.png", "progress.json"
SHOWN_FACES, SHOWN_COLUMNS = 5, 10
KEPT = 100  # snapshots in progress.json; with more, every other one is dropped
FACE_PX = 128  # smallest width of a drawn face; below it, landmarks cover the eyes
CAPTION_PX = 40


class Progress:
    """The snapshots of a run, one for each time at which predictions were kept."""

    def __init__(self, run: Path, val: Crops, scheme: LandmarkScheme, epochs_per_step: float):
        self._run, self._scheme, self._epochs_per_step = run, scheme, epochs_per_step
        self._shown = _of_different_groups(val.groups, SHOWN_FACES)
        self._val = val.take(self._shown)
        self._snapshots = self._read()

    def due(self, step: int, every_epochs: float) -> bool:
        """Whether a new epoch that is a multiple of `every_epochs` has begun since the last one.

        Always, if every_epochs is 0.
        """
        if not every_epochs:
            return True
        last = max((each["step"] for each in self._snapshots if each["step"] < step), default=0)
        before, now = (each * self._epochs_per_step // every_epochs for each in (last, step))
        return now > before

    def add(self, step: int, predicted):
        """Keep the predictions [n, N, 2] of the val faces at this step, and draw the picture.

        Snapshots of this and later steps are replaced: a killed training had made them.
        """
        shown = np.round(np.asarray(predicted, np.float64)[self._shown], 4)
        new = {"step": step, "landmarks": shown.reshape(len(shown), -1).tolist()}
        self._snapshots = [each for each in self._snapshots if each["step"] < step] + [new]
        if len(self._snapshots) > KEPT:
            self._snapshots = _spread_evenly(self._snapshots, KEPT // 2)
        state = {"faces": self._val.names, "snapshots": self._snapshots}
        write_json(self._run / STATE, state)
        write_bytes(self._run / PICTURE, encode_picture(self.picture(), ".png"))

    def picture(self) -> np.ndarray:
        """The RGB picture: a row for each face, its labels and then its predictions over time."""
        val, columns = self._val, _spread_evenly(self._snapshots, SHOWN_COLUMNS)
        labels = [truth[known] for truth, known in zip(val.landmarks, val.mask, strict=True)]
        shapes = [(labels, GREEN), *((_shapes_of(each), RED) for each in columns)]
        enlarged = -(-FACE_PX // val.images.shape[1])
        drawn = [
            drawn_face(image, ((column[face], colour),), self._scheme, enlarged, cv2.INTER_LINEAR)
            for face, image in enumerate(val.images)
            for column, colour in shapes
        ]
        sheet = contact_sheet(drawn, len(shapes))
        captions = [("labels", ""), *(self._caption(each["step"]) for each in columns)]
        return np.vstack([_header(captions, sheet.shape[1]), sheet])

    def _caption(self, step: int) -> tuple[str, str]:
        return f"step {step:,}", f"epoch {step * self._epochs_per_step:.3g}"

    def _read(self) -> list[dict]:
        """The snapshots in progress.json; none if it is missing, damaged or of other faces."""
        state, faces = json_of(self._run / STATE), len(self._val.names)
        shape = listed(NUMBER, 2 * self._scheme.count)
        form = listed(fields({"step": COUNT, "landmarks": listed(shape, faces)}))
        usable = state.get("faces") == self._val.names
        return state["snapshots"] if usable and not form(state.get("snapshots")) else []


def _of_different_groups(groups: list[str], count: int) -> list[int]:
    """The first `count` indices, of as many different groups (photos or persons) as possible."""
    earlier = [groups[:index].count(group) for index, group in enumerate(groups)]
    return sorted(sorted(range(len(groups)), key=earlier.__getitem__)[:count])


def _spread_evenly(snapshots: list[dict], count: int) -> list[dict]:
    """At most `count` of the snapshots: those nearest to evenly spaced steps, in order.

    The first and the last one are among them.
    """
    if len(snapshots) <= count:
        return snapshots
    steps = np.array([each["step"] for each in snapshots])
    wanted = np.linspace(steps[0], steps[-1], count)
    nearest = np.abs(steps - wanted[:, None]).argmin(axis=1)
    return [snapshots[index] for index in sorted(set(nearest.tolist()))]


def _shapes_of(snapshot: dict) -> np.ndarray:
    """The landmarks [k, N, 2] of a snapshot's k faces."""
    flat = np.array(snapshot["landmarks"])
    return flat.reshape(len(flat), -1, 2)


def _header(captions: list[tuple[str, str]], width: int) -> np.ndarray:
    """A white strip [CAPTION_PX, width, 3] with two lines of text above each column."""
    strip = np.full((CAPTION_PX, width, 3), 255, np.uint8)
    for column, lines in enumerate(captions):
        for number, line in enumerate(lines):
            place = column * width // len(captions) + 6, 16 + 18 * number
            cv2.putText(
                strip, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
            )
    return strip
