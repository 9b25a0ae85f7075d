"""One rendered person: a picture of the head and shoulders, with its landmarks, for any pose."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from benchmarks.clips.motion import Motion
from senet_kp.data_prep.sample_faces import body, props
from senet_kp.data_prep.sample_faces.camera import SIZE_PX, Camera, rotation
from senet_kp.data_prep.sample_faces.head import Head, grid_angles_deg
from senet_kp.data_prep.sample_faces.landmarks import contour_on_view, landmarks_3d
from senet_kp.data_prep.sample_faces.render import CANVAS_PX, Light, Model, draw
from senet_kp.data_prep.sample_faces.texture import FacePaint
from senet_kp.data_prep.sample_faces.traits import Expression, random_look, random_shape

# How people are rendered before they are put into the frame: at this scale head and shoulders are
# on the renderer's square canvas, with the head's origin at this place.
RENDERED_PX_PER_CM, ORIGIN_PX = 9.0, np.array((SIZE_PX / 2, 140.0))
_NOTHING = np.zeros((CANVAS_PX, CANVAS_PX, 3), np.float32)


@dataclass(frozen=True)
class Layer:
    """Something in front of a background; points and pictures are those of one canvas or frame."""

    linear: np.ndarray  # [H, W, 3] float32, linear RGB, 0 where nothing is
    coverage: np.ndarray  # [H, W] float32, 0 on the background .. 1
    landmarks: np.ndarray  # [N, 2] pixels; N is 0 for a thing


class Actor:
    """A person with a face that moves. Hair and clothes keep their form, and the skin its grain."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self._shape, look = random_shape(rng), random_look(rng)
        self._look = replace(look, glasses=look.glasses.replace("sun", ""))  # the eyes are seen
        head = Head(self._shape)
        self._rest = [
            *body.ears(head, self._look),
            *body.hair(head, self._look, rng),
            *body.torso(head, self._look, rng),
            *props.glasses(head, self._look, rng),
        ]
        self._skin_seed = rng.integers(1 << 32)

    def rendered(self, pose: Motion, light: Light) -> Layer:
        """The person on the renderer's canvas, at RENDERED_PX_PER_CM."""
        head = Head(self._shape, _expression(pose))
        camera = Camera(
            pose.pitch_deg,
            pose.yaw_deg,
            pose.roll_deg,
            RENDERED_PX_PER_CM,
            (ORIGIN_PX[0] + 1, SIZE_PX - ORIGIN_PX[1]),
        )
        turned = rotation(0.3 * pose.pitch_deg, 0.55 * pose.yaw_deg, 0.35 * pose.roll_deg)
        model = Model([self._skin(head), *self._rest])
        linear, coverage = draw(model, camera, turned, body.PIVOT, light, _NOTHING)
        contour = contour_on_view(head, landmarks_3d(head), camera.rotation)
        return Layer(linear, coverage, camera.project(contour))

    def _skin(self, head: Head):
        rng = np.random.default_rng(self._skin_seed)  # the same random numbers in every frame
        skin = FacePaint(head, self._look, rng).surface()
        body.paint_scalp(skin, self._look, grid_angles_deg(skin.positions.shape[1]), rng)
        return skin


def _expression(pose: Motion) -> Expression:
    return Expression(
        mouth_open=pose.mouth_open,
        jaw_drop=0.75 * pose.mouth_open,
        smile=pose.smile,
        eyes_open=pose.eyes_open,
        brow_raise=pose.brow_raise,
    )


def placed(layer: Layer, pose: Motion, size_px: tuple[int, int]) -> Layer:
    """A person from the renderer's canvas in a frame of size_px (width, height), at its place.

    The clothes at the lower edge of the canvas go on below it.
    """
    scale = pose.px_per_cm / RENDERED_PX_PER_CM
    shift = (pose.x_px, pose.y_px) - scale * ORIGIN_PX
    matrix = np.column_stack([scale * np.eye(2), shift])

    def warped(picture):
        longer = cv2.copyMakeBorder(picture, 0, 2 * SIZE_PX, 0, 0, cv2.BORDER_REPLICATE)
        return cv2.warpAffine(longer, matrix, size_px, flags=cv2.INTER_LINEAR)

    landmarks = scale * layer.landmarks + shift
    return Layer(warped(layer.linear), warped(layer.coverage), landmarks)
