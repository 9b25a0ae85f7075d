"""The entry point of the renderer: all pictures of one identity, with their landmarks."""

from dataclasses import dataclass

import numpy as np

from senet_kp.data_prep.sample_faces import body, props
from senet_kp.data_prep.sample_faces.camera import SIZE_PX, Camera, framed, rotation
from senet_kp.data_prep.sample_faces.head import Head, grid_angles_deg
from senet_kp.data_prep.sample_faces.landmarks import contour_on_view, landmarks_3d
from senet_kp.data_prep.sample_faces.render import Model, draw
from senet_kp.data_prep.sample_faces.scene import developed, random_background, random_light
from senet_kp.data_prep.sample_faces.texture import FacePaint
from senet_kp.data_prep.sample_faces.traits import random_expression, random_look, random_shape

MAX_YAW_DEG, MAX_TILT_DEG = 80.0, 25.0


@dataclass(frozen=True)
class View:
    """One picture. Points are in 0-based pixels; the first pixel's centre is (0, 0)."""

    image: np.ndarray  # [450, 450, 3] uint8, BGR
    coverage: np.ndarray  # [450, 450] float32, 0 on the background, 1 elsewhere
    camera: Camera
    points_2d: np.ndarray  # [68, 2], with the jaw on the visible contour
    points_3d: np.ndarray  # [68, 2], with every point fixed on the head


def render_identity(seed: int, identity: int, views: int) -> list[View]:
    """Render `views` pictures of an identity; the first one is near-frontal.

    All random numbers depend on (seed, identity) only, so identities can be rendered in any order.
    """
    rng = np.random.default_rng([seed, identity])
    head = Head(random_shape(rng), random_expression(rng))
    look = random_look(rng, props.OCCLUDERS)
    model = Model(_surfaces(head, look, rng))
    light, background = random_light(rng), random_background(rng)
    luma = look.skin @ (0.3, 0.59, 0.11)
    exposure = (0.36 / luma) ** 0.35 * rng.uniform(0.85, 1.25)
    monochrome = rng.uniform() < 0.06
    points = landmarks_3d(head)
    result = []
    for camera, contour in _cameras(head, points, views, rng):
        turned = rotation(0.3 * camera.pitch_deg, 0.55 * camera.yaw_deg, 0.35 * camera.roll_deg)
        linear, coverage = draw(model, camera, turned, body.PIVOT, light, background)
        result.append(
            View(
                image=developed(linear, exposure, monochrome, rng),
                coverage=coverage,
                camera=camera,
                points_2d=camera.project(contour),
                points_3d=camera.project(points),
            )
        )
    return result


def _surfaces(head, look, rng):
    skin = FacePaint(head, look, rng).surface()
    body.paint_scalp(skin, look, grid_angles_deg(skin.positions.shape[1]), rng)
    return [
        skin,
        *body.ears(head, look),
        *body.hair(head, look, rng),
        *body.torso(head, look, rng),
        *props.glasses(head, look, rng),
        *props.occluder(head, look, rng),
    ]


def _cameras(head, points, views, rng):
    """Yield the camera and the landmarks on the visible contour of each view.

    The first view is near-frontal. The yaws of the others are spread evenly over -80..80 degrees,
    in random order.
    """
    strata = rng.permutation(views - 1) + rng.uniform(size=views - 1)
    yaws = MAX_YAW_DEG * (2 * strata / max(views - 1, 1) - 1)
    angles = [_clipped(rng, (6, 9, 5), (15, 20, 12))]
    for yaw in yaws:
        pitch, _, roll = _clipped(rng, (10, 0, 10), (MAX_TILT_DEG, 0, MAX_TILT_DEG))
        angles.append((pitch, yaw, roll))
    for pitch, yaw, roll in angles:
        camera = Camera(pitch, yaw, roll)
        seen = contour_on_view(head, points, camera.rotation)
        both = np.concatenate([points, seen])
        size, centre = rng.uniform(150, 240), SIZE_PX / 2 + rng.uniform(-14, 14, 2)
        yield framed(camera, both, size, centre), seen


def _clipped(rng, deviations, limits):
    return np.clip(rng.normal(0, deviations), np.negative(limits), limits)
