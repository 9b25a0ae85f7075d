"""What the names of pictures say: the photo or clip they belong to, their part of the data set.

The group of a picture is its path below the data set's folder, without the suffix, but

    134212_1.jpg, 134212_2.jpg         faces of one photo, as AFW, HELEN and iBUG name them
    image_003_1.jpg                    the same, as iBUG names them
    AFW_134212_1_0.jpg                 views of one photo, as 300W-LP names them
    <anything>_mirror.jpg              300-W's mirrored copy of <anything>.jpg
    clip/annot/000001.jpg              frames of one clip, by 300-VW's layout: all digits

are one group each. In folders named afw, helen, ibug and lfpw the groups have 300W-LP's names, so
that a photo which is in both data sets stays on one side of the split.
"""

import os
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.tfrecords.schema import face_name

MIRRORED = "_mirror"
FRAME_FOLDERS = ("annot", "frames", "images", "image")  # below a clip's own, which names the group
TERMS = "300-W's and 300-VW's pictures are for non-commercial research only"
_SETS = ("afw", "helen", "ibug", "lfpw")
_RESTRICTED = {*_SETS, "01_indoor", "02_outdoor", "300w", "300vw", "300vw_dataset_2015_12_14"}
_FACE = re.compile(r"(?P<photo>(image_)?\d+)_\d{1,2}")
_VIEWS = (
    re.compile(r"(?P<photo>[A-Z]+_(image_)?\d+)_\d{1,2}_\d{1,2}"),
    re.compile(r"(?P<photo>LFPW_image_(train|test)_\d+)_\d{1,2}"),
)
_LFPW = re.compile(r"image_(?P<number>\d{4})")


def is_mirrored(picture) -> bool:
    """Whether a picture's name is that of a mirrored copy."""
    return Path(picture).stem.endswith(MIRRORED)


def face_source(
    format: str,
    root: Path,
    picture: Path,
    label: Path,
    *,
    number: int = 1,
    subset: str = "",
    otherwise: str = "",
    group: str = "",
    row: bytes | None = None,
    tags: tuple[str, ...] = (),
) -> FaceSource:
    """The n-th face of a picture, counted from 1.

    root: the data set's folder. group, subset: what the label says; else the picture's name says
    the group, and its first folder below `root` is the subset, or `otherwise` where there is none.
    """
    relative = PurePosixPath(Path(os.path.relpath(picture, root)).as_posix())
    name = face_name(str(relative), number)
    folder = relative.parts[0] if len(relative.parts) > 1 and relative.parts[0] != ".." else ""
    return FaceSource(
        name=name,
        format=format,
        picture=picture,
        label=label,
        photo=name,
        group=group or group_of(os.path.basename(os.path.abspath(root)), relative),
        subset=subset or folder or otherwise,
        row=row,
        tags=tags,
    )


def group_of(root_name: str, picture: PurePosixPath) -> str:
    """The group of a picture, by its path below the folder `root_name`."""
    stem = picture.stem.removesuffix(MIRRORED)
    folders = [name for name in picture.parts[:-1] if name not in ("..", "/")]
    if stem.isdigit():
        while folders and folders[-1].lower() in FRAME_FOLDERS:
            folders.pop()
        return "/".join(folders) or root_name
    if official := _official_photo(stem, [name.lower() for name in (root_name, *folders)]):
        return official
    face = _FACE.fullmatch(stem)
    return "/".join([*folders, face["photo"] if face else stem])


def _official_photo(stem: str, folders: list[str]) -> str | None:
    """300W-LP's name for the photo, if the picture is one of 300-W's or 300W-LP's."""
    for view in (pattern.fullmatch(stem) for pattern in _VIEWS):
        if view:
            return view["photo"]
    known = next((name for name in _SETS if name in folders), None)
    face, lfpw = _FACE.fullmatch(stem), _LFPW.fullmatch(stem)
    if known == "lfpw" and lfpw:
        return f"LFPW_image_{'test' if 'testset' in folders else 'train'}_{lfpw['number']}"
    return f"{known.upper()}_{face['photo']}" if known and face else None


def terms_of(sources: list[FaceSource]) -> str:
    """What the pictures may be used for, where folders are named as 300-W's are; else empty."""
    names = {source.subset.lower() for source in sources}
    for source in sources:
        names.update(part.lower() for part in PurePosixPath(source.name).parts[:-1])
    return TERMS if names & _RESTRICTED else ""


def counts_by_subset(sources: list[FaceSource]) -> list[str]:
    """Lines of a survey: faces, pictures and groups of each subset."""
    found = defaultdict(list)
    for source in sources:
        found[source.subset].append(source)
    return [
        f"  {subset:<10} {len(faces):>7,} faces in {len({s.picture for s in faces}):,} pictures of"
        f" {len({s.group for s in faces}):,} photos, clips or people"
        for subset, faces in sorted(found.items())
    ]


def left_out(paths, what: str) -> list[str]:
    """The line of a survey that counts what is left out and names one; none for nothing."""
    paths = sorted(map(str, paths))
    return [f"  {'':<10} {len(paths):,} {what}, {paths[0]} for one"] if paths else []
