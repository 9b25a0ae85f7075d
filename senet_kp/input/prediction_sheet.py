"""A contact sheet of face crops with their true landmarks and those that a model predicts."""

import numpy as np

from senet_kp.face.draw import GREEN, RED, contact_sheet, drawn_face
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops

COLUMNS, ENLARGED = 4, 2


def prediction_sheet(crops: Crops, predicted, scheme: LandmarkScheme, faces: int) -> np.ndarray:
    """The first faces with their true landmarks in green and the predicted ones in red, RGB.

    predicted: [n, N, 2], box-relative.
    """
    shown = zip(crops.images, crops.landmarks, crops.mask, predicted[:faces], strict=False)
    return contact_sheet(
        [
            drawn_face(image, ((truth[known], GREEN), (points, RED)), scheme, ENLARGED)
            for image, truth, known, points in shown
        ],
        COLUMNS,
    )
