"""Rendering of surfaces: one rasterisation, then shading of every covered pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from senet_kp.data_prep.sample_faces.camera import SIZE_PX, Camera
from senet_kp.data_prep.sample_faces.rasterise import rasterise
from senet_kp.data_prep.sample_faces.surface import Surface, turned, unit

SUPERSAMPLING = 4 / 3
CANVAS_PX = round(SIZE_PX * SUPERSAMPLING)
_WRAP = np.array((0.32, 0.18, 0.13), np.float32)  # wrapped diffuse light beyond 90 degrees, RGB
_REMAP_COLUMNS = 1024  # values per row for cv2.remap, whose rows and columns are at most 32767


@dataclass(frozen=True)
class Light:
    """Lights; arrays are float32 [3]. Directions point to the light: x right, y up, z to us."""

    key: np.ndarray  # direction
    key_colour: np.ndarray  # linear RGB
    fill: np.ndarray  # direction
    fill_colour: np.ndarray  # linear RGB
    sky: np.ndarray  # ambient from above, linear RGB
    ground: np.ndarray  # ambient from below, linear RGB
    hardness: float  # of cast shadows: 0 none .. 1 black


class Model:
    """Surfaces as one triangle mesh, with their textures and normals."""

    def __init__(self, surfaces: list[Surface]):
        self.surfaces = surfaces
        vertices, texels, faces, owners, follows, count = [], [], [], [], [], 0
        for index, surface in enumerate(surfaces):
            rows, columns = (_every(n, surface.step) for n in surface.positions.shape[:2])
            grid = surface.positions[np.ix_(rows, columns)]
            quads = grid_faces(*grid.shape[:2], surface.two_sided) + count
            vertices.append(grid.reshape(-1, 3))
            texels.append(np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2))
            faces.append(quads)
            owners.append(np.full(len(quads), index, np.int32))
            follows.append(np.full(len(vertices[-1]), surface.follows_head))
            count += len(vertices[-1])
        self.vertices = np.concatenate(vertices).astype(np.float32)
        self.faces, self.owners = np.concatenate(faces), np.concatenate(owners)
        self.texels = np.concatenate(texels).astype(np.float32)[self.faces]
        self.follows_head = np.concatenate(follows)
        self.paint = [np.dstack([s.albedo, s.gloss]).astype(np.float32) for s in surfaces]
        self.normals = [unit(s.normals()).astype(np.float32) for s in surfaces]


def _every(count, step):
    """Return every step-th index below `count`, and always the last one."""
    return np.unique(np.append(np.arange(0, count, step), count - 1))


def grid_faces(rows: int, columns: int, two_sided: bool = False):
    """Return the triangles [T, 3] of a grid of vertices, as indices of its flattened vertices."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    quads = corner + np.array([[0, columns, 1, 1, columns, columns + 1]])
    faces = quads.reshape(-1, 3)
    return np.concatenate([faces, faces[:, ::-1]]) if two_sided else faces


def draw(model: Model, camera: Camera, body_rotation, pivot, light: Light, background):
    """Render the picture [450, 450, 3] float32, linear RGB, and its coverage [450, 450], 0..1.

    `body_rotation` [3, 3] rotates the surfaces that do not follow the head about `pivot` [3], cm,
    which stays attached to the head. `background` is [600, 600, 3] float32, linear RGB.
    """
    view = _view(model, camera, body_rotation, pivot)
    seen = rasterise(_screen(view, camera), model.faces, CANVAS_PX)
    paint, normals = _surface_values(model, seen, camera.rotation, body_rotation)
    shadow, open_sky = _occlusion(seen.pixels, seen.depth, light, camera.scale_px_per_cm)
    canvas = background.reshape(-1, 3).copy()
    canvas[seen.pixels] = _shade(paint, normals, light, shadow, open_sky).T
    covered = np.zeros(CANVAS_PX * CANVAS_PX, np.float32)
    covered[seen.pixels] = 1
    return _reduced(canvas), _reduced(covered)


def _surface_values(model, seen, head_rotation, body_rotation):
    """Return albedo and gloss [4, P] and unit normals [3, P] of the P covered pixels.

    The channels are the first axis because NumPy is several times faster along the long last one.
    """
    texel = np.einsum("pcj,pc->pj", model.texels[seen.triangles], seen.weights)
    owners = model.owners[seen.triangles]
    paint = np.empty((4, len(texel)), np.float32)
    normals = np.empty((3, len(texel)), np.float32)
    for index, surface in enumerate(model.surfaces):
        mine = np.flatnonzero(owners == index)
        if not len(mine):
            continue
        rotation = head_rotation if surface.follows_head else body_rotation
        normal = turned(_sample(model.normals[index], texel[mine]), rotation).T
        if surface.two_sided:
            normal = normal * np.where(normal[2] < 0, -1, 1)
        normals[:, mine] = normal
        paint[:, mine] = _sample(model.paint[index], texel[mine]).T
    return paint, normals / np.sqrt(np.maximum(_dot(normals, normals), 1e-9))


