"""Face detection with dlib.

dlib's HOG detector (King, "Max-margin object detection", 2015) returns a square that ends between
the lips and the chin and may extend beyond the picture. `box_transform` takes it to the face box.
"""

import contextlib

import numpy as np
from platformdirs import user_cache_path

from senet_kp.inference.pyramid import MAX_ENLARGEMENT, detect_in_pyramid
from senet_kp.tfrecords.errors import OutputError, UserError
from senet_kp.tfrecords.files import atomic_path

# Longest side of the copies that are searched, one after the other until a face is found.
# dlib finds faces from 80 px on, so 640 px shows faces from an eighth of the picture's longest
# side, in about 50 ms; the second search takes four times as long and runs only when the first
# found no face. It enlarges a small picture, and so finds faces from 40 px on.
SEARCH_SIDES_PX = (640, 1280)


class DlibDetector:
    """dlib's frontal face detector, run on copies of the picture of the size that suits it.

    Raises UserError if dlib is not installed.
    """

    def __init__(self):
        try:
            import dlib  # imported here: prediction in given boxes works without dlib
        except ImportError as error:
            raise UserError(
                f"dlib cannot be imported ({error}); install dlib-bin, or give the face boxes with"
                " --boxes"
            ) from None
        self._detector = _frontal_detector(dlib)

    def detect(self, picture) -> list[tuple[np.ndarray, float]]:
        """The faces in a picture [H, W, 3] uint8 RGB, best first.

        Each is dlib's box [x, y, w, h] in pixels, with the first pixel's centre at 0, and a score
        above 0.
        """
        longest = max(picture.shape[:2])
        first, second = SEARCH_SIDES_PX
        reductions = max(longest / first, 1.0), max(longest / second, 1 / MAX_ENLARGEMENT)
        return detect_in_pyramid(self._detect_in_copy, picture, reductions)

    def _detect_in_copy(self, copy, reduction: float):
        rectangles, scores, _ = self._detector.run(copy, 0, 0.0)
        # A rectangle holds its first and last pixel; the box runs along their outer edges.
        return [
            (
                np.array([r.left(), r.top(), r.width(), r.height()], np.float64) * reduction
                - (0.5, 0.5, 0, 0),
                float(score),
            )
            for r, score in zip(rectangles, scores, strict=True)
        ]


def _frontal_detector(dlib):
    """dlib's frontal detector, read from a copy in the user's cache if there is one.

    Unpacking the detector inside dlib takes 350 ms; reading the copy of 155 kB takes 3 ms.
    """
    path = user_cache_path("senet_kp") / f"frontal-face-{dlib.__version__}.svm"
    try:
        return dlib.fhog_object_detector(str(path))
    except RuntimeError:  # the copy does not exist yet, or is damaged
        detector = dlib.get_frontal_face_detector()
    # If the cache cannot be written, the next start unpacks the detector again.
    with contextlib.suppress(OutputError, OSError, RuntimeError), atomic_path(path) as temporary:
        detector.save(str(temporary))
    return detector
