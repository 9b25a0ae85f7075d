"""The rendered clips: who does what in them, in front of what, in which light.

Places are pixels of a frame of 640x480.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.clips.motion import Motion, idle, speech, step, wave

ClipName = Literal["turning", "talking", "crossing", "group", "hidden", "light"]


@dataclass(frozen=True)
class Script:
    """What happens in the T frames of a clip."""

    people: list[Motion]
    """from the farthest to the nearest"""
    board_px: np.ndarray | None = None
    """[T, 2], the centre of a board that is moved in front of the people"""
    exposure: np.ndarray | None = None
    """[T], by which the light's brightness is multiplied"""
    light_turn_deg: np.ndarray | None = None
    """[T], by which the light has gone around the people to the right"""


def turning(rng, times_s) -> Script:
    """A person turns the head in all directions and moves about."""
    person, moved = idle(rng, times_s, 320, 220, 9.5), [wave(rng, times_s) for _ in range(6)]
    turned = replace(
        person,
        x_px=person.x_px + 90 * moved[0],
        y_px=person.y_px + 30 * moved[1],
        px_per_cm=person.px_per_cm * (1 + 0.2 * moved[2]),
        pitch_deg=20 * moved[3],
        yaw_deg=55 * moved[4],
        roll_deg=30 * moved[5],
    )
    return Script([turned])


def talking(rng, times_s) -> Script:
    """A person sits close to the camera and talks."""
    person = idle(rng, times_s, 320, 225, 12)
    return Script([replace(person, mouth_open=speech(rng, times_s))])


def crossing(rng, times_s) -> Script:
    """Two people walk by one another, and the nearer one hides the other for a moment."""
    far = _walking(idle(rng, times_s, 150, 235, 7), times_s, 340)
    near = _walking(idle(rng, times_s, 500, 225, 9), times_s, -350)
    return Script([far, near])


def group(rng, times_s) -> Script:
    """A person walks through the picture in front of two who talk."""
    left, right = (
        replace(idle(rng, times_s, x_px, 250, 6.5), mouth_open=speech(rng, times_s))
        for x_px in (190, 450)
    )
    return Script([left, right, _walking(idle(rng, times_s, -120, 240, 8.5), times_s, 880)])


def hidden(rng, times_s) -> Script:
    """A board passes in front of a face, and another time covers its lower half."""
    person = replace(idle(rng, times_s, 320, 220, 10), mouth_open=speech(rng, times_s))
    quarter_s = times_s[-1] / 4
    aside = step(times_s, 0.3 * quarter_s, 1.7 * quarter_s)
    up = step(times_s, 2 * quarter_s, 2.6 * quarter_s)
    up = up - step(times_s, 3.2 * quarter_s, 3.8 * quarter_s)
    passed = times_s >= 1.85 * quarter_s
    x_px = np.where(passed, 320, -120 + 900 * aside)
    y_px = np.where(passed, 680 - 240 * up, 240)
    return Script([person], board_px=np.stack([x_px, y_px], axis=1))


def light(rng, times_s) -> Script:
    """The light goes around a person, becomes brighter and darker, and is switched."""
    person = replace(idle(rng, times_s, 320, 220, 10), yaw_deg=25 * wave(rng, times_s))
    end_s = times_s[-1]
    off = step(times_s, 0.5 * end_s, 0.5 * end_s + 0.08) - step(times_s, 0.8 * end_s, end_s)
    exposure = np.exp(0.6 * wave(rng, times_s, 0.2, 1)) * (1 - 0.75 * off)
    turn_deg = -70 + 140 * step(times_s, 0, end_s)
    return Script([person], exposure=exposure, light_turn_deg=turn_deg)


def _walking(person: Motion, times_s, distance_px: float) -> Motion:
    """A person who goes to the right (or left, if negative) and looks half where it leads."""
    way = step(times_s, 0.1 * times_s[-1], 0.9 * times_s[-1])
    steps = 4 * np.sin(2 * np.pi * 1.8 * times_s)
    aside = np.gradient(way) / max(np.gradient(way).max(), 1e-9)
    return replace(
        person,
        x_px=person.x_px + distance_px * way,
        y_px=person.y_px + steps * aside,
        yaw_deg=person.yaw_deg - 25 * np.sign(distance_px) * aside,
    )


SCRIPTS: dict[ClipName, Callable] = {
    "turning": turning,
    "talking": talking,
    "crossing": crossing,
    "group": group,
    "hidden": hidden,
    "light": light,
}
