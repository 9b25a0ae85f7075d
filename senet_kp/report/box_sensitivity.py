"""Sensitivity to the face box: the error as a function of the box's shift and scale.

The stored pictures contain the face box and the context around it, so a displaced box can be
cropped from real pixels. Beyond the context, the border pixels are repeated.
"""

from functools import cache

import numpy as np
from tqdm import tqdm

from senet_kp.face.facebox import crop, to_absolute
from senet_kp.face.metrics import Normaliser, nme
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops
from senet_kp.scoring.models import Model

SHIFTS = (-0.15, -0.10, -0.05, 0.0, 0.05, 0.10, 0.15)  # in box widths; right and down are > 0
SCALES = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25)


def box_curves(
    model: Model, stored, crops: Crops, scheme: LandmarkScheme, kind: Normaliser
) -> dict:
    """The mean NME with the box moved by SHIFTS in x and in y, and scaled by SCALES.

    stored [n, C, C, 3] uint8 RGB: the stored pictures of the n faces.
    """
    boxes = tqdm(
        total=2 * len(SHIFTS) + len(SCALES), unit="box", desc=model.path.name, disable=None
    )

    @cache
    def mean_nme(shift_x: float, shift_y: float, scale: float) -> float:
        corner = (1 - scale) / 2
        box = np.array([corner + shift_x, corner + shift_y, scale, scale])
        predicted = points_in_box(model.run, stored, box, crops.images.shape[1])
        return float(np.nanmean(nme(crops.normalised_errors(predicted, scheme, kind))))

    def curve(displacements) -> list[float]:
        values = []
        for displacement in displacements:
            values.append(mean_nme(*displacement))
            boxes.update()
        return values

    result = {
        "faces": len(crops),
        "context": stored.shape[1] / crops.images.shape[1],
        "shifts": SHIFTS,
        "nme_shift_x": curve((shift, 0.0, 1.0) for shift in SHIFTS),
        "nme_shift_y": curve((0.0, shift, 1.0) for shift in SHIFTS),
        "scales": SCALES,
        "nme_scale": curve((0.0, 0.0, scale) for scale in SCALES),
    }
    boxes.close()
    return result


def points_in_box(run, stored, box, size_px: int) -> np.ndarray:
    """Landmarks [n, N, 2], relative to the face box, that the model `run` finds in another box.

    box [x, y, w, h]: relative to the face box, which is (0, 0, 1, 1). size_px: the width of the
    face box in the stored pictures [n, C, C, 3], and of the model's input.
    """
    left = (stored.shape[1] - size_px) / 2 - 0.5  # of the face box; a pixel's centre is an integer
    box_px = np.array([left, left, 0, 0]) + np.asarray(box) * size_px
    return np.array([to_absolute(run(crop(picture, box_px, size_px)), box) for picture in stored])
