"""Landmarks of random heads in random poses, without pictures."""

import numpy as np

from senet_kp.data_prep.sample_faces.camera import Camera
from senet_kp.data_prep.sample_faces.head import Head
from senet_kp.data_prep.sample_faces.landmarks import contour_arcs, landmarks_3d, on_contour
from senet_kp.data_prep.sample_faces.traits import random_expression, random_shape
from senet_kp.face.known_schemes import IBUG68

MAX_YAW_DEG = 90.0
PITCH_DEG, MAX_PITCH_DEG = 12.0, 35.0  # standard deviation, largest


def random_shapes(heads: int, views: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the landmarks [S, 68, 2] of `heads` heads in `views` poses, and their yaws [S] in deg.

    The jaw is on the visible contour. The yaws of a head are spread evenly over -90 to 90 degrees;
    a roll is left out, because turning the picture gives the same. The mirror images of all shapes
    follow them, so S is twice `heads` times `views`. The unit is 1 cm.
    """
    shapes, yaws_deg = [], []
    for number in range(heads):
        rng = np.random.default_rng([seed, number])
        head = Head(random_shape(rng), random_expression(rng))
        points = landmarks_3d(head)
        arcs = contour_arcs(head, points)
        for step in rng.uniform(size=views) + np.arange(views):
            pitch = np.clip(rng.normal(0, PITCH_DEG), -MAX_PITCH_DEG, MAX_PITCH_DEG)
            camera = Camera(pitch, MAX_YAW_DEG * (2 * step / views - 1), 0.0)
            shapes.append(camera.project(on_contour(points, arcs, camera.rotation)))
            yaws_deg.append(camera.yaw_deg)
    shapes, yaws_deg = np.array(shapes), np.array(yaws_deg)
    mirrored = shapes[:, list(IBUG68.flip)] * (-1, 1)
    return np.concatenate([shapes, mirrored]), np.concatenate([yaws_deg, -yaws_deg])
