"""When the parts of a fault run end."""

import time


class Deadline:
    """Is over after some seconds, or when `passed` is set."""

    def __init__(self, seconds: float):
        self._end_s = time.monotonic() + seconds
        self.passed = False

    def over(self) -> bool:
        return self.passed or time.monotonic() > self._end_s
