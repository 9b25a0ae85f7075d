"""Grid surfaces, the one kind of object in a scene, and small helpers to build them."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass
class Surface:
    """A grid of points with its paint; rows run downward, columns to the viewer's right.

    Seen from outside, that order is what makes a quad face outward.
    """

    positions: np.ndarray  # [H, W, 3] float32, cm
    albedo: np.ndarray  # [H, W, 3] float32, linear RGB
    gloss: np.ndarray  # [H, W] float32, 0 matt .. 1 wet
    step: int = 1  # the mesh takes every step-th row and column of the grid
    two_sided: bool = False
    follows_head: bool = True  # False: moves with the shoulders

    def normals(self):
        """Outward unit normals [H, W, 3] float32, from central differences of the grid."""
        return unit(np.cross(_difference(self.positions, 1), -_difference(self.positions, 0)))


def solid(positions, colour, gloss=0.1, **options) -> Surface:
    """A surface of one colour."""
    positions = np.asarray(positions, np.float32)
    albedo = np.broadcast_to(np.asarray(colour, np.float32), positions.shape).copy()
    return Surface(positions, albedo, np.full(positions.shape[:2], gloss, np.float32), **options)


def tube(path, radius, colour, gloss=0.3, sides=10, **options) -> Surface:
    """A tube of `radius` cm (a number or one per point) along a path [N, 3]."""
    path = np.asarray(path, float)
    ahead = unit(np.gradient(path, axis=0))
    helper = np.eye(3)[np.argmin(np.abs(ahead).mean(axis=0))]
    across = unit(np.cross(ahead, helper))
    above = np.cross(ahead, across)
    turn = np.linspace(0, 2 * np.pi, sides + 1)[None, :, None]
    ring = np.cos(turn) * across[:, None] - np.sin(turn) * above[:, None]
    radius = np.broadcast_to(radius, len(path))[:, None, None]
    return solid(path[:, None] + radius * ring, colour, gloss, **options)


def capsule(start, end, radius, colour, gloss=0.15, rings=24, **options) -> Surface:
    """A rod with rounded ends between two points, `radius` cm thick on either side."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    length = np.linalg.norm(end - start)
    turn = np.linspace(0, np.pi, rings)
    along = np.where(turn < np.pi / 2, -np.cos(turn) * radius, length - np.cos(turn) * radius)
    thickness = radius * np.sin(turn) + 1e-3
    path = start + (end - start) / length * along[:, None]
    return tube(path, thickness, colour, gloss, sides=20, **options)


def unit(vectors):
    """Vectors scaled to length 1 along the last axis."""
    square = np.einsum("...i,...i->...", vectors, vectors)
    return vectors / np.sqrt(np.maximum(square, 1e-18))[..., None]


def turned(vectors, rotation):
    """Vectors [N, 3] multiplied by a matrix [3, 3]; einsum keeps it on one core."""
    return np.einsum("ni,ji->nj", vectors, rotation.astype(vectors.dtype))


def smoothstep(x, low, high):
    """0 below `low`, 1 above `high`, an S between them."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bell(x, width):
    """A Gaussian bump of height 1 and standard deviation `width`."""
    return np.exp(-0.5 * np.square(x / width))


def noise(rng, shape, cells):
    """Smooth noise [H, W] float32 of about unit deviation, `cells` (rows, columns) bumps."""
    coarse = rng.normal(size=(cells[0] + 1, cells[1] + 1)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _difference(grid, axis):
    """Central difference along `axis`; the same at both borders as one cell further in."""
    grid = np.moveaxis(grid, axis, 0)
    result = np.empty_like(grid)
    result[1:-1] = grid[2:] - grid[:-2]
    result[0], result[-1] = grid[1] - grid[0], grid[-1] - grid[-2]
    return np.moveaxis(result, 0, axis)
