"""Is there a face? The network's own answer: it finds the same landmarks in another box.

A network that was trained on faces predicts the landmarks of a face in any picture. On a face they
lie on its features, wherever the box is; where there is none, they move with the box.
"""

import numpy as np

from senet_kp.face.facebox import is_beside
from senet_kp.face.turned import turned_face_box
from senet_kp.inference.predictor import Face, LandmarkPredictor

# The second box: shifts to the right and downwards and enlargement, in sides of the first box.
SHIFT_X, SHIFT_Y, SCALE = 0.08, -0.08, 1.1
# Measured on 300 faces of 300-W and AFLW2000-3D and 206 places beside them: all frontal faces and 91 %
# of those in any pose are below it, and 1 % of the other places.
MOST_DISAGREEMENT = 0.04


def disagreement(picture, face: Face, predictor: LandmarkPredictor) -> float:
    """The mean distance of the landmarks that are found in two boxes around a face.

    In sides of the face box; infinite if the boxes are beside the picture.
    """
    box = turned_face_box(face.landmarks, predictor.rule, face.roll_deg)
    side = box[2]
    centre = box[:2] + side / 2 + (SHIFT_X * side, SHIFT_Y * side)
    other = np.concatenate([centre - SCALE * side / 2, [SCALE * side] * 2])
    if is_beside(box, picture) or is_beside(other, picture):
        return np.inf
    first, second = predictor.predict(picture, [box, other], [face.roll_deg] * 2)
    apart = np.linalg.norm(first.landmarks - second.landmarks, axis=1)
    return float(apart.mean() / side)
