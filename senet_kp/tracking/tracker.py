"""Follows faces through a video: `FaceTracker(predictor).update(picture, time_s)`.

The face box of a frame comes from the landmarks of the frame before it, so that the detector, which
takes many times as long as the network, runs only now and then, to find new faces.
"""

from dataclasses import dataclass, field, replace
from itertools import combinations, count
from typing import Literal

import numpy as np

from senet_kp.face.facebox import is_beside
from senet_kp.face.pictures import rgb_picture
from senet_kp.face.turned import roll_of, turned_face_box, upright_roll
from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.inference.detections import DUPLICATE_IOU
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.tfrecords.errors import UserError
from senet_kp.tracking.assignment import nearest_lost, overlapping
from senet_kp.tracking.smoothing import SmoothingConfig
from senet_kp.tracking.track import Track

Smoothing = Literal["off", "live"]
LEAST_CERTAINTY = 0.3  # of a new face, and of one that the detector does not find
LOST_SEARCH_EVERY = 3  # frames between two searches while a face is lost
# The face is looked at again if the box that it was expected in overlaps its own by less than this.
# The boxes of the second look overlap as much as those that networks are trained with.
SURE_IOU = 0.7
CLEAR_IOU = 0.1  # of boxes of faces that do not hide each other


@dataclass(frozen=True)
class TrackingConfig:
    """The settings of a FaceTracker."""

    detect_every: int = 10
    """number of frames from one search for new faces to the next"""
    keep_s: float = 1.0
    """how long the identity of a face that is hidden or not found is kept for it"""
    smooth: Smoothing = "live"
    """whether landmarks are smoothed; see `tracking.smoothing.smoothed_offline` for whole videos"""
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)


