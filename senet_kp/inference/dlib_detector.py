"""Face detection with dlib.

dlib's HOG detector (King, "Max-margin object detection", 2015) returns a square that ends between
the lips and the chin and may extend beyond the picture. `box_transform` takes it to the face box.
"""

import contextlib

import numpy as np

from senet_kp.inference.cache import cache_folder
from senet_kp.inference.detections import Detection
from senet_kp.inference.pyramid import check_min_face, detect_in_copies, last_reduction
from senet_kp.tfrecords.errors import OutputError, UserError
from senet_kp.tfrecords.files import atomic_path

LEAST_PX = 80  # the smallest box that dlib finds in the picture that it is given
# The picture is searched as it is; docs/demo.md gives the time that other sizes take.
MIN_FACE_PX = 80


class DlibDetector:
    """dlib's frontal face detector, run on a copy of the picture in which faces are large enough.

    min_face_px: faces whose box has at least this size are searched, 80 if None. A picture in which
    none is found is searched once more, enlarged, if it is small. Raises UserError if dlib is not
    installed or the size is below 20.
    """

    def __init__(self, min_face_px: float | None = None):
        check_min_face(min_face_px)
        try:
            import dlib  # imported here: prediction in given boxes works without dlib
        except ImportError as error:
            raise UserError(
                f"dlib cannot be imported ({error}); install dlib-bin, or give the face boxes with"
                " --boxes"
            ) from None
        self.min_face_px = min_face_px or MIN_FACE_PX
        self._detector = _frontal_detector(dlib)

    def detect(self, picture) -> list[Detection]:
        """The faces in a picture [H, W, 3] uint8 RGB, best first.

        Each has dlib's box [x, y, w, h] in pixels, with the first pixel's centre at 0, and a score
        above 0.
        """
        reduction, last = self.min_face_px / LEAST_PX, last_reduction(picture)
        found = detect_in_copies(self._detect_in_copy, picture, [reduction])
        if not found and last < reduction:
            found = detect_in_copies(self._detect_in_copy, picture, [last])
        return found

    def _detect_in_copy(self, copy, reduction: float) -> list[Detection]:
        rectangles, scores, _ = self._detector.run(copy, 0, 0.0)
        # A rectangle holds its first and last pixel; the box runs along their outer edges.
        return [
            Detection(
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
    path = cache_folder() / f"frontal-face-{dlib.__version__}.svm"
    try:
        return dlib.fhog_object_detector(str(path))
    except RuntimeError:  # the copy does not exist yet, or is damaged
        detector = dlib.get_frontal_face_detector()
    # If the cache cannot be written, the next start unpacks the detector again.
    with contextlib.suppress(OutputError, OSError, RuntimeError), atomic_path(path) as temporary:
        detector.save(str(temporary))
    return detector
