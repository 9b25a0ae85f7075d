"""The head of a photo as a mesh that carries its pixels."""

from dataclasses import dataclass

import numpy as np

from senet_kp.data_prep.profile_views.head_fit import HeadFit
from senet_kp.data_prep.sample_faces.camera import Camera
from senet_kp.data_prep.sample_faces.render import grid_faces
from senet_kp.data_prep.sample_faces.surface import Surface, smoothstep

ROWS, COLUMNS = 144, 208
FACES = grid_faces(ROWS, COLUMNS)
_REACH = 0.22  # how far the pull of a landmark's residual reaches, as a share of the face's size
_LABEL_NOISE = 0.05  # of a residual, as a share of the residuals' own deviation
_UNROLLED = 0.55  # how far outside the silhouette the surface behind it looks, per length of it
_LEAST_CM, _MOST_CM = 0.4, 2.2  # range of these distances, within which they go back and forth


class Correction:
    """A smooth shift parallel to the photo that moves the fitted landmarks onto the labels."""

    def __init__(self, fit: HeadFit, labels):
        self.camera = fit.camera
        self.centres = fit.camera.project(fit.seen)
        self.reach_px = _REACH * np.ptp(labels, axis=0).max()
        kernel = self._kernel(self.centres) + _LABEL_NOISE**2 * np.eye(len(labels))
        self.weights = np.linalg.solve(kernel, labels - self.centres)

    def apply(self, points):
        """Return the points [..., 3], in cm of the head's frame, moved."""
        shift = self._kernel(self.camera.project(points)) @ self.weights * (1, -1)
        return points + shift / self.camera.scale_px_per_cm @ self.camera.rotation[:2]

    def _kernel(self, places):
        """Return the covariance [..., 68] of the shifts at places [..., 2] and at the landmarks."""
        apart = np.linalg.norm(places[..., None, :] - self.centres, axis=-1) / self.reach_px
        return (1 + apart) * np.exp(-apart)


@dataclass(frozen=True)
class HeadSurface:
    """The mesh of a head, and where each of its V vertices finds its colour in the photo.

    vertices: [V, 3] cm
    own:      [V, 2] pixels of the photo
    mirrored: [V, 2] pixels, the place of the same vertex of the other half of the head
    share:    [V] 0..1, how much of its colour a vertex takes from the mirrored place
    """

    vertices: np.ndarray
    own: np.ndarray
    mirrored: np.ndarray
    share: np.ndarray


def head_surface(fit: HeadFit, correction: Correction) -> HeadSurface:
    """Return the mesh of the fitted head after the correction."""
    grid = correction.apply(fit.head.grid(ROWS, COLUMNS))
    own, beyond_cm = _unrolled(grid, fit.camera)
    facing = Surface(grid, grid, grid[..., 0]).normals() @ fit.camera.rotation[2]
    seen = smoothstep(facing, 0.0, 0.35) * (beyond_cm == 0)
    share = np.clip(seen[:, ::-1] - seen, 0, 1)
    return HeadSurface(
        grid.reshape(-1, 3), own.reshape(-1, 2), own[:, ::-1].reshape(-1, 2), share.ravel()
    )


def _unrolled(grid, camera: Camera):
    """Return the places [R, C, 2] in the photo of a grid of points [R, C, 3].

    What lies behind the silhouette of its row is not seen in the photo. It takes the pixels outside
    the silhouette: first ear and hair, then to and fro between them and the skin. Also returns how
    far behind the silhouette [R, C] each point is, in cm along the row.
    """
    flat = camera.project(grid)
    up = camera.rotation[:2, 1]
    outward = np.array((up[1], up[0])) / np.hypot(*up)  # y down
    middle = grid.shape[1] // 2
    behind = np.zeros(grid.shape[:2])
    for sign, half in ((1, slice(middle, None)), (-1, slice(middle - 1, None, -1))):
        across = sign * flat[:, half] @ outward
        edge = np.argmax(across, axis=1)[:, None]
        steps = np.linalg.norm(np.diff(grid[:, half], axis=1, prepend=grid[:, half][:, :1]), axis=2)
        length = np.cumsum(steps, axis=1)
        behind[:, half] = np.maximum(length - np.take_along_axis(length, edge, 1), 0)
        at_edge = np.take_along_axis(flat[:, half], edge[..., None], 1)
        away = _to_and_fro(_UNROLLED * behind[:, half]) * camera.scale_px_per_cm
        outside = at_edge + sign * away[..., None] * outward
        flat[:, half] = np.where(behind[:, half, None] > 0, outside, flat[:, half])
    return flat, behind


def _to_and_fro(distance_cm):
    """Return distances that rise to the most, and then go back and forth between the limits."""
    width = _MOST_CM - _LEAST_CM
    after = np.maximum(distance_cm - _MOST_CM, 0) % (2 * width)
    return np.where(distance_cm < _MOST_CM, distance_cm, _MOST_CM - width + np.abs(after - width))
