"""The head of a photo as a mesh that carries its pixels."""

from dataclasses import dataclass

import numpy as np

from senet_kp.data_prep.profile_views.head_fit import HeadFit
from senet_kp.data_prep.sample_faces.camera import Camera
from senet_kp.data_prep.sample_faces.head import grid_angles_deg
from senet_kp.data_prep.sample_faces.render import grid_faces
from senet_kp.data_prep.sample_faces.surface import Surface, bell, smoothstep

ROWS, COLUMNS = 144, 208
FACES = grid_faces(ROWS, COLUMNS)
_REACH = 0.22  # how far the pull of a landmark's residual reaches, as a share of the face's size
_LABEL_NOISE = 0.03  # of a residual, as a share of the residuals' own deviation
_UNROLLED = 0.55  # how far from the silhouette the surface behind it looks, per length of it
_EAR_CM, _EAR_Y_CM, _EAR_HEIGHT_CM = 1.9, -2.0, 2.2  # how far out, and at what heights, ears reach
_INSIDE_CM = 0.9  # how far inside the silhouette the hair at the temples is looked for
_EDGE_CM = 0.2  # next to the silhouette, pixels of a photo are a mixture with what is behind it
_TEMPLE_Y_CM, _NAPE_Y_CM = 4.0, -8.0  # hair behind the ears looks like that at the temples
_EAR_BEGINS_DEG, _EAR_ENDS_DEG = 90.0, 115.0  # angles of the head's section


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
    the silhouette, as far as an ear reaches, and further back those of the hair at the
    temples. Also returns how far behind the silhouette [R, C] each point is, in cm along the row.
    """
    flat = camera.project(grid)
    up = camera.rotation[:2, 1]
    outward = np.array((up[1], up[0])) / np.hypot(*up) * camera.scale_px_per_cm  # y down
    middle = grid.shape[1] // 2
    behind = np.zeros(grid.shape[:2])
    for sign, half in ((1, slice(middle, None)), (-1, slice(middle - 1, None, -1))):
        across = sign * flat[:, half] @ outward
        edge = np.argmax(across, axis=1)
        flat[:, half] -= _inset(across, camera.scale_px_per_cm)[..., None] * sign * outward
        length = _length_behind(grid[:, half], edge)
        places = _places_behind(grid[:, half, 1], flat[:, half], edge, length, sign * outward)
        flat[:, half] = np.where(length[..., None] > 0, places, flat[:, half])
        behind[:, half] = length
    return flat, behind


def _inset(across, scale):
    """Return by how many cm [R, C] to look further inside: by _EDGE_CM at the silhouette.

    across: [R, C] in px * px/cm, from the inside to the outside
    """
    inside = (across.max(axis=1, keepdims=True) - across) / scale**2
    return np.hypot(inside, _EDGE_CM) - inside


def _length_behind(half, edge):
    """Return the length [R, C] of each row of `half` [R, C, 3] from the column `edge` [R] on."""
    steps = np.linalg.norm(np.diff(half, axis=1, prepend=half[:, :1]), axis=2)
    length = np.cumsum(steps, axis=1)
    return np.maximum(length - length[np.arange(len(edge)), edge][:, None], 0)


def _places_behind(y, flat, edge, length, outward):
    """Return where [R, C, 2] what lies `length` behind the silhouette takes its colour from.

    y, flat: [R, C], [R, C, 2] height in cm and place in the photo of each point
    outward: [2] the silhouette's outside, px per cm
    """
    rows = np.arange(len(edge))
    y, at_edge, angle = y[rows, edge], flat[rows, edge], grid_angles_deg(2 * flat.shape[1])
    reach = _reach_cm(y, angle[flat.shape[1] + edge])[:, None]
    far = _UNROLLED * length
    near_place = at_edge[:, None] + _between(far, 0.4 * reach, reach)[..., None] * outward
    height = np.maximum(y, _TEMPLE_Y_CM + 0.12 * (y - _TEMPLE_Y_CM))
    temple = np.stack([np.interp(height, y[::-1], axis[::-1]) for axis in at_edge.T], axis=1)
    inside = _between(far, 0.15 * _INSIDE_CM, _INSIDE_CM)[..., None]
    far_place = temple[:, None] - inside * outward
    share = smoothstep(far - reach, 0.1, 1.5) * smoothstep(y, _NAPE_Y_CM, _NAPE_Y_CM + 3)[:, None]
    return near_place + (far_place - near_place) * share[..., None]


def _reach_cm(y, edge_deg):
    """Return how far an ear reaches outside a silhouette at height y, at that angle."""
    left = np.clip((_EAR_ENDS_DEG - edge_deg) / (_EAR_ENDS_DEG - _EAR_BEGINS_DEG), 0, 1)
    return left * _EAR_CM * bell(y - _EAR_Y_CM, _EAR_HEIGHT_CM)


def _between(length, low, high):
    """Return distances that rise with the length to `high`, and then go to and fro."""
    width = high - low
    after = np.maximum(length - high, 0) % np.maximum(2 * width, 1e-3)
    return np.where(length < high, length, low + np.abs(after - width))
