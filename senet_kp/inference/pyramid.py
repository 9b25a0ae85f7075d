"""An image pyramid: the copies of a picture, reduced or enlarged, in which a detector searches."""

import cv2

MAX_ENLARGEMENT = 2  # a small picture is enlarged at most this much


def detect_in_pyramid(detect, picture, reductions) -> list:
    """The faces in the first copy of a picture that has any; an empty list if none has.

    detect(copy, reduction) -> list: the faces in a copy at 1/reduction of the picture's size, with
    coordinates of the picture itself. reductions: the copies to search, in this order.
    """
    for reduction in dict.fromkeys(reductions):  # for a small picture they can be equal
        if found := detect(resized(picture, reduction), reduction):
            return found
    return []


def resized(picture, reduction: float):
    """The picture at 1/reduction of its size; a reduction below 1 enlarges it."""
    if reduction == 1:
        return picture
    size = [max(round(length / reduction), 1) for length in picture.shape[1::-1]]
    method = cv2.INTER_AREA if reduction > 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=method)
