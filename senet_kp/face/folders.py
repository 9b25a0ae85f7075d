"""What a folder holds, in one walk for the demo, for autolabel and for the readers of data sets.

Pictures are found by the suffix of their names. Whatever is like a picture and is not read is
counted, so that nothing is left out in silence.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from senet_kp.face.heic import HOW_TO_READ_HEIC, has_heic_reader
from senet_kp.tfrecords.errors import InputError

# Of pictures that OpenCV reads. Of two pictures with one stem, labels belong to the earlier suffix.
_COMMON = ".jpg .jpeg .png .bmp .webp .tif .tiff .ppm .pgm"
_RARE = ".jpe .jfif .avif .gif .jp2 .pbm .pnm .pam .dib .ras .sr .hdr"
SUFFIXES = tuple(f"{_COMMON} {_RARE}".split())
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
# Of pictures that are not read; OpenCV would take the small preview in some cameras' raw files.
_RAW = ".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw"
UNREAD_SUFFIXES = frozenset(f"{_RAW} .jxl .psd .svg .tga .exr".split())
_VIDEOS = ".mp4 .avi .mov .mkv .webm .m4v .mpg .mpeg .wmv .flv .3gp .ts .mts .m2ts .ogv .mjpeg"
VIDEO_SUFFIXES = frozenset(_VIDEOS.split())

NOT_READ = "which OpenCV does not read: convert to JPEG"
_FOLDERS, _LINKS = "folders in it are left out", "links to folders are not followed"
_NAMED = "videos are left out; the demo reads those that are named"
_HIDDEN, _BROKEN = "hidden pictures are left out", "links lead to no file and are left out"


def suffix_of(path) -> str:
    """Return the suffix of a file's name in lower case."""
    return os.path.splitext(path)[1].lower()


def is_picture(path) -> bool:
    """Whether a file has the suffix of a picture that can be read."""
    suffix = suffix_of(path)
    return suffix in SUFFIXES or (suffix in HEIC_SUFFIXES and has_heic_reader())


def unread_format(path) -> str | None:
    """Return what to say of pictures with the suffix of this one, or None if it is not unread."""
    suffix = suffix_of(path)
    if suffix in HEIC_SUFFIXES and not has_heic_reader():
        return f"pictures are HEIC, {HOW_TO_READ_HEIC}"
    return f"pictures are {suffix}, {NOT_READ}" if suffix in UNREAD_SUFFIXES else None


@dataclass
class Contents:
    """The contents of a folder.

    pictures: those that can be read, sorted
    unread:   pictures in formats that are not read, sorted
    videos:   videos, sorted
    others:   all other files, such as labels, sorted
    left_out: {what: paths} of what else is left out
    """

    pictures: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def leave_out(self, what: str, path: Path):
        """Count a path among what is left out."""
        self.left_out.setdefault(what, []).append(path)

    def enter(self, entry: os.DirEntry):
        """Put a file into the list that it belongs to."""
        path = Path(entry.path)
        if entry.name.startswith("."):
            if is_picture(path) or unread_format(path):
                self.leave_out(_HIDDEN, path)
        elif entry.is_symlink() and not path.exists():
            self.leave_out(_BROKEN, path)
        elif is_picture(path):
            self.pictures.append(path)
        elif unread_format(path):
            self.unread.append(path)
        else:
            (self.videos if suffix_of(path) in VIDEO_SUFFIXES else self.others).append(path)

    def lines(self) -> list[str]:
        """Return a line for every kind of thing that is left out: how many, why, and an example.

        Other files are not among them.
        """
        kinds = dict(self.left_out) | ({_NAMED: self.videos} if self.videos else {})
        for path in self.unread:
            kinds.setdefault(unread_format(path), []).append(path)
        return [counted(paths, what) for what, paths in sorted(kinds.items())]


def counted(paths, what: str) -> str:
    """Return a line with the number of `paths`, what is said of them, and an example."""
    paths = sorted(map(str, paths))
    return f"{len(paths):,} {what}, for example {paths[0]}"


def contents_of(folder) -> Contents:
    """Return what is directly in a folder; folders in it are left out. Raises OSError."""
    found = Contents()
    for entry in _entries(folder):
        if not entry.is_dir():
            found.enter(entry)
        elif not entry.name.startswith("."):
            found.leave_out(_FOLDERS, Path(entry.path))
    return found


def contents_below(folder, drawings: Callable[[list[str]], tuple] = lambda names: ()) -> Contents:
    """Return what is in a folder at any depth, except in hidden folders and in links to folders.

    drawings: given the names of all files and folders in a folder, those to pass over
    """
    found = Contents()
    for entry in walk(folder, drawings, found):
        found.enter(entry)
    return found


def walk(folder, drawings: Callable[[list[str]], tuple], found: Contents) -> Iterator[os.DirEntry]:
    """Yield every file below a folder in sorted order; see `contents_below`.

    What is no file and left out is entered in `found`.
    """
    try:
        entries = _entries(folder)
    except OSError:
        found.leave_out("folders cannot be listed and are left out", Path(folder))
        return
    passed, inner = drawings([entry.name for entry in entries]), []
    for entry in (entry for entry in entries if entry.name not in passed):
        if not entry.is_dir():
            yield entry
        elif entry.is_symlink():
            found.leave_out(_LINKS, Path(entry.path))
        elif not entry.name.startswith("."):
            inner.append(entry.path)
    for path in inner:
        yield from walk(path, drawings, found)


def _entries(folder) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def pictures_in(folder) -> Contents:
    """Return what is directly in a folder. Raises InputError if no picture in it can be read."""
    found = contents_of(folder)
    require_pictures(folder, found)
    return found


def require_pictures(folder, found: Contents):
    """Raise InputError, which says what is left out, if no picture of a folder can be read."""
    if not found.pictures:
        reasons = "; ".join(found.lines()) or ", ".join(SUFFIXES)
        raise InputError(f"{folder}: a folder without pictures ({reasons})")
