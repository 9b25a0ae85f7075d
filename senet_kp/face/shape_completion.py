"""The whole of a face's landmarks from a few of them, by comparison with whole example shapes.

Every example is moved, turned and scaled onto the known points (a similarity transform, by least
squares). The nearest examples, which are of similar pose and proportions, are then treated as
draws from a Gaussian distribution: the result is its mean given the known points, with a small
noise of labelling (the conditional mean of a probabilistic PCA, as in Bishop, "Pattern Recognition
and Machine Learning", 2006, equation 2.81). A single Gaussian would not do, because the shapes of
turned heads are not a linear family.
"""

import numpy as np

MIN_POINTS = 3  # two points leave the pose of a head open
NEAREST = 128
# Standard deviation of a label, relative to the spread of the known points. On 402 faces of HELEN
# and AFW, 0.03 predicts the face box better than 0.1.
NOISE = 0.03
# An error of 15 degrees, as labelled yaws have it, counts like 0.05 at each of nine known points.
YAW_UNIT_DEG = 100.0


class ShapeCompletion:
    """Completes shapes of N landmarks.

    shapes: [S, N, 2] the examples, in any unit
    yaws_deg: [S] their yaws in degrees
    """

    def __init__(self, shapes, yaws_deg):
        self._yaws_deg = np.asarray(yaws_deg, np.float64)
        centred = np.asarray(shapes, np.float64) - np.mean(shapes, axis=1, keepdims=True)
        self._shapes = np.ascontiguousarray(np.moveaxis(centred, 2, 0))  # [2, S, N]

    def complete(self, points, weights, yaw_deg: float = np.nan) -> np.ndarray:
        """Return all landmarks [N, 2], in the unit of `points`.

        points: [k, 2], at least MIN_POINTS different ones
        weights: [k, N], whose row says of which landmarks a point is the weighted mean
        yaw_deg: yaw of the head, if it is known; it decides where few points leave the pose open
        """
        points, weights = np.asarray(points) @ (1, 1j), np.asarray(weights, np.float64)
        centre = points.mean()
        spread = np.sqrt(np.mean(np.abs(points - centre) ** 2))
        known = (points - centre) / spread
        examples = self._nearest(known, weights, yaw_deg)
        mean = examples.mean(axis=0)
        shapes, parts = _real(examples - mean), _real((examples - mean) @ weights.T)
        noise = len(examples) * NOISE**2 * np.eye(parts.shape[1])
        surprise = _real(known - mean @ weights.T)
        change = np.linalg.solve(parts.T @ parts + noise, surprise) @ parts.T @ shapes
        return (_points(mean) + change.reshape(2, -1).T) * spread + _points(centre)

    def _nearest(self, known, weights, yaw_deg: float) -> np.ndarray:
        """Return the NEAREST examples [S, N], moved, turned and scaled onto `known` [k]."""
        x, y = self._shapes @ weights.T  # before they are complex, which takes half the time
        parts = x + 1j * y
        middles = parts.mean(axis=1, keepdims=True)
        parts = parts - middles
        factors = (parts.conj() @ known) / np.maximum((np.abs(parts) ** 2).sum(axis=1), 1e-12)
        errors = np.linalg.norm(known - factors[:, None] * parts, axis=1) ** 2
        if np.isfinite(yaw_deg):
            limit = np.abs(self._yaws_deg).max()
            away_deg = self._yaws_deg - np.clip(yaw_deg, -limit, limit)
            errors += (away_deg / YAW_UNIT_DEG) ** 2
        best = np.argsort(errors, kind="stable")[:NEAREST]
        x, y = self._shapes[:, best]
        return factors[best, None] * (x + 1j * y - middles[best])


def _real(values) -> np.ndarray:
    """Return complex [..., N] as real [..., 2N]."""
    return np.concatenate([values.real, values.imag], axis=-1)


def _points(values) -> np.ndarray:
    """Return complex [...] as points [..., 2]."""
    return np.stack([values.real, values.imag], axis=-1)
