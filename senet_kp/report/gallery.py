"""Selects and draws the faces on which a model has its best, median and worst NME."""

import base64

import cv2
import numpy as np

from senet_kp.face.draw import GREEN, RED, drawn_face
from senet_kp.face.metrics import median_of_found
from senet_kp.face.pictures import encode_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops

SHOWN = 4  # faces of each kind
_ENLARGED = 3  # landmarks in crops of 128 px stay distinct on high-resolution screens


def choose(nmes, crops: Crops) -> dict:
    """{"best", "median", "worst"}: lists of {"index", "name", "nme"}, from the NMEs [n].

    The faces of a list are from different groups (photos or persons), to show different cases.
    Faces that were not found, whose NME is infinite, are in none of them.
    """
    found = np.flatnonzero(np.isfinite(nmes))
    median = median_of_found(nmes)
    orders = {
        "best": found[np.argsort(nmes[found], kind="stable")],
        "median": found[np.argsort(np.abs(nmes[found] - median), kind="stable")],
        "worst": found[np.argsort(-nmes[found], kind="stable")],
    }
    return {
        kind: [
            {"index": i, "name": crops.names[i], "nme": float(nmes[i])}
            for i in _of_different_groups(order.tolist(), crops.groups)
        ]
        for kind, order in orders.items()
    }


def draw(gallery: dict, crops: Crops, predicted, scheme: LandmarkScheme) -> dict:
    """{index: data URI of a JPEG}: true landmarks in green, predicted ones [n, N, 2] in red."""
    indices = {face["index"] for faces in gallery.values() for face in faces}
    return {i: _data_uri(_drawn(crops, i, predicted[i], scheme)) for i in sorted(indices)}


def _of_different_groups(order: list[int], groups: list[str]) -> list[int]:
    first_of = {}
    for index in order:
        first_of.setdefault(groups[index], index)
        if len(first_of) == SHOWN:
            break
    return list(first_of.values())


def _drawn(crops: Crops, index: int, predicted, scheme: LandmarkScheme):
    known = crops.mask[index]
    shapes = ((crops.landmarks[index][known], GREEN), (predicted[known], RED))
    return drawn_face(crops.images[index], shapes, scheme, _ENLARGED, cv2.INTER_CUBIC)


def _data_uri(picture) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encode_picture(picture, ".jpg")).decode()
