"""The texture of the face: skin, brows, eyes, lips and teeth, on the grid of the head surface."""

import cv2
import numpy as np

from senet_kp.data_prep.sample_faces.head import Head, grid_angles_deg
from senet_kp.data_prep.sample_faces.surface import Surface, bell, noise, smoothstep
from senet_kp.data_prep.sample_faces.traits import Look

_TEETH = np.array((0.70, 0.64, 0.54))
_SCLERA = np.array((0.60, 0.55, 0.52))
_THROAT = np.array((0.035, 0.008, 0.008))
_TONGUE = np.array((0.30, 0.09, 0.08))
IRIS_RADIUS = 0.60  # cm
_TOOTH_WIDTH = 0.78


class FacePaint:
    """Texture layers on the front of a head; `surface()` applies them and returns the result."""

    def __init__(self, head: Head, look: Look, rng):
        self.head, self.look, self.rng = head, look, rng
        self.positions = head.grid()
        front = np.abs(grid_angles_deg(self.positions.shape[1])) <= 90
        rows = self.positions[:, 0, 1] < 7.5
        self.window = np.ix_(rows, front)
        self.x, self.y, self.z = (
            np.ascontiguousarray(self.positions[self.window][..., i]) for i in range(3)
        )
        self.a = np.abs(self.x)
        shape = self.positions.shape[:2]
        self.albedo = np.empty((*shape, 3), np.float32)
        mottle = 0.05 * noise(rng, shape, (18, 22)) + 0.035 * noise(rng, shape, (75, 90))
        self.albedo[:] = look.skin * (1 + mottle[..., None] * (0.6, 1.0, 1.0))
        self.gloss = np.full(shape, 0.3, np.float32)
        self.colour = self.albedo[self.window]
        self.shine = self.gloss[self.window]
        self.bump = np.zeros_like(self.x)  # cm, along the normal
        width = np.maximum(head.half_width(self.y), 0.01)
        self.fade = smoothstep(1 - self.a / width, 0, 0.12) * smoothstep(7.3 - self.y, 0, 1.2)

    def surface(self) -> Surface:
        """Return the skin with all layers, and with their fine relief added to the positions."""
        self._skin()
        self._beard()
        self._folds()
        self._nostrils()
        self._cavities()
        self._lips()
        self._mouth()
        self._brows()
        self._eyes()
        self.albedo[self.window], self.gloss[self.window] = self.colour, self.shine
        surface = Surface(self.positions, self.albedo, self.gloss, step=4)
        self.positions[self.window] += self.bump[..., None] * surface.normals()[self.window]
        return surface

    # ---- helpers

    def _lay(self, mask, colour, shine=None):
        """Blend a colour ([3] or [h, w, 3]) over the texture where mask is 1."""
        mask = mask.astype(np.float32)
        self.colour += mask[..., None] * (np.asarray(colour, np.float32) - self.colour)
        if shine is not None:
            self.shine += mask * (shine - self.shine)

    def _tint(self, mask, factor):
        self.colour *= 1 + mask.astype(np.float32)[..., None] * (np.float32(factor) - 1)

    def _noise(self, rows, columns):
        return noise(self.rng, self.x.shape, (rows, columns))

    def _strands(self, along, across):
        """Return noise stretched into hairs; `along` and `across` are in hair widths."""
        table = self.rng.normal(size=(256, 256)).astype(np.float32)
        return cv2.remap(
            table,
            np.float32(along),
            np.float32(across),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )

    # ---- layers

    def _skin(self):
        a, y, look = self.a, self.y, self.look
        eye_x, eye_y = self.head.eye_centre
        blush = bell(a - 4.2, 1.3) * bell(y + 3.6, 1.2) + bell(a, 0.9) * bell(y + 3.9, 0.8)
        self._tint(blush * (0.8 + 0.6 * look.make_up), (1.08, 0.87, 0.86))
        self._tint(bell(a - eye_x + 0.4, 1.1) * bell(y - eye_y + 0.75, 0.4), (0.84, 0.76, 0.78))
        self._tint(
            bell(a - eye_x, 1.4) * bell(y - eye_y - 0.7, 0.5) * (0.3 + 0.7 * look.make_up),
            (0.78, 0.66, 0.66),
        )
        spots = smoothstep(self._noise(110, 110), 1.5, 2.2) * bell(y + 2.5, 2.0)
        self._tint(0.8 * look.freckles * spots, (0.7, 0.55, 0.45))
        self.shine += 0.12 * (bell(a, 1.0) * bell(y + 2.5, 1.8) + bell(a, 3.0) * bell(y - 4, 1.2))
        self.shine += 0.05 * self._noise(50, 50)
        self.bump += 0.004 * self._noise(150, 150) * (0.6 + 0.6 * look.age) * self.fade

    def _beard(self):
        if not self.look.stubble:
            return
        head, a, y = self.head, self.a, self.y
        mouth_y = head.mouth_middle_y
        cheek_line = (
            head.shape.nose_base_y - 0.3 - 1.1 * bell(a - 3.0, 1.3) + 0.55 * (a - 3).clip(0)
        )
        area = smoothstep(cheek_line - y, -0.1, 1.2) * smoothstep(head.half_width(y) - a, -0.6, 0.2)
        area *= 1 - 0.6 * bell(a - 2.2, 0.5) * bell(y - mouth_y + 1.5, 0.4)
        grain = 0.75 + 0.4 * self._strands(self.x * 16, y * 9)
        amount = np.clip(area * self.look.stubble * grain, 0, 0.9)
        self._lay(amount * 0.85, self.look.hair * 0.8 + 0.1 * self.look.skin, 0.1)
        self.bump += 0.02 * amount * self._noise(150, 150)

    def _folds(self):
        head, a, y, look = self.head, self.a, self.y, self.look
        smile = max(0.0, head.expression.smile)
        fold = np.exp(-head.fold_distance(a, y) / 0.22)
        self.bump -= (0.03 + 0.07 * look.age + 0.09 * smile) * fold
        self._tint(fold * (0.15 + 0.25 * look.age + 0.2 * smile), (0.86, 0.74, 0.72))
        lines = np.sin(6.3 * y + 1.2 * self._noise(3, 6)) ** 8 * bell(a, 3.4) * bell(y - 4.3, 0.9)
        raised = 0.3 + max(0.0, head.expression.brow_raise)
        self.bump -= 0.05 * look.age * raised * lines
        eye_x, eye_y = head.shape.eye_outer_x, head.shape.eye_outer_y
        turn = np.arctan2(y - eye_y, a - eye_x - 0.1)
        reach = np.hypot(y - eye_y, a - eye_x)
        feet = np.cos(9 * turn) ** 6 * bell(reach - 0.9, 0.35) * bell(turn, 0.6)
        self.bump -= 0.05 * look.age * (0.3 + smile) * feet

    def _lips(self):
        (upper_outer, upper_inner, lower_inner, lower_outer), u = self.head.mouth(self.a)
        soft = 0.09
        upper = smoothstep(upper_outer - self.y, -soft, soft) * (self.y >= upper_inner)
        lower = smoothstep(self.y - lower_outer, -soft, soft) * (self.y <= lower_inner)
        mask = (upper + lower).clip(0, 1) * (1 - smoothstep(u, 0.97, 1.02))
        lines = self._strands(self.x * 11, self.y * 1.2)
        tone = self.look.lips * np.where(self.y >= upper_inner, 0.86, 1.05)[..., None]
        self._lay(0.85 * mask, tone * (1 + 0.05 * lines[..., None]), 0.42 + 0.2 * self.look.make_up)
        self.bump += 0.012 * mask * lines
        seam = np.minimum(np.abs(self.y - upper_inner), np.abs(self.y - lower_inner))
        self._tint(bell(seam, 0.07) * (1 - smoothstep(u, 0.98, 1.06)), (0.4, 0.28, 0.28))

    def _mouth(self):
        (_, upper_inner, lower_inner, _), u = self.head.mouth(self.a)
        x, y = self.x, self.y
        inside = (u < 0.88) & (y < upper_inner) & (y > lower_inner)
        if not inside.any():
            return
        depth_in = np.maximum(upper_inner - y, 0)
        self._lay(inside, _THROAT, 0.1)
        tongue = inside * smoothstep(lower_inner + 0.75 - y, 0, 0.3) * bell(x, 1.1)
        self._lay(0.7 * tongue, _TONGUE, 0.5)
        wobble = 0.06 * np.cos(2 * np.pi * x / _TOOTH_WIDTH)
        edge = 0.62 + wobble - 0.05 * self.a
        teeth = inside * smoothstep(edge - depth_in, -0.03, 0.06)
        gaps = 1 - 0.55 * bell((x / _TOOTH_WIDTH + 0.5) % 1 - 0.5, 0.045)
        shade = gaps * (0.5 + 0.5 * smoothstep(depth_in, -0.05, 0.25)) * (1 - 0.6 * u**2)
        self._lay(teeth, _TEETH * shade[..., None], 0.6)

    def _nostrils(self):
        shape = self.head.shape
        x, y = self.a - 0.42 * shape.nose_half_width, self.y - shape.nose_base_y - 0.22
        hole = 1 - smoothstep(np.hypot((x - 0.15 * y) / 0.36, y / 0.19), 0.45, 1.15)
        self._tint(hole, (0.09, 0.05, 0.05))
        crease_x, crease_y = shape.nose_half_width - 0.5, shape.nose_base_y + 0.62
        ring = np.hypot(self.a - crease_x, self.y - crease_y) - 0.68
        self._tint(0.5 * bell(ring, 0.1) * (self.a > crease_x), (0.6, 0.45, 0.45))

    def _brows(self):
        ridge, along = self.head.brow(self.a)
        shape, t = self.head.shape, np.clip(along, 0, 1)
        thick = shape.brow_thickness * (1 - 0.65 * smoothstep(t, 0.45, 1.05))
        across = (self.y - ridge + 0.55 * thick) / thick
        ends = smoothstep(along, -0.06, 0.12) * (1 - smoothstep(along, 0.88, 1.06))
        slant = self.a * (0.9 - 1.3 * t) + across * (0.5 - 0.5 * t)
        hairs = self._strands(14 * (self.a * 0.35 - 0.7 * across * (1 - t)), 16 * slant)
        body = ends * (1 - smoothstep(np.abs(across) + 0.18 * hairs, 0.45, 1.1))
        density = 0.62 + 0.2 * self.look.make_up + 0.22 * hairs
        dark = self.look.hair * 0.6 + 0.08 * self.look.skin
        self._lay(np.clip(body * density, 0, 0.95), dark, 0.12)
        self.bump += 0.03 * body * hairs.clip(-1, 1)

    def _eyes(self):
        head, look, a, y = self.head, self.look, self.a, self.y
        upper, lower, along = head.lids(a)
        outside = head.outside_eye(a, y)
        within = 1 - smoothstep(outside, -0.05, 0.02)
        centre_x, centre_y = head.eye_centre
        sign = np.where(self.x > 0, 1, -1)  # both irises look in the same direction
        dx = a - centre_x - sign * head.expression.gaze_x + 0.04
        dy = y - centre_y - head.expression.gaze_y
        radius = np.hypot(dx, dy)
        veins = 1 + 0.05 * self._noise(60, 60)[..., None]
        corner = bell(along, 0.09)[..., None] * (0.15, -0.025, -0.015)
        white = _SCLERA * veins + corner
        white = white * (1 - 0.3 * np.abs(along - 0.5)[..., None].clip(0, 1))
        rays = 1 + 0.3 * self._strands(40 * np.arctan2(dy, dx) / np.pi, radius * 4)
        ring = 1 - 0.75 * smoothstep(radius / IRIS_RADIUS, 0.72, 1.0)
        lighter = 1 + 0.8 * bell(radius - 0.3, 0.12) * (dy < 0.1)
        iris = look.iris * (rays * ring * lighter)[..., None]
        self._lay(within, white, 0.85)
        self._lay(
            within * (1 - smoothstep(radius, IRIS_RADIUS - 0.06, IRIS_RADIUS + 0.05)), iris, 1.0
        )
        self._lay(within * (1 - smoothstep(radius, 0.2, 0.28)), (0.004, 0.004, 0.004), 1.0)
        self._tint(within * smoothstep(y - upper, -0.42, 0.0), (0.42, 0.40, 0.40))
        self.bump += 0.10 * within * np.sqrt(np.clip(1 - (radius / 0.75) ** 2, 0, 1))
        self._lashes(upper, lower, along)

    def _lashes(self, upper, lower, along):
        look, y = self.look, self.y
        on_eye = smoothstep(along, -0.03, 0.1) * (1 - smoothstep(along, 1.02, 1.12))
        comb = 0.75 + 0.25 * self._strands(13 * self.x, 2 * y)
        heavy = 0.075 + 0.04 * look.make_up
        line = bell(y - upper - 0.03, heavy) * on_eye * (0.5 + 0.5 * smoothstep(along, 0, 0.5))
        under = bell(y - lower + 0.02, 0.05) * on_eye * smoothstep(along, 0.2, 0.8)
        lash = look.hair * 0.3
        self._lay(np.clip(line * comb * 1.1, 0, 0.95), lash, 0.1)
        self._lay(np.clip(under * comb * (0.4 + 0.4 * look.make_up), 0, 0.8), lash, 0.2)
        fold = bell(y - upper - self.head.shape.lid_crease, 0.07) * on_eye
        self._tint(0.55 * fold, (0.6, 0.48, 0.46))

    def _cavities(self):
        """Darken points whose surroundings are higher (ambient occlusion of the relief)."""
        for sigma, strength in ((6, 1.1), (18, 0.55)):
            rise = cv2.GaussianBlur(self.z, (0, 0), sigma) - self.z
            self._tint(np.clip(strength * rise, 0, 0.75) * self.fade, (0.35, 0.22, 0.2))
