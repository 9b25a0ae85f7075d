"""The measures of faces that the demo writes with --measures."""

from senet_kp.face.measures import eye_aspect_ratios, mouth_opening
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.predictor import Face
from senet_kp.tracking.blinks import BlinkCounter


class Measures:
    """Measures the faces of one source; those of a video keep count of their blinks."""

    def __init__(self, scheme: LandmarkScheme):
        self._scheme, self._counters = scheme, {}

    def of(self, faces: list[Face], time_s: float | None = None) -> list[dict]:
        """The entries of the JSON line for each face. time_s: the time stamp of a video's frame."""
        return [self._of(face, time_s) for face in faces]

    def _of(self, face: Face, time_s: float | None) -> dict:
        ratios = eye_aspect_ratios(face.landmarks, self._scheme)
        opening = mouth_opening(face.landmarks, self._scheme)
        found = {
            "eye_aspect_ratios": ratios and [round(ratio, 4) for ratio in ratios],
            "mouth_opening": opening if opening is None else round(opening, 4),
        }
        if time_s is not None and ratios:
            counter = self._counters.setdefault(face.id, BlinkCounter())
            eyes = counter.update(ratios, time_s)
            found |= {"eyes_closed": eyes.closed, "blinks": eyes.blinks}
        return found
