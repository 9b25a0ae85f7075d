"""Drawing of landmarks, boxes and head axes into pictures, and contact sheets."""

import cv2
import numpy as np

from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.face.turned import from_turned

GREEN, RED, YELLOW, BLUE = (60, 220, 90), (250, 70, 60), (250, 210, 60), (70, 130, 250)  # RGB
_SUBPIXEL_BITS = 4  # OpenCV takes coordinates in units of 1/16 px, so that points keep fractions


def draw_landmarks(
    picture, landmarks, scheme: LandmarkScheme = IBUG68, colour=GREEN, lines=True
) -> np.ndarray:
    """Draw landmarks, and the lines between them, into a picture.

    Parameters
    ----------
    picture : ndarray [H, W, 3] uint8 RGB, contiguous
        The picture. It is changed; give `picture.copy()` to keep the original.
    landmarks : array [N, 2]
        x and y in pixels, the centre of the top-left pixel being (0, 0). They are drawn with
        sub-pixel accuracy, and larger on larger faces.
    scheme : LandmarkScheme, default the 68-point scheme
        Gives the lines; `LandmarkPredictor.scheme` is the scheme of a model.
    colour : (red, green, blue), each 0..255, default green
        Colour of the landmarks; the lines are darker.
    lines : bool, default True
        Whether to draw the lines.

    Returns
    -------
    ndarray [H, W, 3] uint8 RGB
        The same picture.

    Raises
    ------
    cv2.error
        If the picture is not a contiguous array of this shape and type.

    Examples
    --------
    >>> drawn = draw_landmarks(picture.copy(), face.landmarks, predictor.scheme)
    """
    points = np.round(np.asarray(landmarks) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    extent = np.ptp(np.asarray(landmarks), axis=0).max()
    thickness = max(1, round(extent / 250))
    if lines:
        soft = tuple(int(0.75 * value) for value in colour)
        curves = [points[list(line)].reshape(-1, 1, 2) for line in scheme.lines]
        cv2.polylines(picture, curves, False, soft, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    radius = int(max(1.2, extent / 130) * (1 << _SUBPIXEL_BITS))
    for x, y in points:
        centre = (int(x), int(y))
        cv2.circle(picture, centre, radius, colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
    return picture


def drawn_face(image, shapes, scheme: LandmarkScheme, enlarged: int, method=cv2.INTER_NEAREST):
    """Return a crop [S, S, 3] RGB, `enlarged` times its size, with landmarks drawn into it.

    shapes: pairs of box-relative landmarks [n, 2] and a colour. At the original size of a crop,
    one drawn point would hide an eye.
    """
    size = len(image) * enlarged
    picture = cv2.resize(image, (size, size), interpolation=method)
    for relative, colour in shapes:
        if len(relative):  # a face may have no label
            draw_landmarks(picture, relative * size - 0.5, scheme, colour, lines=False)
    return picture


def draw_box(picture, box, colour=YELLOW, roll_deg: float = 0.0):
    """Draw a box [x, y, w, h] (pixels), turned by a roll, into an RGB picture."""
    corners = from_turned([(0, 0), (1, 0), (1, 1), (0, 1)], box, roll_deg)
    corners = np.round(corners * (1 << _SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2)
    thickness = max(1, round(picture.shape[1] / 700))
    cv2.polylines(picture, [corners], True, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return picture


def draw_axes(picture, landmarks, rotation):
    """Draw the axes of a head (right red, up green, forward blue) from the mean landmark.

    landmarks [N, 2] in pixels; rotation [3, 3] as returned by `pose.head_rotation`.
    """
    points = np.asarray(landmarks, np.float64)
    start, length = points.mean(axis=0), np.ptp(points, axis=0).max() / 2
    ends = start + length * rotation[:2].T * (1, -1)  # pixels count downwards
    start, *ends = np.round(np.vstack([start, ends]) * (1 << _SUBPIXEL_BITS)).astype(int).tolist()
    thickness = max(2, round(length / 40))
    for end, colour in zip(ends, (RED, GREEN, BLUE), strict=True):
        cv2.line(picture, start, end, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return picture


def draw_text(picture, text: str, corner, colour=YELLOW):
    """Draw a line of text into an RGB picture; corner: its upper left end (x, y) in pixels."""
    size = max(0.5, picture.shape[1] / 1400)
    thickness = max(1, round(2 * size))
    (_, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    x, y = (round(float(value)) for value in corner)
    start = (max(x, 0) + thickness, max(y, 0) + height + 2 * thickness)
    for line, width in (((0, 0, 0), 3 * thickness), (colour, thickness)):
        cv2.putText(picture, text, start, cv2.FONT_HERSHEY_SIMPLEX, size, line, width, cv2.LINE_AA)
    return picture


def contact_sheet(pictures, columns: int, gap_px: int = 4) -> np.ndarray:
    """Return one picture with n pictures [H, W, 3] of equal size in a grid on white."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full(
        (rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3), 255, np.uint8
    )
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        y, x = gap_px + row * (height + gap_px), gap_px + column * (width + gap_px)
        sheet[y : y + height, x : x + width] = picture
    return sheet
