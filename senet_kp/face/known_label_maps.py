"""The built-in label maps to iBUG's 68 landmarks, in the form that label_map.py describes.

Landmarks are mapped where both schemes name the same place of the face. The habits of the people
who label still differ a little, for example in how far up the bridge a tip of the nose is.
"""

import functools

from senet_kp.face.label_map import LabelMap, label_map_from

_LEFT_EYE, _RIGHT_EYE = tuple(range(36, 42)), tuple(range(42, 48))
_INNER_LIPS = (62, 66)

# Ears and the sides of the nose have no counterpart among the 68.
_AFLW21 = {
    "points": {
        17: 0, 19: 1, 21: 2, 22: 3, 24: 4, 26: 5,  # brows
        36: 6, 39: 8, 42: 9, 45: 11,  # corners of the eyes
        30: 14, 48: 17, 54: 19, 8: 20,  # tip of the nose, corners of the mouth, chin
    },
    "means": {7: _LEFT_EYE, 10: _RIGHT_EYE, 18: _INNER_LIPS},
}  # fmt: skip

# Every second point of the outline, the upper edges of the brows, and no pupils.
_WFLW98 = {
    "points": {
        **{i: 2 * i for i in range(17)},  # jaw
        **{17 + i: 33 + i for i in range(5)}, **{22 + i: 42 + i for i in range(5)},  # brows
        **{27 + i: 51 + i for i in range(9)},  # nose
        36: 60, 37: 61, 38: 63, 39: 64, 40: 65, 41: 67,  # left eye
        42: 68, 43: 69, 44: 71, 45: 72, 46: 73, 47: 75,  # right eye
        **{48 + i: 76 + i for i in range(20)},  # mouth
    },
}  # fmt: skip

_CELEBA5 = {
    "points": {30: 2, 48: 3, 54: 4},
    "means": {0: _LEFT_EYE, 1: _RIGHT_EYE},
}

_DLIB5 = {"points": {45: 0, 42: 1, 36: 2, 39: 3, 33: 4}}

# Its left is the person's, which is right in the picture.
_KAGGLE15 = {
    "points": {
        42: 2, 45: 3, 39: 4, 36: 5,  # corners of the eyes
        22: 6, 26: 7, 21: 8, 17: 9,  # ends of the brows
        30: 10, 54: 11, 48: 12, 51: 13, 57: 14,  # tip of the nose, mouth
    },
    "means": {0: _RIGHT_EYE, 1: _LEFT_EYE},
}  # fmt: skip

_MAPS = {
    ("aflw21", "ibug68"): _AFLW21,
    ("wflw98", "ibug68"): _WFLW98,
    ("celeba5", "ibug68"): _CELEBA5,
    ("dlib5", "ibug68"): _DLIB5,
    ("kaggle15", "ibug68"): _KAGGLE15,
}
LABEL_MAPS = tuple(f"{source}-{target}" for source, target in _MAPS)


@functools.cache
def known_label_map(source: str, target: str) -> LabelMap | None:
    """Return the built-in map between the schemes of these names, or None if there is none."""
    if (source, target) not in _MAPS:
        return None
    facts = {"from": source, "to": target, **_MAPS[source, target]}
    return label_map_from(facts, f"{source}-{target}")
