"""The built-in landmark schemes; points are counted from 0.

ibug68:   68 points of iBUG's 300-W (Sagonas et al., "300 faces in-the-wild challenge", 2016).
kaggle15: 15 points, in the order of the csv columns of Kaggle's "Facial Keypoints Detection";
          "left" in those column names is the person's left.
wflw98:   98 points (Wu et al., "Look at Boundary", 2018).
dlib5:    5 points of dlib's five-point shape predictor: corners of the eyes, base of the nose.
celeba5:  5 points of CelebA and of many detectors: eyes, nose, corners of the mouth.
aflw21:   21 points of AFLW (Koestinger et al., "Annotated Facial Landmarks in the Wild", 2011), in
          the order of its table FeatureCoordTypes; "left" in those names is left in the picture.
cofw29:   29 points of COFW (Burgos-Artizzu et al., "Robust face landmark estimation under
          occlusion", 2013).
bioid20:  20 points of the BioID face database in the markup of the FGnet project; "left" in that
          markup is the person's left.
lapa106:  106 points of LaPa (Liu et al., "A New Dataset and Boundary-Attention Semantic
          Segmentation for Face Parsing", 2020).
"""

from senet_kp.face.scheme import LandmarkScheme, flip_of, scheme_from
from senet_kp.tfrecords.errors import InputError, UserError, brief
from senet_kp.tfrecords.files import read_json


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

AFLW21 = LandmarkScheme(
    name="aflw21",
    flip=flip_of(
        21, (0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 16), (13, 15), (17, 19)
    ),
    outer_eye_corners=(6, 11),
    eyes=((7,), (10,)),
    contour=(12, 16),
    regions={
        "brows": _run(0, 5),
        "eyes": _run(6, 11),
        "ears": (12, 16),
        "nose": _run(13, 15),
        "mouth": _run(17, 19),
        "chin": (20,),
    },
    lines=(_run(0, 2), _run(3, 5), _run(6, 8), _run(9, 11), _run(13, 15), _run(17, 19)),
)

COFW29 = LandmarkScheme(
    name="cofw29",
    flip=flip_of(
        29,
        (0, 1), (2, 3), (4, 6), (5, 7),  # brows: outer and inner ends, upper and lower edges
        (8, 9), (10, 11), (12, 14), (13, 15), (16, 17),  # eyes: corners, lids, pupils
        (18, 19), (22, 23),  # nostrils, mouth corners; 20, 21 and 24 to 28 are the middle line
    ),
    outer_eye_corners=(8, 9),
    eyes=((16,), (17,)),
    contour=(),
    regions={
        "brows": _run(0, 7),
        "eyes": _run(8, 17),
        "nose": _run(18, 21),
        "mouth": _run(22, 27),
        "chin": (28,),
    },
    lines=(
        (0, 4, 2, 5, 0), (3, 6, 1, 7, 3), (8, 12, 10, 13, 8), (11, 14, 9, 15, 11),
        (18, 21, 19), (20, 21), (22, 24, 23, 27, 22), (22, 25, 23, 26, 22),
    ),
)  # fmt: skip

BIOID20 = LandmarkScheme(
    name="bioid20",
    flip=flip_of(20, (0, 1), (2, 3), (4, 7), (5, 6), (8, 13), (9, 12), (10, 11), (15, 16)),
    outer_eye_corners=(9, 12),
    eyes=((0,), (1,)),
    contour=(8, 13),
    regions={
        "brows": _run(4, 7),
        "eyes": (0, 1, *_run(9, 12)),
        "temples": (8, 13),
        "nose": _run(14, 16),
        "mouth": (2, 3, 17, 18),
        "chin": (19,),
    },
    lines=((4, 5), (6, 7), (9, 0, 10), (11, 1, 12), (15, 14, 16), (2, 17, 3, 18, 2)),
)

LAPA106 = LandmarkScheme(
    name="lapa106",
    flip=flip_of(
        106,
        *((i, 32 - i) for i in range(16)),  # jaw, 16 is the chin
        *((33 + i, 46 - i) for i in range(5)),  # brows, upper edges
        *((38 + i, 50 - i) for i in range(4)),  # brows, lower edges
        *((55 + i, 65 - i) for i in range(5)),  # sides of the nose; 51 to 54 and 60 are the middle
        *((66 + i, 79 - i) for i in range(5)),  # eyes, corners and upper lids
        (71, 82), (72, 81), (73, 80), (74, 83),  # lower lids, centres
        (84, 90), (85, 89), (86, 88), (91, 95), (92, 94),  # outer lips
        (96, 100), (97, 99), (101, 103),  # inner lips
        (104, 105),  # pupils
    ),
    outer_eye_corners=(66, 79),
    eyes=(_run(66, 73), _run(75, 82)),
    contour=_run(0, 32),
    regions={
        "jaw": _run(0, 32),
        "brows": _run(33, 50),
        "nose": _run(51, 65),
        "eyes": (*_run(66, 83), 104, 105),
        "mouth": _run(84, 103),
    },
    lines=(
        _run(0, 32), _run(33, 41, closed=True), _run(42, 50, closed=True), _run(51, 54),
        _run(55, 65), _run(66, 73, closed=True), _run(75, 82, closed=True),
        _run(84, 95, closed=True), _run(96, 103, closed=True),
    ),
)  # fmt: skip

_BUILT_IN = (IBUG68, KAGGLE15, WFLW98, DLIB5, CELEBA5, AFLW21, COFW29, BIOID20, LAPA106)
SCHEMES = {scheme.name: scheme for scheme in _BUILT_IN}


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
        facts = read_json(name)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: not a readable landmark scheme ({brief(error)})") from None
    return scheme_from(facts, name)
