"""Views of a photo with the head turned: one rasterisation and one look-up of the photo's pixels.

The head is a mesh. Everything else, the hair outside the skull, ears, neck and surroundings, is a
layer behind it that is shifted along rays from the middle of the head, so that what is next to the
outline of the head in the photo is next to it in the view.
"""

import cv2
import numpy as np

from senet_kp.data_prep.profile_views.head_fit import HeadFit, fit_head
from senet_kp.data_prep.profile_views.photo import MARGIN_PX, Photo
from senet_kp.data_prep.profile_views.surface import FACES, Correction, HeadSurface, head_surface
from senet_kp.data_prep.sample_faces.camera import SIZE_PX, Camera, framed
from senet_kp.data_prep.sample_faces.identity import View
from senet_kp.data_prep.sample_faces.landmarks import on_contour
from senet_kp.data_prep.sample_faces.rasterise import rasterise

_MIDDLE_CM = np.array((0.0, -1.5, -1.0))  # inside the head in every view
_RAYS = 360
_BACK_CM, _FRONT_CM = 2.0, 5.0  # of the layer behind the head that a turn of 90 degrees covers


class TurnedHead:
    """The head of one photo, ready to be seen in other poses."""

    def __init__(self, photo: Photo, fit: HeadFit):
        self.photo, self.fit = photo, fit
        correction = Correction(fit, photo.landmarks)
        self.points = correction.apply(fit.points)
        self.arcs = correction.apply(fit.arcs)
        self.surface: HeadSurface = head_surface(fit, correction)
        self.outline_px = _outline(self.surface.vertices, fit.camera)

    def original(self) -> View:
        """Return the photo itself; its jaw points are those of the labels."""
        covered = np.ones((SIZE_PX, SIZE_PX), np.float32)
        points = self.fit.camera.project(self.points)
        return View(self.photo.view, covered, self.fit.camera, self.photo.landmarks, points)

    def turned_to(self, yaw_deg: float) -> View:
        """Return the view with that yaw, and the photo's pitch and roll."""
        camera = self._camera(yaw_deg)
        seen = on_contour(self.points, self.arcs, camera.rotation)
        image, cover = self._picture(camera)
        return View(image, cover, camera, camera.project(seen), camera.project(self.points))

    def _camera(self, yaw_deg):
        """Return a camera of the photo's scale that shows the landmarks in the middle."""
        own = self.fit.camera
        camera = Camera(own.pitch_deg, yaw_deg, own.roll_deg, own.scale_px_per_cm)
        both = np.concatenate([self.points, on_contour(self.points, self.arcs, camera.rotation)])
        flat = camera.project(both)
        return framed(camera, both, np.ptp(flat, axis=0).max(), (SIZE_PX / 2, SIZE_PX / 2))

    def _picture(self, camera):
        """Return the picture [SIZE_PX, SIZE_PX, 3] uint8, and the head's share of each pixel."""
        surface, vertices = self.surface, self.surface.vertices
        depth = vertices @ camera.rotation[2]
        screen = np.column_stack([camera.project(vertices), depth]).astype(np.float32)
        seen = rasterise(screen, FACES, SIZE_PX)
        values = np.column_stack([surface.own, surface.mirrored, surface.share]).astype(np.float32)
        values = np.einsum("pcv,pc->vp", values[FACES[seen.triangles]], seen.weights)
        maps = np.zeros((5, SIZE_PX * SIZE_PX), np.float32)
        maps[:, seen.pixels] = values
        own_x, own_y, other_x, other_y, share = maps.reshape(5, SIZE_PX, SIZE_PX)
        cover = np.zeros(SIZE_PX * SIZE_PX, np.float32)
        cover[seen.pixels] = 1
        cover = _softened(cover.reshape(SIZE_PX, SIZE_PX))
        head = _mixed(self._look_up(other_x, other_y), self._look_up(own_x, own_y), share)
        behind = self._look_up(*self._surroundings(camera))
        return _mixed(head, behind, cover).round().astype(np.uint8), cover

    def _look_up(self, x, y):
        """Return the photo's pixels at x and y, pixels of its view."""
        offset = np.float32(MARGIN_PX)
        return cv2.remap(
            self.photo.canvas, x + offset, y + offset, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT
        )

    def _surroundings(self, camera):
        """Return x and y [SIZE_PX, SIZE_PX] in the photo of the layer behind the head."""
        own = self.fit.camera
        start, middle = own.project(_MIDDLE_CM), camera.project(_MIDDLE_CM)
        shift = self.outline_px - _outline(self.surface.vertices, camera)
        shift = shift + self._covered_cm(camera.yaw_deg) * own.scale_px_per_cm
        y, x = np.mgrid[:SIZE_PX, :SIZE_PX].astype(np.float32)
        x, y = x - np.float32(middle[0]), y - np.float32(middle[1])
        away, angle = cv2.cartToPolar(x, y, angleInDegrees=True)
        further = 1 + _at(shift, angle) / np.maximum(away, 1)
        return x * further + np.float32(start[0]), y * further + np.float32(start[1])

    def _covered_cm(self, yaw_deg):
        """Return how much of the layer outside the outline [_RAYS] the turned head covers."""
        turn = (yaw_deg - self.fit.camera.yaw_deg) / 90
        sideways = -np.cos(np.deg2rad(np.arange(_RAYS))) * turn  # above 0 where the face turns to
        return np.where(sideways > 0, _FRONT_CM, -_BACK_CM) * sideways


def _outline(vertices, camera):
    """Return the distance of the head's outline from its middle in pixels, for 360 directions.

    Direction 0 is to the right in the picture, 90 is down.
    """
    x, y = (camera.project(vertices) - camera.project(_MIDDLE_CM)).T
    ray = np.round(np.rad2deg(np.arctan2(y, x))).astype(int) % _RAYS
    reach = np.zeros(_RAYS)
    np.maximum.at(reach, ray, np.hypot(x, y))
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 4) ** 2)
    around = np.concatenate([reach[-12:], reach, reach[:12]])
    return np.convolve(around, kernel / kernel.sum(), "valid")


def _at(table, angle):
    """Return the values of a table of directions at the angles [H, W] in degrees."""
    table = np.float32(np.append(table, table[:1]))[None]
    return cv2.remap(table, angle, np.zeros_like(angle), cv2.INTER_LINEAR)


def _softened(cover):
    """Return the cover [H, W] with a gradual edge that lies inside."""
    return np.clip(2 * cv2.GaussianBlur(cover, (0, 0), 1.0) - 1, 0, 1) * cover


def _mixed(first, second, share):
    """Return the weighted mean of two pictures; share [H, W] is that of the first."""
    return second + (first - second.astype(np.float32)) * share[..., None]


def turned_head(photo: Photo) -> TurnedHead | None:
    """Return the head of a photo; None if the pose of its landmarks cannot be estimated."""
    fit = fit_head(photo.landmarks)
    return fit and TurnedHead(photo, fit)
