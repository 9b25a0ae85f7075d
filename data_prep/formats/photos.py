"""Which photo, clip or person a picture belongs to, and which subset, according to its path.

The group of a picture is its path below the data set's folder, without the suffix, except that
these pictures have one group in common:

    134212_1.jpg, 134212_2.jpg         faces of one photo, in the naming of AFW, HELEN and iBUG
    image_003_1.jpg                    the same, in another naming of iBUG
    AFW_134212_1_0.jpg                 views of one photo, in the naming of 300W-LP
    LFPW_image_0001_0.jpg              the same for LFPW, also as LFPW_image_train_0001_0
    <anything>_mirror.jpg              300-W's mirrored copy of <anything>.jpg
    clip/annot/000001.jpg              frames of one clip, in the layout of 300-VW: digits only, in
                                       annot/ or frames/, or with a label in annot/

In folders named afw, helen, ibug and lfpw the groups have the names of 300W-LP, so that a photo
which is in both data sets stays on one side of the split.
"""

import os
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.face.folders import Contents, counted
from senet_kp.tfrecords.schema import face_name

MIRRORED = "_mirror"
FRAME_FOLDERS = ("annot", "frames", "images", "image")  # in the folder of a clip, its group
CLIP_FOLDERS = ("annot", "frames")  # pictures in them are frames of one clip
TERMS = "300-W's and 300-VW's pictures are for non-commercial research only"
_SETS = ("afw", "helen", "ibug", "lfpw")
_RESTRICTED = {*_SETS, "01_indoor", "02_outdoor", "300w", "300vw", "300vw_dataset_2015_12_14"}
_FACE = re.compile(r"(?P<photo>(image_)?\d+)_\d{1,2}")
_VIEWS = (
    re.compile(r"(?P<photo>[A-Z]+_(image_)?\d+)_\d{1,2}_\d{1,2}"),
    re.compile(r"(?P<photo>LFPW_image_((train|test)_)?\d+)_\d{1,2}"),
)
_LFPW = re.compile(r"image_(?P<number>\d{4})")


def is_mirrored(picture) -> bool:
    """Return whether a picture has the name of one of 300-W's mirrored copies."""
    return Path(picture).stem.endswith(MIRRORED)


def face_source(
    format: str,
    root: Path,
    picture: Path,
    label: Path,
    *,
    number: int = 1,
    subset: str = "",
    default_subset: str = "",
    group: str = "",
    row: bytes | None = None,
    tags: tuple[str, ...] = (),
    columns: dict[str, str] | None = None,
) -> FaceSource:
    """Return the FaceSource of face `number` (from 1) of a picture in the data set's folder `root`.

    Without `group`, the path of the picture determines the group. Without `subset`, it is the
    first folder of that path, or `default_subset` for a picture directly in `root`.
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
        group=group
        or group_of(
            os.path.basename(os.path.abspath(root)),
            relative,
            is_frame=label.parent.name.lower() == FRAME_FOLDERS[0],
        ),
        subset=subset or folder or default_subset,
        row=row,
        tags=tags,
        columns=columns or {},
    )


def group_of(root_name: str, picture: PurePosixPath, is_frame: bool = False) -> str:
    """Return the group of a picture, given its path below the folder named `root_name`.

    `is_frame` says that its label is in a folder annot/, as those of 300-VW's frames are.
    """
    stem = picture.stem.removesuffix(MIRRORED)
    folders = [name for name in picture.parts[:-1] if name not in ("..", "/")]
    in_clip = is_frame or (bool(folders) and folders[-1].lower() in CLIP_FOLDERS)
    if stem.isdigit() and in_clip:
        while folders and folders[-1].lower() in FRAME_FOLDERS:
            folders.pop()
        return "/".join(folders) or root_name
    if official := _official_photo(stem, [name.lower() for name in (root_name, *folders)]):
        return official
    face = _FACE.fullmatch(stem)
    return "/".join([*folders, face["photo"] if face else stem])


def _official_photo(stem: str, folders: list[str]) -> str | None:
    """Return 300W-LP's name of the photo if the picture is one of 300-W or 300W-LP."""
    for view in (pattern.fullmatch(stem) for pattern in _VIEWS):
        if view:
            return view["photo"]
    known = next((name for name in _SETS if name in folders), None)
    face, lfpw = _FACE.fullmatch(stem), _LFPW.fullmatch(stem)
    if known == "lfpw" and lfpw:
        return f"LFPW_image_{'test' if 'testset' in folders else 'train'}_{lfpw['number']}"
    return f"{known.upper()}_{face['photo']}" if known and face else None


def terms_of(sources: list[FaceSource]) -> str:
    """Return the terms of use if folders have the names of 300-W's or 300-VW's; else ""."""
    names = {source.subset.lower() for source in sources}
    for source in sources:
        names.update(part.lower() for part in PurePosixPath(source.name).parts[:-1])
    return TERMS if names & _RESTRICTED else ""


def counts_by_subset(sources: list[FaceSource]) -> list[str]:
    """Return a line for each subset with its numbers of faces, pictures and groups."""
    found = defaultdict(list)
    for source in sources:
        found[source.subset].append(source)
    return [
        f"  {subset:<10} {len(faces):>7,} faces in {len({s.picture for s in faces}):,} pictures of"
        f" {len({s.group for s in faces}):,} photos, clips or people"
        for subset, faces in sorted(found.items())
    ]


def left_out(paths, what: str) -> list[str]:
    """Return a line with the number of `paths`, the reason `what`, and an example; [] if none."""
    return _indented([counted(paths, what)] if paths else [])


def not_read(contents: Contents) -> list[str]:
    """Return a line for every kind of picture, folder or link that a reader passes over."""
    return _indented(contents.lines())


def _indented(lines: list[str]) -> list[str]:
    return [f"  {'':<10} {line}" for line in lines]
