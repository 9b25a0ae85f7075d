"""`Format`, the base class of the data-set formats that preparation can read."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource
from senet_kp.data_prep.formats.photos import counts_by_subset
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

Pixels = Literal["stored", "upright"]


class Format(ABC):
    """How the pictures and labels of a data set are laid out on disk.

    To add a format, add a module to this package that defines a subclass and
    `FORMAT = TheSubclass()`. A subclass must set `name` and `expects` and implement `recognises`,
    `find_faces` and `read_label`. The defaults of everything else suit a data set with one set of
    landmarks, without mirrored copies and without terms of use.

    name:         what `--format` calls it
    expects:      what a folder in this format contains, for help texts and error messages
    scheme:       landmark scheme of the labels, unless `--scheme` names another
    terms_of_use: restrictions on the use of the pictures; empty if none are known
    label_pixels: where the labels of a picture with an EXIF orientation lie: in "upright" pixels,
                  as viewers show the picture, or in "stored" ones, as MATLAB, dlib and other
                  programs read it that ignore the orientation
    settings:     values of PrepareConfig fields whose defaults on the command line are different
                  for this format; the value of `box` is in turn a dict of BoxRule fields
    """

    name: str
    expects: str
    scheme: LandmarkScheme = IBUG68
    terms_of_use: str = ""
    label_pixels: Pixels = "upright"
    settings: dict = {}

    @property
    def label_sets(self) -> dict[str, str]:
        """{name: description} of the landmark sets that `--points` chooses from, default first."""
        return {self.name: "the only one"}

    def label_set(self, points: str) -> str:
        """Return the label set that `--points` selects, or the default if it names no other.

        What follows "=" in `points` is the file that holds the set.
        """
        name = points.partition("=")[0]
        return name if name in self.label_sets else next(iter(self.label_sets))

    @abstractmethod
    def recognises(self, root: Path) -> bool:
        """Return whether `root`, which exists, looks like this format, without reading labels."""

    @abstractmethod
    def find_faces(self, root: Path) -> Iterable[FaceSource]:
        """Return every labelled face under `root`, which exists, in a reproducible order.

        Mirrored copies are included. Pictures are not opened. Raises InputError.
        """

    @abstractmethod
    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        """Parse the label of one face from `source.row`, or else from the bytes of its label file.

        Raises Rejected if the label cannot be used.
        """

    def is_mirrored(self, source: FaceSource) -> bool:
        """Return whether a face is a mirrored copy, which is read only with `--flips`."""
        return False

    def choose_labels(self, faces: list[FaceSource], points: str) -> list[FaceSource]:
        """Return the faces with the label set that `--points` selects. Raises InputError."""
        return faces

    def scan(self, root, flips: bool = False, points: str = "") -> list[FaceSource]:
        """Return every face that preparation reads from `root`, without opening the pictures.

        flips:  include mirrored copies, if the data set has any
        points: the value of `--points`
        Raises InputError if `root` does not exist or contains no labelled face.
        """
        root = Path(root)
        if not root.exists():
            raise InputError(f"{root}: no such file or folder; expected {self.expects}")
        faces = [face for face in self.find_faces(root) if flips or not self.is_mirrored(face)]
        if not faces:
            raise InputError(f"{root}: no labelled picture found; expected {self.expects}")
        return self.choose_labels(faces, points)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        """Return lines for the user that say what a scan found and what it left out."""
        return counts_by_subset(sources)

    def terms(self, sources: list[FaceSource]) -> str:
        """Return the restrictions on the use of these pictures; empty if none are known."""
        return self.terms_of_use
