"""Labels in the landmark scheme of the records, and the whole face of a partial label."""

import functools
from dataclasses import replace

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, Rejected
from senet_kp.data_prep.sample_faces.shapes import random_shapes
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.label_map import LabelMap
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.face.shape_completion import MIN_POINTS, ShapeCompletion

HEADS, VIEWS, SEED = 64, 16, 0  # of the example shapes: 2,048 with the mirrored ones, in a second


def mapped(
    label: FaceLabel, label_map: LabelMap | None, scheme: LandmarkScheme, estimate: bool
) -> FaceLabel:
    """Return a label with the landmarks of `scheme`.

    label: with the landmarks of the map's source, or of `scheme` if there is no map
    estimate: also estimate the whole face if landmarks are missing; only for the 68 landmarks there
        are example shapes, so labels of other schemes have no whole face
    Raises Rejected if too few landmarks are known to tell where the whole face is.
    """
    landmarks, mask = label.landmarks, label.mask
    points, weights = np.zeros((0, 2)), np.zeros((0, scheme.count))
    if label_map:
        points, weights = label_map.known_means(landmarks, mask)
        landmarks, mask = label_map.apply(landmarks, mask)
        label = replace(label, landmarks=landmarks, mask=mask)
    if not estimate or mask.all() or not mask.any() or scheme.name != IBUG68.name:
        return label
    points = np.concatenate([landmarks[mask], points])
    weights = np.concatenate([np.eye(scheme.count)[mask], weights])
    return replace(label, whole=_whole(label, points, weights))


def _whole(label: FaceLabel, points, weights) -> np.ndarray:
    """Return the known landmarks of a label [68, 2] and estimates of the others. Raises Rejected.

    points: [k, 2] all that is known, and weights: [k, 68] of which landmarks it is the mean
    """
    if len(np.unique(points, axis=0)) < MIN_POINTS:
        raise Rejected(
            "few-points",
            f"its label has {len(points)} landmarks, and {MIN_POINTS} are needed to tell where the"
            " whole face is",
        )
    whole = completion().complete(points, weights, label.pose_deg[1])
    return np.where(label.mask[:, None], label.landmarks, whole)


@functools.cache
def completion() -> ShapeCompletion:
    """The completion of the 68 landmarks, from landmarks of rendered heads; made once a process."""
    return ShapeCompletion(*random_shapes(HEADS, VIEWS, SEED))
