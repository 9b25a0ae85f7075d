"""The One-Euro filter: a low-pass filter that follows fast motion with little lag.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems", CHI 2012. At rest the cutoff frequency is low, which removes jitter; it rises
with the speed of the signal, which removes lag.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OneEuro:
    """The settings of a filter."""

    min_cutoff_hz: float
    """cutoff frequency at rest; a lower one removes more jitter"""
    beta: float
    """how much the cutoff frequency, in Hz, rises with each unit of speed; a higher one removes
    more lag"""
    derivative_cutoff_hz: float = 1.0
    """cutoff frequency of the speed"""


class OneEuroFilter:
    """Filters vectors whose speed is that of all their components together.

    Called as `filter(value, time_s, unit)`: value [..., D], of which each [D] is a vector; time_s,
    which must grow from call to call; unit, by which speeds are divided. Returns the filtered value
    [..., D]; the first value is returned as it is.
    """

    def __init__(self, settings: OneEuro):
        self._settings = settings
        self._time_s = self._value = self._slope = None

    def __call__(self, value, time_s: float, unit: float = 1.0) -> np.ndarray:
        value = np.asarray(value, np.float64)
        if self._value is None or time_s <= self._time_s:
            self._value, self._slope = value, np.zeros_like(value)
        else:
            step_s = time_s - self._time_s
            slope = (value - self._value) / step_s
            self._slope += _weight(self._settings.derivative_cutoff_hz, step_s) * (
                slope - self._slope
            )
            speed = np.linalg.norm(self._slope, axis=-1, keepdims=True) / unit
            cutoff_hz = self._settings.min_cutoff_hz + self._settings.beta * speed
            self._value = self._value + _weight(cutoff_hz, step_s) * (value - self._value)
        self._time_s = time_s
        return self._value


def _weight(cutoff_hz, step_s: float):
    """The weight of a new value in a first-order low-pass filter."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))
