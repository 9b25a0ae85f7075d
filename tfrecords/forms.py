"""Forms of JSON values: what a manifest, a model card or the settings of a run have to look like.

A form is a function of a value. It returns None if the value fits, or else what is wrong with it,
such as ".sides.train.records is 'x', not a whole number", which begins with the place in the value.
"""

import math
from collections.abc import Callable, Iterable
from itertools import chain

from senet_kp.tfrecords.errors import brief
from senet_kp.tfrecords.files import read_json

Form = Callable[[object], str | None]


def read_with_fault(path, form: Form) -> tuple[object, str | None]:
    """Return the value of a JSON file, and in words what is wrong with the file; None if nothing.

    The value is None if the file cannot be read.
    """
    try:
        value = read_json(path)
        return value, fault_in(value, form)
    except (OSError, ValueError) as error:
        return None, brief(error)


def fault_in(value, form: Form) -> str | None:
    """Return what is wrong with a value, in words, or None."""
    fault = form(value)
    return fault and fault.lstrip(" .")


def one(what: str, test: Callable[[object], bool]) -> Form:
    """The form of a value that passes a test; `what` says in messages what it should be."""
    return lambda value: None if test(value) else f" is {brief(repr(value), 60)}, not {what}"


def one_of(*values) -> Form:
    return one(" or ".join(map(repr, values)), lambda value: value in values)


def maybe(form: Form) -> Form:
    """Null, or a value of a form."""
    return lambda value: None if value is None else form(value)


def listed(form: Form, length: int | None = None) -> Form:
    """A list of values of a form."""

    def fault(value):
        if not isinstance(value, list) or length not in (None, len(value)):
            return f" is no list of {length} values" if length is not None else " is no list"
        return _first((f"[{index}]", form(each)) for index, each in enumerate(value))

    return fault


def mapped(form: Form) -> Form:
    """An object with any keys, whose values are of a form."""

    def fault(value):
        if not isinstance(value, dict):
            return " is no object"
        return _first((f".{brief(key, 60)}", form(each)) for key, each in value.items())

    return fault


def fields(
    needed: dict[str, Form], optional: dict[str, Form] | None = None, closed: bool = False
) -> Form:
    """An object with the needed keys, whose values have the form of their key.

    closed: it has no keys but these
    """

    def fault(value):
        if not isinstance(value, dict):
            return " is no object"
        if missing := [key for key in needed if key not in value]:
            return f" has no {', '.join(missing)}"
        known = {**needed, **(optional or {})}
        if closed and (others := [key for key in value if key not in known]):
            return f" has the unknown key {brief(others[0], 60)}"
        return _first((f".{key}", known[key](value[key])) for key in known if key in value)

    return fault


def _first(faults: Iterable[tuple[str, str | None]]) -> str | None:
    return next((place + fault for place, fault in faults if fault), None)


def _is_number(value) -> bool:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and abs(value) < 2**53 and math.isfinite(value)


def _is_count(value) -> bool:
    return isinstance(value, int) and _is_number(value) and value >= 0


ANY: Form = lambda value: None  # noqa: E731, a form like the others
TEXT = one("a text", lambda value: isinstance(value, str))
FLAG = one("true or false", lambda value: isinstance(value, bool))
NUMBER = one("a number", _is_number)
POSITIVE = one("a number above 0", lambda value: _is_number(value) and value > 0)
COUNT = one("a whole number", _is_count)
OBJECT = mapped(ANY)
FILE_NAME = one(
    "the name of a file",
    lambda value: isinstance(value, str) and value and not {*value} & {"/", "\\", "\0"},
)
POINTS = listed(listed(NUMBER, 2))

LARGEST_SIDE_PX = 8192  # of a stored picture, and of the input of a network
MOST_LANDMARKS = 10_000
SIDE_PX = one(
    f"a whole number from 1 to {LARGEST_SIDE_PX}",
    lambda value: _is_count(value) and 1 <= value <= LARGEST_SIDE_PX,
)
BOX = fields(
    {
        "source": one_of("landmarks", "label", "picture"),
        "scale": POSITIVE,
        "shift_x": NUMBER,
        "shift_y": NUMBER,
        "padding": one_of("replicate", "black"),
        "size_px": SIDE_PX,
    },
    closed=True,
)
DETECTOR_BOX = fields(
    {
        "shift_x": NUMBER,
        "shift_y": NUMBER,
        "scale": POSITIVE,
        "spread": listed(NUMBER, 3),
        "pictures": COUNT,
        "found": COUNT,
    },
    closed=True,
)
_SCHEME = fields(
    {
        "name": TEXT,
        "landmarks": one(
            f"a whole number from 2 to {MOST_LANDMARKS}",
            lambda value: _is_count(value) and 2 <= value <= MOST_LANDMARKS,
        ),
        "flip_pairs": listed(listed(COUNT, 2)),
        "outer_eye_corners": listed(COUNT, 2),
    },
    {
        "eyes": maybe(listed(listed(COUNT), 2)),
        "contour": listed(COUNT),
        "regions": maybe(mapped(listed(COUNT))),
        "lines": listed(listed(COUNT)),
    },
)


def SCHEME(value) -> str | None:
    """A landmark scheme, as `senet_kp/face/scheme.py` describes it."""
    if fault := _SCHEME(value):
        return fault
    count, paired = value["landmarks"], [point for pair in value["flip_pairs"] for point in pair]
    groups = [*(value.get("eyes") or ()), *(value.get("regions") or {}).values()]
    groups += [*value.get("lines", ()), value["outer_eye_corners"], value.get("contour", ())]
    if max((*paired, *chain.from_iterable(groups))) >= count:
        return f" names points outside 0 to {count - 1}"
    if len(set(paired)) < len(paired):
        return ".flip_pairs names a point twice, so that it is not its own inverse"
    return None
