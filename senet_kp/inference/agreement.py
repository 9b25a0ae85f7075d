"""How certain landmarks are: the network's own answer, from one more look in another box.

A network that was trained on faces predicts the landmarks of a face in any picture. On a face they
lie on its features, wherever the box is; where there is no face, or where the network is lost, they
move with the box. This needs nothing but the network itself, so that it works with every model and
in every engine.
"""

import numpy as np

# The second box: shifts to the right and downwards and enlargement, in sides of the first box.
SHIFT_X, SHIFT_Y, SCALE = 0.08, -0.08, 1.1
# The logistic regression of an error below 8 % of the face's size on the logarithm of the
# disagreement, measured by benchmarks.certainty.
INTERCEPT, SLOPE = -21.0, -6.7


def second_box(box) -> np.ndarray:
    """The box [x, y, w, h] in which a face is looked at again, from the box of the first look."""
    x, y, w, h = box
    centre = np.array([x + w / 2 + SHIFT_X * w, y + h / 2 + SHIFT_Y * h])
    size = SCALE * np.array([w, h])
    return np.concatenate([centre - size / 2, size])


def disagreement(landmarks, again, box) -> float:
    """The mean distance of the landmarks [N, 2] of two looks, in sides of the first look's box."""
    return float(np.linalg.norm(landmarks - again, axis=1).mean() / box[2])


def certainty_of(disagreement: float) -> float:
    """The estimated probability, 0..1, that landmarks with this disagreement are a face's."""
    return float(1 / (1 + np.exp(-(INTERCEPT + SLOPE * np.log(max(disagreement, 1e-9))))))
