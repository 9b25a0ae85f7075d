"""Grid surfaces, of which every object in a scene consists, and functions that build them."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass
class Surface:
    """A grid of points with its texture.

    Seen from outside, rows run downward and columns to the right; this makes normals point outward.
    """

    positions: np.ndarray  # [H, W, 3] float32, cm
    albedo: np.ndarray  # [H, W, 3] float32, linear RGB
    gloss: np.ndarray  # [H, W] float32, 0 matt .. 1 wet
    step: int = 1  # the triangle mesh uses every step-th row and column of the grid
    two_sided: bool = False  # visible from inside, too
    follows_head: bool = True  # False: moves with the shoulders

    def normals(self):
        """Return outward unit normals [H, W, 3] float32, from central differences of the grid."""
        return unit(np.cross(_difference(self.positions, 1), -_difference(self.positions, 0)))


def solid(positions, colour, gloss=0.1, **options) -> Surface:
    """Return a surface of one colour."""
    positions = np.asarray(positions, np.float32)
    albedo = np.broadcast_to(np.asarray(colour, np.float32), positions.shape).copy()
    return Surface(positions, albedo, np.full(positions.shape[:2], gloss, np.float32), **options)


def tube(path, radius, colour, gloss=0.3, segments=10, **options) -> Surface:
    """Return a tube of `radius` cm (one number, or one per point) along a path [N, 3]."""
    path = np.asarray(path, float)
    ahead = unit(np.gradient(path, axis=0))
    helper = np.eye(3)[np.argmin(np.abs(ahead).mean(axis=0))]
    across = unit(np.cross(ahead, helper))
    above = np.cross(ahead, across)
    turn = np.linspace(0, 2 * np.pi, segments + 1)[None, :, None]
    ring = np.cos(turn) * across[:, None] - np.sin(turn) * above[:, None]
    radius = np.broadcast_to(radius, len(path))[:, None, None]
    return solid(path[:, None] + radius * ring, colour, gloss, **options)


def capsule(start, end, radius, colour, gloss=0.15, rings=24, **options) -> Surface:
    """Return a rod of `radius` cm with rounded ends between two points."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    length = np.linalg.norm(end - start)
    turn = np.linspace(0, np.pi, rings)
    along = np.where(turn < np.pi / 2, -np.cos(turn) * radius, length - np.cos(turn) * radius)
    thickness = radius * np.sin(turn) + 1e-3
    path = start + (end - start) / length * along[:, None]
    return tube(path, thickness, colour, gloss, segments=20, **options)


def unit(vectors):
    """Return the vectors scaled to length 1 along the last axis."""
    square = np.einsum("...i,...i->...", vectors, vectors)
    return vectors / np.sqrt(np.maximum(square, 1e-18))[..., None]


def turned(vectors, rotation):
    """Return the vectors [N, 3] multiplied by a matrix [3, 3]; einsum uses only one core."""
    return np.einsum("ni,ji->nj", vectors, rotation.astype(vectors.dtype))


def smoothstep(x, low, high):
    """Return 0 below `low`, 1 above `high`, and an S-shaped transition between them."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bell(x, width):
    """Return a Gaussian bump of height 1 and standard deviation `width`."""
    return np.exp(-0.5 * np.square(x / width))


def noise(rng, shape, cells):
    """Return smooth noise [H, W] float32 with about unit deviation and `cells` (rows, columns)."""
    coarse = rng.normal(size=(cells[0] + 1, cells[1] + 1)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _difference(grid, axis):
    """Return differences along `axis`: central ones inside, one-sided ones at the borders."""
    grid = np.moveaxis(grid, axis, 0)
    result = np.empty_like(grid)
    result[1:-1] = grid[2:] - grid[:-2]
    result[0], result[-1] = grid[1] - grid[0], grid[-1] - grid[-2]
    return np.moveaxis(result, 0, axis)
