"""Blinks of the faces in a video, from their eye aspect ratios over time."""

from collections import deque
from typing import NamedTuple

import numpy as np

# An eye counts as closed below this share of its usual opening, the median of the time before,
# and as open again above the second share, so that noise does not close it twice. Networks open
# closed eyes too far: on rendered blinks by 60 to 75 % of the usual opening.
CLOSED_SHARE, OPEN_SHARE = 0.75, 0.85
USUAL_S = 10.0  # over which the usual opening is taken; people blink every 3 to 5 seconds
FIRST_S = 0.3  # after which the usual opening is known
LONGEST_S = 0.8  # eyes that are closed for longer do not blink


class Eyes(NamedTuple):
    """closed: whether both eyes are closed now; blinks: how many blinks have ended so far."""

    closed: bool
    blinks: int


class BlinkCounter:
    """Counts the blinks of one face.

    A blink is a time of at most 0.8 seconds in which both eyes, taken together, are open by less
    than 75 % of what is usual for this face. It is counted when they open again. The ratios should
    be those of landmarks that are not smoothed, because a blink lasts for a few frames.
    """

    def __init__(self):
        self._seen = deque()  # (time, opening)
        self._closed_since_s, self.blinks = None, 0

    def update(self, ratios: list[float], time_s: float) -> Eyes:
        """The state of the eyes; ratios: the eye aspect ratios in the next frame."""
        opening = float(np.mean(ratios))
        self._seen.append((time_s, opening))
        while self._seen[0][0] < time_s - USUAL_S:
            self._seen.popleft()
        usual = float(np.median([opening for _, opening in self._seen]))
        if self._closed_since_s is not None:
            if opening > OPEN_SHARE * usual:
                self.blinks += time_s - self._closed_since_s <= LONGEST_S
                self._closed_since_s = None
        elif opening < CLOSED_SHARE * usual and time_s - self._seen[0][0] >= FIRST_S:
            self._closed_since_s = time_s
        return Eyes(self._closed_since_s is not None, self.blinks)
