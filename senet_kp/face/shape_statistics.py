"""Mean and standard deviation of box-relative landmarks, accumulated record by record."""

import numpy as np


class ShapeStatistics:
    """Running mean and standard deviation; it keeps only sums, however many records there are."""

    def __init__(self):
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, landmarks, mask):
        """Add one face: landmarks [N, 2], of which those with a true mask [N] are valid."""
        known = np.asarray(mask, bool)[:, None]
        shape = np.where(known, np.asarray(landmarks, np.float64), 0)
        self._count = self._count + known
        self._sum = self._sum + shape
        self._squares = self._squares + shape**2

    def mean(self) -> np.ndarray:
        """Return the means [N, 2]; the centre of the box for a point that is never valid."""
        return np.round(self._over_count(self._sum, 0.5), 6)

    def spread(self) -> np.ndarray:
        """Return the standard deviations [N, 2]; 0 for a point that is never valid."""
        square_of_mean = self._over_count(self._sum, 0) ** 2
        return np.round(
            np.sqrt(np.maximum(self._over_count(self._squares, 0) - square_of_mean, 0)), 6
        )

    def _over_count(self, total, unknown: float) -> np.ndarray:
        return np.where(self._count, total / np.maximum(self._count, 1), unknown)
