"""The transform from a detector's boxes to face boxes, and how much two boxes overlap.

A face detector draws its box by its own convention; the network expects the face box of its
BoxRule. Preparation measures the difference between the two on training pictures and stores it in
the manifest and the model card as `detector_box`; prediction applies it to every detected box.
"""

from dataclasses import dataclass

import numpy as np

MIN_IOU = 0.3  # with less overlap a detection is another face, or no face


@dataclass(frozen=True)
class BoxTransform:
    """Moves the centre of a detector's box by `shift * side`, then scales its side by `scale`."""

    shift_x: float
    """shift to the right, in sides of the detector's box"""
    shift_y: float
    """shift downwards, in sides of the detector's box"""
    scale: float
    """side of the face box divided by the side of the detector's box"""
    spread: tuple[float, float, float]
    """standard deviations of shift_x, shift_y and log(scale) over the measured pictures; they are
    large because dlib searches positions and sizes in coarse steps"""
    pictures: int
    """number of pictures in which faces were searched"""
    found: int
    """number of pictures in which the labelled face was found"""

    def apply(self, box) -> np.ndarray:
        """The face box [x, y, side, side] of a detector's box [x, y, w, h], both in pixels."""
        x, y, w, h = box
        side = max(w, h)
        cx, cy = x + w / 2 + self.shift_x * side, y + h / 2 + self.shift_y * side
        side *= self.scale
        return np.array([cx - side / 2, cy - side / 2, side, side])


def measure_transform(pairs, pictures: int) -> BoxTransform:
    """The median transform over (detected box, face box) pairs, both [x, y, w, h] in pixels.

    pictures: how many pictures were searched to find these pairs. Raises ValueError if there are
    no pairs.
    """
    if not pairs:
        raise ValueError("no pair of boxes to measure from")
    detected, truth = np.array(pairs, np.float64).transpose(1, 0, 2)
    sides = detected[:, 2:].max(axis=1)
    shifts = _centres(truth) - _centres(detected)
    values = np.column_stack([shifts / sides[:, None], np.log(truth[:, 2] / sides)])
    median = np.median(values, axis=0)
    return BoxTransform(
        shift_x=float(median[0]),
        shift_y=float(median[1]),
        scale=float(np.exp(median[2])),
        spread=tuple(values.std(axis=0).tolist()),
        pictures=pictures,
        found=len(pairs),
    )


def iou(first, second) -> float:
    """Intersection over union, 0..1, of two boxes [x, y, w, h]."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    overlap = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    both = np.prod(np.maximum(overlap, 0))
    return float(both / (np.prod(a[2:]) + np.prod(b[2:]) - both))


def _centres(boxes):
    return boxes[:, :2] + boxes[:, 2:] / 2