class FaceTracker:
    """Finds the faces of a video's frames and says which faces are the same.

    The detector runs on the first frame, on every frame while there is no face, when a face was
    lost, and every `detect_every` frames. Between these, a face is looked for once, in the face box
    of its landmarks in the frame before, moved on with its speed. A face whose box the detector
    does not confirm stays if the network finds the same landmarks in a shifted box.

    Parameters
    ----------
    predictor : LandmarkPredictor
        Its network, detector and number of passes are used.
    config : TrackingConfig or None
        The settings.

    Raises
    ------
    UserError
        If `detect_every` is below 1 or `keep_s` is below 0.

    Examples
    --------
    >>> tracker = FaceTracker(LandmarkPredictor())
    >>> for number, picture in enumerate(frames):
    ...     for face in tracker.update(picture, number / 25):
    ...         print(face.id, face.landmarks)
    """

    def __init__(self, predictor: LandmarkPredictor, config: TrackingConfig | None = None):
        self.config = config or TrackingConfig()
        if self.config.detect_every < 1 or self.config.keep_s < 0:
            raise UserError("detect_every has to be at least 1, and keep_s at least 0")
        self._predictor = predictor
        # Without a rule that draws face boxes around landmarks, every frame is searched.
        self._follows = predictor.rule.source == "landmarks"
        self._tracks: list[Track] = []
        self._ids, self._since_search, self._time_s = count(), 0, -np.inf

    def update(self, picture, time_s: float) -> list[Face]:
        """The faces in the next frame, each with its `id`, in the order in which they appeared.

        Parameters
        ----------
        picture : ndarray [H, W, 3] uint8 RGB
            The frame.
        time_s : float
            Its time stamp in seconds, which has to grow from call to call.

        Raises
        ------
        ValueError
            If `time_s` does not grow, or the frame is no picture.
        ModelError, UserError
            As `LandmarkPredictor.predict`.
        """
        if not time_s > self._time_s:
            raise ValueError(f"time_s is {time_s}, but has to be above {self._time_s} of before")
        picture, self._time_s = rgb_picture(picture), time_s
        if self._follows:
            self._follow(picture, time_s)
            self._part_doubles(time_s)
        self._since_search += 1
        if self._search_is_due():
            self._search(picture, time_s)
            self._since_search = 0
        keep_s = self.config.keep_s
        self._tracks = [t for t in self._tracks if not t.lost or time_s - t.time_s <= keep_s]
        return [track.shown for track in self._tracks if not track.lost]

    def found(self) -> list[Face]:
        """The faces that `update` has returned, with the landmarks before smoothing."""
        return [replace(track.face, id=track.id) for track in self._active()]

    def _active(self) -> list[Track]:
        return [track for track in self._tracks if not track.lost]

    def _search_is_due(self) -> bool:
        active = self._active()
        if not self._follows or not active:
            return True
        every = self.config.detect_every
        if len(active) < len(self._tracks):
            every = min(every, LOST_SEARCH_EVERY)
        return self._since_search >= every

    def _follow(self, picture, time_s: float):
        """Look for every face near where it should be now; one that left the picture is lost."""
        for track in self._active():
            expected = self._box_around(track.expected_landmarks(time_s), track.face.roll_deg)
            if is_beside(expected[0], picture):
                track.lost = True
                continue
            face = self._look(picture, *expected, looks=2, enough_iou=SURE_IOU)
            self._enter(track, replace(face, score=track.face.score), time_s)

    def _look(self, picture, box, roll_deg: float, looks: int, enough_iou: float) -> Face:
        """The face in a turned box; looks again in its own box while the two overlap too little."""
        for left in reversed(range(looks)):
            (face,) = self._predictor.predict(picture, [box], [roll_deg])
            if not (left and self._follows):
                break
            seen, (box, roll_deg) = box, self._box_around(face.landmarks, face.roll_deg)
            if iou(seen, box) >= enough_iou or is_beside(box, picture):
                break
        return face

    def _box_around(self, landmarks, roll_deg: float) -> tuple[np.ndarray, float]:
        """The turned face box of landmarks; it keeps its roll if the card has no mean shape."""
        mean_shape = self._predictor.card.get("mean_shape")
        if mean_shape is not None:
            roll_deg = upright_roll(roll_of(landmarks, mean_shape))
        return turned_face_box(landmarks, self._predictor.rule, roll_deg), roll_deg

    def _part_doubles(self, time_s: float):
        """Of two tracks that have come to one face, lose the one that is farther off its way."""
        for pair in combinations(self._active(), 2):
            doubled = iou(pair[0].face.box, pair[1].face.box) > DUPLICATE_IOU
            if doubled and not any(track.lost for track in pair):
                max(pair, key=lambda track: track.off_its_way(time_s)).lost = True
        for track in (active := self._active()):
            others = (other.face.box for other in active if other is not track)
            if all(iou(track.face.box, box) < CLEAR_IOU for box in others):
                track.keep_way()

    def _search(self, picture, time_s: float):
        """Run the detector: confirm the faces that it finds, add new ones, lose what is none."""
        detections, active = self._predictor.detector.detect(picture), self._active()
        pairs = overlapping([d.box for d in detections], [t.face.box for t in active], MIN_IOU)
        for number, found in enumerate(detections):
            known = active[pairs[number]] if number in pairs else None
            if known and self._follows:
                known.confirm(found.score)
            elif not is_beside(found.box, picture):
                looks = {"looks": self._predictor.passes, "enough_iou": np.inf}
                face = self._look(picture, found.box, found.roll_deg, **looks)
                if known or self._is_certain(picture, face):
                    self._add(replace(face, score=found.score), known, time_s)
        for track in (active[number] for number in set(range(len(active))) - {*pairs.values()}):
            track.lost = not (self._follows and self._is_certain(picture, track.face))

    def _is_certain(self, picture, face: Face) -> bool:
        """Whether this is a face, so far as the network can say it: in boxes that follow it."""
        if not self._follows:
            return True
        return self._predictor.certainty(picture, face) >= LEAST_CERTAINTY

    def _add(self, face: Face, known: Track | None, time_s: float):
        """Enter a detected face: in its known track, in the lost one that it continues, or anew."""
        if known is None:
            if any(iou(face.box, track.face.box) > DUPLICATE_IOU for track in self._active()):
                return
            lost = [track for track in self._tracks if track.lost]
            known = nearest_lost(face, lost, time_s) or Track(next(self._ids))
        if known not in self._tracks:
            self._tracks.append(known)
        self._enter(known, face, time_s)

    def _enter(self, track: Track, face: Face, time_s: float):
        track.enter(face, time_s, self.config.smoothing if self.config.smooth == "live" else None)
