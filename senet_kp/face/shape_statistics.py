"""Mean and spread of box-relative landmarks, summed up record by record."""

import numpy as np


class ShapeStatistics:
    """Knows no more than sums, so that millions of records cost nothing."""

    def __init__(self):
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, landmarks, mask):
        """Take one face: landmarks [N, 2], of which those with a true mask [N] are known."""
        known = np.asarray(mask, bool)[:, None]
        shape = np.where(known, np.asarray(landmarks, np.float64), 0)
        self._count = self._count + known
        self._sum = self._sum + shape
        self._squares = self._squares + shape**2

    def mean(self) -> np.ndarray:
        """[N, 2]; the box's centre for a point that no face knows."""
        return np.round(self._over_count(self._sum, 0.5), 6)

    def spread(self) -> np.ndarray:
        """[N, 2] standard deviations; 0 for a point that no face knows."""
        square_of_mean = self._over_count(self._sum, 0) ** 2
        return np.round(
            np.sqrt(np.maximum(self._over_count(self._squares, 0) - square_of_mean, 0)), 6
        )

    def _over_count(self, total, unknown: float) -> np.ndarray:
        return np.where(self._count, total / np.maximum(self._count, 1), unknown)
