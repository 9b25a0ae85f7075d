"""What damaged files are fed to: the functions of the commands, and what they may return.

A Target builds its files in a folder, reads them once undamaged, and then as often as asked with
one of them damaged. `use` does what the commands do with them; `problem` says what is wrong with a
result that is not one of the damaged file's own parts or of the undamaged files.
"""

import re
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import Cropped, Reject, crop_record
from senet_kp.data_prep.prepare import plan_of, write_account
from senet_kp.face.facebox import affine_box, to_absolute
from senet_kp.face.pictures import read_picture
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.schema import decode
from senet_kp.tfrecords.shards import ShardWriter
from senet_kp.tfrecords.sides import SIDES
from senet_kp.tfrecords.verify import verify
from tests.faults import sets

LONGEST_MESSAGE = 2000  # characters; that of an unknown format lists all formats
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


class Target(ABC):
    """Files in `root`, of which those in `damaged` are damaged, one at a time.

    `whole` is the result of the undamaged files.
    """

    root: Path
    damaged: list[Path]

    def __new__(cls, *_, **__):
        made = super().__new__(cls)
        made.refused = []
        return made

    def tried(self, call: Callable):
        """The result of a call, or None if it raises a UserError, which is kept in `refused`."""
        try:
            return call()
        except UserError as error:
            self.refused.append(error)
            return None

    def start(self):
        """Read the undamaged files, which must not fail."""
        self.whole = self.use()
        if self.refused:
            raise self.refused[0]

    @abstractmethod
    def use(self):
        """Do what the commands do with the files; may raise UserErrors."""

    @abstractmethod
    def problem(self, result, file: Path, old: bytes, new: bytes, how: str) -> str | None:
        """What is wrong with the result if the bytes of `file` are `new` instead of `old`.

        how: the names of the mutators.
        """


class Here:
    """A pool of processes that does the work itself."""

    @staticmethod
    def map(function, values, chunksize: int = 1):
        return map(function, values)


class DataSet(Target):
    """A data set whose labels are damaged; it is prepared.

    A face whose label is whole gives its own record or a reject, but never another record. The
    points of a face whose label is damaged are among the numbers in its file. All records pass
    `senet-kp verify`.

    first_pixel: the file's coordinate of the first pixel
    by_line:     the file is a text with a line for each face
    """

    def __init__(
        self,
        root: Path,
        build: Callable[[Path], list[Path]],
        first_pixel: int = 0,
        by_line: bool = False,
        text: bool = True,
        **settings,
    ):
        self.root, self.damaged = root, build(root)
        self._first_pixel, self._by_line, self._text = first_pixel, by_line, text
        self._out = root.with_name(f"{root.name}-out")
        self._config = PrepareConfig(
            data=(root,),
            out=self._out,
            detector_pictures=0,
            processes=1,
            max_rejects=1.0,
            test_share=1.0,
            **settings,
        )

    def use(self) -> tuple[dict[str, Cropped | Reject], list[str]]:
        plan = plan_of(self._config)
        results = [crop_record(source, plan.rule) for source in plan.ordered]
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir()
        writers = {side: ShardWriter(self._out, side, 64) for side in SIDES}
        write_account(self._out, plan, results, writers, Here)
        named = {s.name: result for s, result in zip(plan.ordered, results, strict=True)}
        return named, verify(self._out)[0]

    def start(self):
        super().start()
        rejects = [reject for reject in self.whole[0].values() if isinstance(reject, Reject)]
        if rejects or len(self.whole[0]) != sets.FACES:
            raise AssertionError(f"{self.root}: {rejects or self.whole}")

    def problem(self, result, file, old, new, how) -> str | None:
        found, problems = result
        messages = [face.message for face in found.values() if isinstance(face, Reject)]
        longest = max(map(len, messages), default=0)
        if longest > LONGEST_MESSAGE:
            return f"a reject with a message of {longest:,} characters"
        if problems:
            return f"prepared records fail verify: {problems[0]}"
        whole = Counter(map(_identity, self.whole[0].values()))
        accepted = {name: face for name, face in found.items() if isinstance(face, Cropped)}
        changed = {n: face for n, face in accepted.items() if not whole[_identity(face)]}
        if self._text and (strange := self._strange_points(changed, new)):
            return strange
        if self._by_line:
            lines = old.splitlines()
            header = len(lines) > sets.FACES and lines[0] not in new.splitlines()
            touched = (Counter(new.splitlines()) - Counter(lines)).total()
            if len(changed) > touched and not header:
                return f"{len(changed)} faces changed with {touched} lines: {min(changed)}"
        elif self._text and len(changed) > 1:
            return f"{len(changed)} faces changed with one file: {sorted(changed)}"
        return None

    def _strange_points(self, changed: dict[str, Cropped], new: bytes) -> str | None:
        """The name of a face that has a coordinate which is no number in the file."""
        text = new.decode("utf-8-sig", "replace")
        numbers = np.array([0, *map(float, _NUMBER.findall(text))]) - self._first_pixel
        for name, face in changed.items():
            record = decode(face.data, len(face.mask))
            points = to_absolute(face.relative, affine_box(record.affine))[face.mask]
            for value in points.ravel():
                nearest = numbers[np.abs(numbers - value).argmin()]
                if abs(nearest - value) > 0.01 + 1e-4 * abs(value):
                    return f"{name} has the coordinate {value:g}, which is not in the file"
        return None


def _identity(face) -> tuple | None:
    """What a face shows: its picture and its points."""
    if isinstance(face, Reject):
        return None
    return face.bytes_hash, face.relative.tobytes(), face.mask.tobytes()


class Picture(Target):
    """A picture file of a format with or without checksums.

    A cut file is never read as a picture with other pixels. A format with checksums (`sealed`) is
    never read as one, whatever the damage.
    """

    def __init__(self, root: Path, suffix: str, sealed: bool = False, name: str = ""):
        self.root, self._sealed = root, sealed
        self.damaged = sets.write_pictures(root, [name or f"photo{suffix}"])
        if name:
            self.damaged[0].write_bytes(sets.encoded(0, suffix))

    def use(self) -> np.ndarray:
        return read_picture(self.damaged[0])

    def problem(self, result, file, old, new, how) -> str | None:
        if result.dtype != np.uint8 or result.ndim != 3 or result.shape[2] != 3:
            return f"a picture of {result.shape} {result.dtype}"
        cut = old.startswith(new)
        if (cut or self._sealed and "png_" not in how) and not np.array_equal(result, self.whole):
            return f"a damaged file ({len(new):,} of {len(old):,} bytes) is read as a picture"
        return None
