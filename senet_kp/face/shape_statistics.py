"""Mean and standard deviation of box-relative landmarks, accumulated record by record."""

import numpy as np

ENOUGH = 100  # faces whose mean shape is that of a face, with an error of a tenth of their spread


class ShapeStatistics:
    """Running mean and standard deviation; it keeps only sums, however many records there are.

    They are those of the faces whose landmarks are all known, if there are ENOUGH of these.
    Otherwise each landmark has those of the faces in which it is known, which may be other faces
    for other landmarks: with partly labelled profiles, a mouth's inner corners could lie outside of
    its outer ones.
    """

    def __init__(self):
        self._complete, self._every = _Sums(), _Sums()

    def add(self, landmarks, mask):
        """Add one face: landmarks [N, 2], of which those with a true mask [N] are valid."""
        known = np.asarray(mask, bool)[:, None]
        self._every.add(landmarks, known)
        if known.all():
            self._complete.add(landmarks, known)

    def mean(self) -> np.ndarray:
        """Return the means [N, 2]; the centre of the box for a point that is never valid."""
        return self._used().mean()

    def spread(self) -> np.ndarray:
        """Return the standard deviations [N, 2]; 0 for a point that is never valid."""
        return self._used().spread()

    def _used(self):
        return self._complete if np.min(self._complete.count) >= ENOUGH else self._every


class _Sums:
    """Sums over the faces in which a landmark is known."""

    def __init__(self):
        self.count, self._sum, self._squares = np.zeros((1, 1), int), 0.0, 0.0

    def add(self, landmarks, known):
        shape = np.where(known, np.asarray(landmarks, np.float64), 0)
        self.count = self.count + known
        self._sum = self._sum + shape
        self._squares = self._squares + shape**2

    def mean(self) -> np.ndarray:
        return np.round(self._over_count(self._sum, 0.5), 6)

    def spread(self) -> np.ndarray:
        square_of_mean = self._over_count(self._sum, 0) ** 2
        square = self._over_count(self._squares, 0)
        return np.round(np.sqrt(np.maximum(square - square_of_mean, 0)), 6)

    def _over_count(self, total, unknown: float) -> np.ndarray:
        return np.where(self.count, total / np.maximum(self.count, 1), unknown)
