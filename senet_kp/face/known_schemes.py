"""The built-in landmark schemes; points are counted from 0.

ibug68:   68 points of iBUG's 300-W (Sagonas et al., "300 faces in-the-wild challenge", 2016).
kaggle15: 15 points, in the order of the csv columns of Kaggle's "Facial Keypoints Detection";
          "left" in those column names is the person's left.
wflw98:   98 points (Wu et al., "Look at Boundary", 2018).
dlib5:    5 points of dlib's five-point shape predictor: corners of the eyes, base of the nose.
celeba5:  5 points of CelebA and of many detectors: eyes, nose, corners of the mouth.
"""

import json
from pathlib import Path

from senet_kp.face.scheme import LandmarkScheme, flip_of, scheme_from
from senet_kp.tfrecords.errors import InputError, UserError


def _run(first: int, last: int, closed: bool = False) -> tuple[int, ...]:
    return (*range(first, last + 1), *((first,) if closed else ()))


IBUG68 = LandmarkScheme(
    name="ibug68",
    flip=flip_of(
        68,
        *((i, 16 - i) for i in range(8)),  # jaw, 8 is the chin
        *((17 + i, 26 - i) for i in range(5)),  # brows
        (31, 35), (32, 34),  # nostrils; 27 to 30 and 33 are the middle line
        (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),  # eyes
        (48, 54), (49, 53), (50, 52), (55, 59), (56, 58),  # outer lips
        (60, 64), (61, 63), (65, 67),  # inner lips
    ),
    outer_eye_corners=(36, 45),
    eyes=(_run(36, 41), _run(42, 47)),
    contour=_run(0, 16),
    regions={
        "jaw": _run(0, 16),
        "brows": _run(17, 26),
        "nose": _run(27, 35),
        "eyes": _run(36, 47),
        "mouth": _run(48, 67),
    },
    lines=(
        _run(0, 16), _run(17, 21), _run(22, 26), _run(27, 30), _run(31, 35),
        _run(36, 41, closed=True), _run(42, 47, closed=True),
        _run(48, 59, closed=True), _run(60, 67, closed=True),
    ),
)  # fmt: skip

KAGGLE15 = LandmarkScheme(
    name="kaggle15",
    flip=flip_of(15, (0, 1), (2, 4), (3, 5), (6, 8), (7, 9), (11, 12)),
    outer_eye_corners=(5, 3),
    eyes=((1,), (0,)),
    contour=(),
    regions={
        "brows": _run(6, 9),
        "nose": (10,),
        "eyes": _run(0, 5),
        "mouth": _run(11, 14),
    },
    lines=((5, 1, 4), (2, 0, 3), (9, 8), (6, 7), (12, 13, 11, 14, 12)),
)

WFLW98 = LandmarkScheme(
    name="wflw98",
    flip=flip_of(
        98,
        *((i, 32 - i) for i in range(16)),  # jaw, 16 is the chin
        *((33 + i, 46 - i) for i in range(5)),  # brows, upper edges
        *((38 + i, 50 - i) for i in range(4)),  # brows, lower edges
        (55, 59), (56, 58),  # nostrils; 51 to 54 and 57 are the middle line
        (60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73),  # eyes
        (76, 82), (77, 81), (78, 80), (83, 87), (84, 86),  # outer lips
        (88, 92), (89, 91), (93, 95),  # inner lips
        (96, 97),  # pupils
    ),
    outer_eye_corners=(60, 72),
    eyes=(_run(60, 67), _run(68, 75)),
    contour=_run(0, 32),
    regions={
        "jaw": _run(0, 32),
        "brows": _run(33, 50),
        "nose": _run(51, 59),
        "eyes": (*_run(60, 75), 96, 97),
        "mouth": _run(76, 95),
    },
    lines=(
        _run(0, 32), _run(33, 41, closed=True), _run(42, 50, closed=True), _run(51, 54),
        _run(55, 59), _run(60, 67, closed=True), _run(68, 75, closed=True),
        _run(76, 87, closed=True), _run(88, 95, closed=True),
    ),
)  # fmt: skip

DLIB5 = LandmarkScheme(
    name="dlib5",
    flip=flip_of(5, (0, 2), (1, 3)),
    outer_eye_corners=(2, 0),
    eyes=((2, 3), (0, 1)),
    contour=(),
    regions={"eyes": _run(0, 3), "nose": (4,)},
    lines=((2, 3, 4, 1, 0),),
)

CELEBA5 = LandmarkScheme(
    name="celeba5",
    flip=flip_of(5, (0, 1), (3, 4)),
    outer_eye_corners=(0, 1),  # the scheme has no eye corners: the centres of the eyes are used
    eyes=((0,), (1,)),
    contour=(),
    regions={"eyes": (0, 1), "nose": (2,), "mouth": (3, 4)},
    lines=((0, 2, 1), (3, 4)),
)

SCHEMES = {scheme.name: scheme for scheme in (IBUG68, KAGGLE15, WFLW98, DLIB5, CELEBA5)}


def read_scheme(name: str) -> LandmarkScheme:
    """Return a built-in scheme by its name, or read a scheme from the .json file at that path.

    scheme.py documents the JSON. Raises UserError for an unknown name or unsuitable contents,
    InputError if the file cannot be read.
    """
    if name in SCHEMES:
        return SCHEMES[name]
    if not name.endswith(".json"):
        raise UserError(
            f"{name}: no landmark scheme of this name, only {', '.join(SCHEMES)} or a .json file"
        )
    try:
        facts = json.loads(Path(name).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: not a readable landmark scheme ({error})") from None
    return scheme_from(facts, name)
