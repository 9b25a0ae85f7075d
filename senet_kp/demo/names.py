"""The files that drawings and crops are written to, and which found pictures are such files."""

import itertools
import os
import re
from pathlib import Path

from senet_kp.face.folders import Contents

_DRAWING = re.compile(r".+-landmarks(-\d+)?\.(jpg|png)")
_CROP = re.compile(r".+-face-\d+\.png")


class DrawnNames:
    """The files that drawings are written to; no two sources of a run share one.

    A name that is taken gets a number: photo-landmarks.jpg, photo-landmarks-2.jpg and so on.
    Upper and lower case are one name, as on the disks of Windows and macOS.
    """

    def __init__(self, folder: Path):
        self._folder, self._taken = folder, set()

    def target(self, stem: str, suffix: str, below: str = "") -> Path:
        """The file for a source with this stem; suffix: ".jpg", for example.

        below: the folder inside that of the drawings.
        """
        names = (f"{stem}-landmarks{number}{suffix}" for number in _numbers())
        return _first_free(names, self._folder / below, self._taken)


class CropNames:
    """The files that aligned faces are written to; no two faces of a run share one.

    The faces of photo.jpg are photo-face-1.png, photo-face-2.png and so on, and those of a further
    source with this stem photo-2-face-1.png and so on.
    """

    def __init__(self, folder: Path):
        self._folder, self._taken = folder, set()

    def start(self, stem: str, below: str = "") -> Path:
        """What the files of a source with this stem begin with, see `crop_file`.

        below: the folder inside that of the crops.
        """
        stems = (f"{stem}{number}" for number in _numbers())
        return _first_free(stems, self._folder / below, self._taken)


def crop_file(start: Path, face: int) -> Path:
    """The file of the crop of a face, which are counted from 1."""
    return start.with_name(f"{start.name}-face-{face}.png")


def leave_out_own(found: Contents, drawings: Path | None, crops: Path | None):
    """Move drawings and crops of earlier runs from the found pictures to what is left out.

    They are known by their names, inside the folders that this run writes to; None for no folder.
    """
    kinds = [(drawings, _DRAWING), (crops, _CROP)]
    own = [(os.path.realpath(folder), name) for folder, name in kinds if folder is not None]
    kept = []
    for path in found.pictures:
        if any(name.fullmatch(path.name) and _is_inside(path, folder) for folder, name in own):
            found.leave_out("drawings and crops of earlier runs are left out", path)
        else:
            kept.append(path)
    found.pictures = kept


def _is_inside(path: Path, folder: str) -> bool:
    return Path(os.path.realpath(path.parent)).is_relative_to(folder)


def _numbers():
    """What tells equal names apart: nothing, "-2", "-3" and so on."""
    return itertools.chain([""], (f"-{number}" for number in itertools.count(2)))


def _first_free(names, folder: Path, taken: set[str]) -> Path:
    """The first name in a folder that is not taken, which it then is."""
    path = next(path for name in names if str(path := folder / name).casefold() not in taken)
    taken.add(str(path).casefold())
    return path