def _view(model, camera, body_rotation, pivot):
    """Return the vertices [V, 3] in cm, rotated into the frame of the camera."""
    pivot = np.asarray(pivot)
    head = turned(model.vertices, camera.rotation)
    body = turned(model.vertices - pivot, body_rotation) + camera.rotation @ pivot
    return np.where(model.follows_head[:, None], head, body).astype(np.float32)


def _screen(view, camera):
    flat = Camera(0, 0, 0, camera.scale_px_per_cm, camera.shift_px).project(view)
    flat = (flat + 0.5) * SUPERSAMPLING - 0.5
    return np.column_stack([flat, view[:, 2]]).astype(np.float32)


def _sample(grid, texel):
    """Return the values [P, C] of grid [H, W, C] at texel [P, 2] (column, row), bilinearly."""
    count = len(texel)
    rows = -(-count // _REMAP_COLUMNS)
    padded = np.zeros((rows * _REMAP_COLUMNS, 2), np.float32)
    padded[:count] = texel
    x, y = padded.reshape(rows, _REMAP_COLUMNS, 2).transpose(2, 0, 1)
    values = cv2.remap(grid, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)
    return values.reshape(-1, grid.shape[2])[:count]


def _shade(paint, normals, light, shadow, open_sky):
    """Return linear RGB [3, P]: wrapped diffuse, ambient from sky and ground, a specular lobe."""
    albedo, gloss = paint[:3], np.clip(paint[3], 0, 1)
    key_colour, fill_colour, sky, ground, wrap = (
        colour[:, None]
        for colour in (light.key_colour, light.fill_colour, light.sky, light.ground, _WRAP)
    )
    key = np.maximum(_dot(normals, light.key) * (1 - wrap) + wrap, 0)
    fill = np.maximum(_dot(normals, light.fill), 0)
    incoming = (fill_colour * fill + ground + (sky - ground) * ((normals[1] + 1) / 2)) * open_sky
    incoming += key_colour * (key * shadow)
    wet = np.square(np.square(gloss))
    lobe = np.clip(_dot(normals, unit(light.key + np.float32((0, 0, 1)))), 1e-4, 1)
    lobe = np.exp(np.log(lobe) * (14 + 140 * wet)) * gloss * np.sqrt(gloss)
    rim = np.square(np.square(1 - np.clip(normals[2], 0, 1))) * (0.1 * gloss * open_sky)
    return albedo * incoming + key_colour * ((0.16 + 0.9 * wet) * lobe * shadow) + sky * rim


def _dot(vectors, direction):
    """Return the dot products [P] of vectors [3, P] with a direction [3] or directions [3, P]."""
    return vectors[0] * direction[0] + vectors[1] * direction[1] + vectors[2] * direction[2]


def _occlusion(pixels, depth, light, scale):
    """Return cast shadow [P] and openness to the sky [P] of every pixel from the depth picture.

    Both are computed in screen space at half resolution. Shadows sample depths toward the key
    light; openness (ambient occlusion) samples 12 offsets within 1.6 cm.
    """
    full = np.full(CANVAS_PX * CANVAS_PX, -60, np.float32)
    full[pixels] = depth
    small = cv2.resize(
        full.reshape(CANVAS_PX, CANVAS_PX), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST
    )
    px_per_cm = scale * SUPERSAMPLING / 2
    blocked = np.zeros_like(small)
    flat = max(np.hypot(*light.key[:2]), 0.05)
    for reach_cm in np.geomspace(0.35, 7, 11):
        step = light.key * reach_cm / flat
        above = _shifted(small, step[:2] * px_per_cm) - (small + step[2])
        hit = np.clip(above / (0.12 * reach_cm) - 0.4, 0, 1) * (above < 5)
        np.maximum(blocked, hit, out=blocked)
    shadow = 1 - light.hardness * cv2.GaussianBlur(blocked, (0, 0), 2.2)
    closed = np.zeros_like(small)
    for radius_cm in (0.5, 1.6):
        for turn in np.arange(6) * np.pi / 3 + radius_cm:
            offset = radius_cm * px_per_cm * np.array((np.cos(turn), np.sin(turn)))
            rise = (_shifted(small, offset) - small) / radius_cm
            closed += np.clip(rise - 0.15, 0, 1.2) * (rise < 4) / 12
    open_sky = 1 - 0.85 * np.clip(cv2.GaussianBlur(closed, (0, 0), 1.5), 0, 1)
    return tuple(
        cv2.resize(field, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_LINEAR).reshape(-1)[
            pixels
        ]
        for field in (shadow, open_sky)
    )


def _shifted(field, offset):
    """Return the field sampled `offset` pixels (x right, y up) further."""
    matrix = np.float32([[1, 0, offset[0]], [0, 1, -offset[1]]])
    return cv2.warpAffine(
        field,
        matrix,
        field.shape[::-1],
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _reduced(flat):
    square = flat.reshape(CANVAS_PX, CANVAS_PX, -1)
    return cv2.resize(square, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
