"""The shape of a head: horizontal sections, with the face as a relief on their front half.

At every height y the section consists of two half ellipses that meet at the widest points
(+-w, z_edge). Below the ears, the line of widest points is the edge of the jaw: it is the outline
of the face seen from the front, and the jaw landmarks lie on it. On the front half, z is a function
of (x, y) to which nose, eye sockets, lids and lips are added. Landmarks and texture are computed
from the same functions as the shape, so that the three agree exactly.
"""

from dataclasses import dataclass, field

import numpy as np

from senet_kp.data_prep.sample_faces.surface import bell, smoothstep
from senet_kp.data_prep.sample_faces.traits import Expression, Shape

OUTLINE_TOP_Y = -0.45  # the height where the face is widest and the jaw landmarks begin
EYEBALL_RADIUS = 1.5  # larger than a real one, so that the sphere reaches the corners of the lids
CROWN_Z = -0.6


@dataclass(frozen=True)
class Head:
    """One identity with one expression. Coordinates and lengths are in cm and broadcast."""

    shape: Shape = field(default_factory=Shape)
    expression: Expression = field(default_factory=Expression)

    @property
    def chin_y(self):
        return self.shape.chin_y - self.expression.jaw_drop

    # ---- sections

    def half_width(self, y):
        """Return half the width of the head seen from the front at height y."""
        shape = self.shape
        below = np.clip((OUTLINE_TOP_Y - y) / (OUTLINE_TOP_Y - self.chin_y), 0, 1)
        above = np.clip((y - OUTLINE_TOP_Y) / (shape.crown_y - OUTLINE_TOP_Y), 0, 1)
        jaw = (1 - below**shape.jaw_exponent) ** (1 / shape.jaw_exponent)
        skull = (1 - above**2.5) ** (1 / 2.1) * (1 + 0.1 * above * (1 - above))
        return shape.face_half_width * np.where(y < OUTLINE_TOP_Y, jaw, skull)

    def edge_z(self, y):
        """Return z of the widest points: the plane of the ears above, the edge of the jaw below."""
        narrow = 1 - (self.half_width(y) / self.shape.face_half_width) ** 1.4
        jaw = self.shape.chin_depth * narrow
        return np.where(y < OUTLINE_TOP_Y, jaw, CROWN_Z * (1 - self._dome(y)))

    def front_z(self, y):
        """Return z of the midline without nose and lips."""
        shape = self.shape
        top = CROWN_Z + (shape.forehead_z - CROWN_Z) * self._dome(y)
        down = np.clip(-y / -self.chin_y, 0, 1)
        mouth = shape.forehead_z + 0.25 * np.sin(np.pi * down)
        end = float(self.edge_z(self.chin_y))
        round_off = (1 - np.clip((down - 0.82) / 0.18, 0, 1) ** 2.6) ** (1 / 2.2)
        return np.where(y > 0, top, end + (mouth - end) * round_off)

    def back_z(self, y):
        """Return z of the back of the head, and below it of the underside of the jaw."""
        narrow = self.half_width(y) / self.shape.face_half_width
        return np.where(y > 0, CROWN_Z - 8.9 * self._dome(y), self.edge_z(y) - 9.5 * narrow**1.2)

    def section(self, angle_deg, y):
        """Return points [..., 3] of the smooth head; 0 is the front, 90 right in the picture."""
        angle = np.deg2rad(angle_deg)
        width, edge = self.half_width(y), self.edge_z(y)
        depth = np.where(np.abs(angle_deg) <= 90, self.front_z(y), 2 * edge - self.back_z(y)) - edge
        return np.stack(
            [width * np.sin(angle), y + 0 * angle, edge + depth * np.cos(angle)], axis=-1
        )

    def _dome(self, y):
        rise = np.clip(y / self.shape.crown_y, 0, 1)
        return (1 - rise**2.4) ** (1 / 2.1)

    # ---- curves of the features as functions of a = |x|, since the face is symmetric

    def brow(self, a):
        """Return y of the ridge of the brow, and the position along it: 0 inner .. 1 outer end."""
        shape, raised = self.shape, self.expression.brow_raise
        along = (a - shape.brow_inner_x) / (shape.brow_outer_x - shape.brow_inner_x)
        t = np.clip(along, 0, 1)
        ends = shape.brow_inner_y * (1 - t) + shape.brow_outer_y * t
        y = ends + shape.brow_arch * 4 * t * (1 - t) * (1 + 0.9 * (t - 0.5))
        return y + raised * (1.2 - 0.4 * t), along

    def lids(self, a):
        """Return y of the margins of upper and lower lid, and the position along the eye, 0..1.

        Position 0 is the inner corner, 1 the outer one.
        """
        shape, expression = self.shape, self.expression
        along = (a - shape.eye_inner_x) / (shape.eye_outer_x - shape.eye_inner_x)
        t = np.clip(along, 0, 1)
        line = shape.eye_inner_y * (1 - t) + shape.eye_outer_y * t
        lower = line - shape.lower_lid * (4 * t * (1 - t)) ** 0.85 * (0.8 + 0.4 * t)
        lower += 0.1 * max(expression.smile, 0.0) * 4 * t * (1 - t)
        arch = (4 * t * (1 - t)) ** 0.7 * (1.1 - 0.2 * t)
        upper = lower + (line + shape.upper_lid * arch - lower) * expression.eyes_open
        return upper, lower, along

    def mouth(self, a):
        """Return y of the four edges of the lips from the top down, and the position along them.

        Position 0 is the middle, 1 the corner of the mouth.
        """
        shape, expression = self.shape, self.expression
        half = shape.mouth_half_width + 0.45 * expression.smile - 0.12 * expression.mouth_open
        u = np.clip(a / half, 0, 1)
        smile, gap = expression.smile, expression.mouth_open
        corner = shape.mouth_y + 0.08 + 0.35 * smile - 0.3 * gap
        line = corner - (0.28 * smile + 0.04 - 0.42 * gap) * (1 - u**2)
        lower_inner = line - gap * np.sqrt(np.clip(1 - (u / 0.88) ** 2, 0, 1))
        thin = 1 - 0.2 * max(smile, 0.0) - 0.05 * gap
        bow = shape.upper_lip * (1 - u**1.9) - shape.cupid_dip * bell(u, 0.14) * (1 - u)
        upper_outer = line + thin * bow
        lower_outer = np.minimum(lower_inner, line - 0.9 * gap * (1 - u**2.4))
        lower_outer = lower_outer - thin * shape.lower_lip * (1 - u**2.3)
        return (upper_outer, line, lower_inner, lower_outer), a / half

    @property
    def mouth_middle_y(self):
        """y of the lower edge of the upper lip in the middle."""
        return float(self.mouth(0.0)[0][1])

    @property
    def lower_lip_y(self):
        """y of the lower edge of the lower lip in the middle."""
        return float(self.mouth(0.0)[0][3])

    def outside_eye(self, a, y):
        """Return the distance from the opening between the lids, at most 0 inside it."""
        upper, lower, along = self.lids(a)
        length = self.shape.eye_outer_x - self.shape.eye_inner_x
        beyond = np.maximum(np.abs(along - 0.5) - 0.5, 0) * length
        vertical = np.maximum(y - upper, lower - y)
        return np.where(beyond > 0, np.hypot(beyond, np.maximum(vertical, 0)) + 1e-3, vertical)

    @property
    def eye_centre(self):
        """x (of the eye on the right in the picture) and y of the centre of the eyeball."""
        shape = self.shape
        return (
            (shape.eye_inner_x + shape.eye_outer_x) / 2,
            (shape.eye_inner_y + shape.eye_outer_y) / 2 + 0.12,
        )

    # ---- relief

    def smooth_z(self, x, y):
        """Return z of the front half without any facial feature."""
        width, edge = np.maximum(self.half_width(y), 1e-3), self.edge_z(y)
        inside = np.clip(1 - (x / width) ** 2, 0, 1)
        return edge + (self.front_z(y) - edge) * np.sqrt(inside)

    def front_surface_z(self, x, y):
        """Return z of the face at (x, y), anywhere inside its outline."""
        a, y = np.broadcast_arrays(np.abs(x), y)
        smooth = self.smooth_z(a, y)
        z = smooth + self._bones(a, y) + self._nose(a, y) + self._mouth_relief(a, y)
        return self._with_eyes(a, y, z)

    def _bones(self, a, y):
        """Return the relief of sockets, brow ridge, cheeks and chin; it is 0 at the outline."""
        shape, smile = self.shape, max(self.expression.smile, 0.0)
        eye_x, eye_y = self.eye_centre
        brow_y, along = self.brow(a)
        ends = smoothstep(along, -0.25, 0.2) * (1 - smoothstep(along, 0.7, 1.15))
        relief = -0.75 * bell(a - eye_x + 0.4, 1.25) * bell(y - eye_y - 0.1, 0.95)
        relief += shape.brow_ridge * ends * bell(y - brow_y + 0.15, 0.6)
        relief += (shape.cheekbone + 0.25 * smile) * bell(a - 4.3, 1.5) * bell(y + 2.9, 1.3)
        relief -= shape.cheek_hollow * bell(a - 4.6, 1.2) * bell(y + 6.4, 1.7)
        relief += shape.chin_ball * bell(a, 1.5) * bell(y - self.chin_y - 1.15, 0.8)
        relief -= 0.35 * bell(a, 1.9) * bell(y - self.lower_lip_y + 0.75, 0.45)
        relief -= 0.4 * bell(a, 1.0) * bell(y - 0.1, 0.8)  # the root of the nose
        relief -= 0.3 * bell(a - 6.3, 0.9) * bell(y - 2.2, 1.6)  # temples
        return relief * smoothstep(1 - a / np.maximum(self.half_width(y), 1e-3), 0, 0.12)

    def fold_distance(self, a, y):
        """Return the distance from the nasolabial fold (between nose wing and mouth corner)."""
        shape = self.shape
        top, end = shape.nose_base_y + 0.9, self.mouth_middle_y - 0.3
        t = np.clip((top - y) / (top - end), 0, 1)
        x = shape.nose_half_width + 0.3 + (shape.mouth_half_width - 1.0) * t**0.9
        return np.hypot((a - x) * 0.8, np.maximum(y - top, 0) + np.maximum(end - y, 0))

    def _nose(self, a, y):
        shape = self.shape
        root, tip, base = 1.3, shape.nose_tip_y, shape.nose_base_y
        down = np.clip((root - y) / (root - tip), 0, 1)
        ridge = shape.nose_bridge * smoothstep(down, 0, 0.45)
        ridge = ridge + (shape.nose_height - shape.nose_bridge) * down**2.1
        under = np.clip((tip - y) / (tip - base), 0, 1)
        ridge = ridge * (1 - under**2.4)
        width = 0.72 + 0.2 * down + (shape.nose_tip_width - 0.55) * bell(y - tip, 0.7)
        middle = ridge * np.exp(-((a / (1.35 * width)) ** 2.2))
        middle = middle + 0.18 * bell(a, 0.55) * bell(y - tip + 0.05, 0.5)
        wing_x, wing_y = shape.nose_half_width - 0.5, base + 0.62
        reach = ((a - wing_x) / 0.66) ** 2 + ((y - wing_y) / 0.66) ** 2
        wing = 1.25 * np.clip(1 - reach, 0, 1) ** 0.6
        nose = (middle**3 + wing**3) ** (1 / 3)
        return nose - 0.25 * bell(a - 0.62, 0.24) * bell(y - base - 0.25, 0.16)

    def _mouth_relief(self, a, y):
        edges, u = self.mouth(a)
        upper_outer, upper_inner, lower_inner, lower_outer = edges
        middle_y = (upper_inner + lower_inner) / 2
        relief = 0.5 * bell(a, 2.3) * bell(y - middle_y, 1.7)
        relief -= (
            0.12
            * bell(a, 0.22)
            * smoothstep(y, upper_outer, upper_outer + 0.4)
            * (1 - smoothstep(y, self.shape.nose_base_y - 0.5, self.shape.nose_base_y))
        )
        taper = np.clip(1 - np.minimum(u, 1) ** 2, 0, 1) ** 0.6
        for inner, outer, height in (
            (upper_inner, upper_outer, 0.34),
            (lower_inner, lower_outer, 0.46),
        ):
            q = np.clip(
                (y - inner)
                / np.where(outer > inner, 1, -1)
                / np.maximum(np.abs(outer - inner), 0.05),
                0,
                1,
            )
            relief += height * taper * (4 * q * (1 - q)) ** 0.7 * (u < 1)
        inside = (u < 0.88) & (y < upper_inner) & (y > lower_inner)
        depth = np.minimum(upper_inner - y, y - lower_inner)
        throat = smoothstep(upper_inner - y, 0.55, 0.85) * smoothstep(y - lower_inner, 0, 0.3)
        return relief - inside * (0.3 * smoothstep(depth, 0, 0.12) + 0.6 * throat)

    def eyeball_z(self, a, y):
        """Return z of the sphere of the eyeball, continued as a plane where the sphere ends."""
        centre_x, centre_y = self.eye_centre
        apex = float(self.smooth_z(centre_x, centre_y)) - 0.72
        square = (a - centre_x) ** 2 + (y - centre_y) ** 2
        drop = EYEBALL_RADIUS - np.sqrt(np.maximum(EYEBALL_RADIUS**2 - square, 0.3))
        return apex - drop - 0.14 * (a - centre_x)

    def _with_eyes(self, a, y, z):
        """Return z with eyes: lids lie on the eyeball at their margins and blend into the face."""
        outside = self.outside_eye(a, y)
        upper, _, along = self.lids(a)
        eyeball = self.eyeball_z(a, y)
        ends = smoothstep(along, -0.15, 0.1) * (1 - smoothstep(along, 0.9, 1.15))
        fold = 0.16 * ends * bell(y - upper - self.shape.lid_crease, 0.09)
        lid = eyeball + 0.13 * smoothstep(outside, -0.02, 0.07)
        skin = lid + (z - fold - lid) * smoothstep(outside, 0.05, 0.85)
        return np.where(outside <= 0, eyeball, skin)

    # ---- the whole head as a grid

    def grid(self, rows: int = 368, columns: int = 512):
        """Return positions [rows, columns, 3] float32 on the whole head.

        Rows go from crown to chin, columns once around the head, beginning at the back. `columns`
        is even. Most rows and columns are on the face.
        """
        angle, y = grid_angles_deg(columns), np.float32(self._grid_heights(rows))
        half = np.float32(angle[columns // 2 :])  # right half; the left half is its mirror image
        points = self.section(half[None, :], y[:, None])
        front = np.flatnonzero(half <= 90)
        points[:, front, 2] = self.front_surface_z(points[:, front, 0], y[:, None])
        return np.concatenate([points[:, ::-1] * np.float32((-1, 1, 1)), points], axis=1)

    def _grid_heights(self, rows):
        """Return the heights of the rows, denser on the face and near crown and chin."""
        turn_deg = np.interp(
            np.linspace(0, 1, rows), (0, 0.12, 0.45, 0.85, 1), (-90, -32, 0, 52, 90)
        )
        turn = np.deg2rad(turn_deg)
        up = self.shape.crown_y - OUTLINE_TOP_Y
        down = OUTLINE_TOP_Y - self.chin_y
        return OUTLINE_TOP_Y - np.where(turn < 0, up, down) * np.sin(turn)


def grid_angles_deg(columns):
    """Return the angle of every column of `Head.grid`: the back is -180 and 180, the front 0."""
    return np.interp(np.linspace(-1, 1, columns), (-1, -5 / 6, 5 / 6, 1), (-180, -90, 90, 180))
