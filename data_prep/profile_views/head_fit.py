"""Fitting the renderer's head to 68 labelled landmarks: shape, expression and pose.

Gauss-Newton steps find the proportions, the expression and the view of the head whose landmarks
come nearest to the labels, with a penalty on unusual heads. The head is linear in its parameters
only nearly, so the fit is repeated from the exact landmarks of the head that it found. The jaw of a
label is on the visible contour: in every step each jaw point is moved to the place of the head
that is outermost in the view.
"""

from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from senet_kp.data_prep.sample_faces.camera import Camera, framed
from senet_kp.data_prep.sample_faces.head import Head
from senet_kp.data_prep.sample_faces.landmarks import (
    JAW_SIDES,
    contour_arcs,
    landmarks_3d,
    on_contour,
    outermost,
)
from senet_kp.data_prep.sample_faces.traits import Expression, Shape, deviations
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.pose import angles_deg, head_rotation

# Standard deviation and range of each part of the expression that moves landmarks.
_EXPRESSION = {
    "mouth_open": (0.8, 0.0, 2.4),
    "jaw_drop": (0.6, -0.2, 2.0),
    "smile": (0.5, -0.4, 1.2),
    "eyes_open": (0.35, 0.0, 1.3),
    "brow_raise": (0.3, -0.5, 0.8),
}
_NOISE = 0.012  # of a label, as a share of the face's size: people place points that differently
_MOST_DEVIATIONS = 3.0
_ROUNDS, _STEPS = 3, 5
_SMALL = np.array((0.1, 0.1, 0.1, 1e-3, 0.1, 0.1))  # steps of the numeric derivative by the pose


@dataclass(frozen=True)
class HeadFit:
    """A head and the view in which it shows the labelled landmarks.

    points:        [68, 3] cm, its landmarks
    arcs:          [16, A, 3] cm, the places that the jaw points can have in some view
    error_percent: mean distance of its landmarks from the labels, in percent of the longer edge of
                   the labels' bounding box
    """

    head: Head
    camera: Camera
    points: np.ndarray
    arcs: np.ndarray
    error_percent: float

    @property
    def seen(self):
        """The landmarks [68, 3] with the jaw on the contour that is visible in this view."""
        return on_contour(self.points, self.arcs, self.camera.rotation)


def fit_head(landmarks) -> HeadFit | None:
    """Fit a head to landmarks [68, 2], 0-based pixels; None if their pose cannot be estimated."""
    labels = np.asarray(landmarks, np.float64)
    rotation = head_rotation(labels, np.ones(IBUG68.count, bool), IBUG68)
    if rotation is None:
        return None
    size = np.ptp(labels, axis=0).max()
    values = np.zeros(len(_parameters()))
    camera = _first_camera(labels, size, angles_deg(rotation))
    for _ in range(_ROUNDS):
        base, exact = values, _landmarks(values)
        for _ in range(_STEPS):
            values, camera = _step(labels, size, base, exact, values, camera)
    points, arcs = _landmarks(values)
    error = camera.project(on_contour(points, arcs, camera.rotation)) - labels
    return HeadFit(_head(values), camera, points, arcs, 100 * np.hypot(*error.T).mean() / size)


def _first_camera(labels, size, angles):
    centre = (labels.min(axis=0) + labels.max(axis=0)) / 2
    return framed(Camera(*angles), landmarks_3d(Head()), size, centre)


def _step(labels, size, base, exact, values, camera):
    """Return parameters and camera after one Gauss-Newton step."""
    by_points, by_arcs = _derivatives()
    change = values - base
    points = exact[0] + np.tensordot(change, by_points, 1)
    arcs = exact[1] + np.tensordot(change, by_arcs, 1)
    place = outermost(points, arcs, camera.rotation)
    along = by_points.copy()
    points[JAW_SIDES] = arcs[np.arange(len(place)), place]
    along[:, JAW_SIDES] = by_arcs[:, np.arange(len(place)), place]
    here, found = _vector(camera), camera.project(points)
    by_pose = [
        (_camera(here + step).project(points) - found) / step.sum() for step in np.diag(_SMALL)
    ]
    by_shape = (along @ camera.rotation[:2].T) * (1, -1) * camera.scale_px_per_cm
    jacobian = np.concatenate([by_pose, by_shape]).reshape(len(here) + len(values), -1)
    precision = 1 / (_NOISE * size) ** 2
    prior = np.concatenate([np.zeros(len(here)), np.ones(len(values))])
    normal = precision * jacobian @ jacobian.T + np.diag(prior + 1e-9)
    slope = precision * jacobian @ (labels - found).ravel() - prior * np.append(0 * here, values)
    delta = np.linalg.solve(normal, slope)
    return _within(values + delta[len(here) :]), _camera(here + delta[: len(here)])


def _vector(camera):
    log_scale = np.log(camera.scale_px_per_cm)
    return np.array(
        [camera.pitch_deg, camera.yaw_deg, camera.roll_deg, log_scale, *camera.shift_px]
    )


def _camera(vector):
    pitch, yaw, roll, log_scale, x, y = map(float, vector)
    return Camera(pitch, yaw, roll, float(np.exp(log_scale)), (x, y))


# ---- the head as a function of its parameters, which are in standard deviations from the mean


@cache
def _parameters() -> list[tuple[str, float, float, float]]:
    """Return name, standard deviation, least and largest value of each parameter."""
    mean, spread, most = Shape(), deviations(), _MOST_DEVIATIONS
    limits = [
        (name, spread[name], value - most * spread[name], value + most * spread[name])
        for name, value in vars(mean).items()
    ]
    return limits + [(name, *rest) for name, rest in _EXPRESSION.items()]


def _head(values):
    parts = vars(Shape()) | vars(Expression())
    for (name, spread, _, _), value in zip(_parameters(), values, strict=True):
        parts[name] = float(parts[name] + spread * value)
    shape = {field.name: parts[field.name] for field in fields(Shape)}
    return Head(Shape(**shape), Expression(**{n: parts[n] for n in vars(Expression())}))


def _within(values):
    """Return the parameters within their limits."""
    means = vars(Shape()) | vars(Expression())
    low = [(low - means[name]) / spread for name, spread, low, _ in _parameters()]
    high = [(high - means[name]) / spread for name, spread, _, high in _parameters()]
    return np.clip(values, low, high)


def _landmarks(values):
    """Return the landmarks [68, 3] and the arcs [16, A, 3] of a head, cm."""
    head = _head(values)
    points = landmarks_3d(head)
    return points, contour_arcs(head, points)


@cache
def _derivatives():
    """Return the derivatives [n, 68, 3] and [n, 16, A, 3] of landmarks and arcs at the mean."""
    points, arcs = [], []
    for step in 0.5 * np.eye(len(_parameters())):
        high, low = _landmarks(_within(step)), _landmarks(_within(-step))
        width = (_within(step) - _within(-step)).sum()
        points.append((high[0] - low[0]) / width)
        arcs.append((high[1] - low[1]) / width)
    return np.array(points), np.array(arcs)
