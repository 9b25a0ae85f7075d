"""Pose and projection with the sign conventions of 300W-LP.

The camera is a weak perspective: picture = scale * (first two rows of R) @ point + shift, with y
up and the origin such that x_matlab = x and y_matlab = height + 1 - y. R = Rx(pitch) Ry(yaw)
Rz(roll). A negative yaw turns the face to the right of the picture (as in IBUG_image_008_1_0 of the
archive, yaw -0.768), a positive pitch lifts the chin, and a positive roll turns the head clockwise
in the picture.
"""

from dataclasses import dataclass

import numpy as np

SIZE_PX = 450
MICROMETRES_PER_CM = 1e4  # the face model of 300W-LP, and so its scale, is in micrometres


@dataclass(frozen=True)
class Camera:
    """One view of a head."""

    pitch_deg: float
    yaw_deg: float
    roll_deg: float
    scale_px_per_cm: float = 1.0
    shift_px: tuple[float, float] = (0.0, 0.0)  # (x, y) of the head's origin, y up, 1-based

    @property
    def rotation(self):
        """The rotation matrix R [3, 3]."""
        return rotation(self.pitch_deg, self.yaw_deg, self.roll_deg)

    def project(self, points):
        """Project points [..., 3] in cm to pixels [..., 2]; the first pixel's centre is (0, 0)."""
        x, y = np.moveaxis(points @ self.rotation.T, -1, 0)[:2]
        x_matlab = self.scale_px_per_cm * x + self.shift_px[0]
        y_matlab = SIZE_PX + 1 - (self.scale_px_per_cm * y + self.shift_px[1])
        return np.stack([x_matlab - 1, y_matlab - 1], axis=-1)

    def pose_para(self):
        """Return `Pose_Para` of 300W-LP, [1, 7] float32: pitch, yaw, roll, shift x, y, z, scale."""
        angles = np.deg2rad((self.pitch_deg, self.yaw_deg, self.roll_deg))
        scale = self.scale_px_per_cm / MICROMETRES_PER_CM
        return np.array([[*angles, *self.shift_px, 0.0, scale]], np.float32)


def rotation(pitch_deg: float, yaw_deg: float, roll_deg: float):
    """Return R = Rx Ry Rz [3, 3]; each factor turns by the negative of the usual angle."""
    (sx, cx), (sy, cy), (sz, cz) = (
        (np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle)))
        for angle in (pitch_deg, yaw_deg, roll_deg)
    )
    turn_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    turn_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    turn_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return turn_x @ turn_y @ turn_z


def framed(camera: Camera, points, size_px: float, centre_px) -> Camera:
    """Return the view scaled and shifted so that `points` [N, 3] fill a box of `size_px`.

    The longer edge of their bounding box in the picture is `size_px`, its centre `centre_px`.
    """
    flat = Camera(camera.pitch_deg, camera.yaw_deg, camera.roll_deg).project(points)
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = size_px / (high - low).max()
    middle = (low + high) / 2 - (-1, SIZE_PX)  # of the bounding box, from the head's origin
    x, y = np.asarray(centre_px) - scale * middle
    return Camera(camera.pitch_deg, camera.yaw_deg, camera.roll_deg, scale, (x + 1, SIZE_PX - y))
