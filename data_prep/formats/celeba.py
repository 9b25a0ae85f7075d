"""CelebA: 202,599 pictures of celebrities, 5 points (Liu et al., "Deep Learning Face Attributes in
the Wild", 2015).

    list_landmarks_celeba.txt with img_celeba/                original pictures
    list_landmarks_align_celeba.txt with img_align_celeba/    the same, aligned to 178x218
    list_eval_partition.txt    official parts: 0 train, 1 validation, 2 test
    identity_CelebA.txt        the number of the person in each picture
    list_attr_celeba.txt       40 attributes, 1 or -1; those in ATTRIBUTES become tags

The lists may be in Anno/ and Eval/ and the pictures in Img/, as in the official archive, and the
lists may be the .csv files of Kaggle's copy, which lacks the identities. Of the last three, those
that are missing are done without. Original pictures are read where both kinds are there.

A line of landmarks has x and y, whole pixels, of the left eye, right eye, nose, left and right
corner of the mouth; left is left in the picture. Coordinates are used unchanged, with the centre of
the first pixel at 0; the publishers do not document the origin. All pictures of a person are one
group. The official parts have no person in common. The validation part is treated as training
data, and the validation side is chosen by hash, as for all data sets.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected, checked_label
from senet_kp.data_prep.formats.format import Format
from senet_kp.data_prep.formats.tables import found_in, numbers, read_lines, read_rows
from senet_kp.face.known_schemes import CELEBA5
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError

KINDS = {"list_landmarks_celeba": "img_celeba", "list_landmarks_align_celeba": "img_align_celeba"}
LIST_FOLDERS = (".", "Anno", "Eval")
PARTITION, IDENTITY, ATTRIBUTE_LIST = (
    "list_eval_partition",
    "identity_CelebA",
    "list_attr_celeba",
)
PARTS = {"0": "train", "1": "val", "2": "test"}
OFFICIAL_COUNTS = {"train": 162_770, "val": 19_867, "test": 19_962}
ATTRIBUTES = {
    "Eyeglasses": "eyeglasses",
    "Smiling": "smiling",
    "Male": "male",
    "Mouth_Slightly_Open": "mouth-slightly-open",
}


class CelebA(Format):
    """A list of landmarks, a folder of pictures, and lists of what else is known of them."""

    name = "celeba"
    expects = (
        "list_landmarks_celeba.txt and img_celeba/, or list_landmarks_align_celeba.txt (or .csv)"
        " and img_align_celeba/"
    )
    scheme = CELEBA5
    terms_of_use = "CelebA is for non-commercial research only"
    label_pixels = "stored"  # as programs of 2015 read pictures

    def recognises(self, root: Path) -> bool:
        return _kind(root) is not None

    def find_faces(self, root: Path) -> list[FaceSource]:
        if (kind := _kind(root)) is None:
            raise InputError(f"{root}: expected {self.expects} in it, in Anno/ and in Img/")
        table, folder = kind
        prefix = folder.relative_to(root).as_posix()  # once, because there are 200,000 pictures
        parts, people, tags = _column(root, PARTITION), _column(root, IDENTITY), _tags(root)
        faces = []
        for picture, cells in sorted(_read(table)[1].items()):
            part, person = PARTS.get(parts.get(picture)), people.get(picture)
            faces.append(
                FaceSource(
                    name=f"{prefix}/{picture}",
                    format=self.name,
                    picture=folder / picture,
                    label=table,
                    row=" ".join(cells).encode(),
                    photo=f"{prefix}/{picture}",
                    group=f"CelebA_person_{person}" if person else f"CelebA_{picture}",
                    subset=part or "CelebA",
                    official={None: None, "test": "test"}.get(part, "train"),
                    tags=tags.get(picture, ()),
                )
            )
        return faces

    def read_label(self, source: FaceSource, data: bytes, scheme: LandmarkScheme) -> FaceLabel:
        where = f"{source.label}: the line of {source.picture.name}"
        values = numbers(where, data.decode(errors="replace").split())
        if len(values) != 2 * CELEBA5.count:
            expected = 2 * CELEBA5.count
            raise Rejected("point-count", f"{where} has {len(values)} numbers, not {expected}")
        points = values.reshape(-1, 2)
        return checked_label(where, points, np.ones(len(points), bool), scheme)

    def survey(self, root: Path, sources: list[FaceSource]) -> list[str]:
        counts = Counter(source.subset for source in sources)
        lines = [
            f"  {part:<10} {counts[part]:>7,} pictures (official: {official:,})"
            for part, official in OFFICIAL_COUNTS.items()
        ]
        if not _find_list(Path(root), PARTITION):
            lines = [f"  {'CelebA':<10} {len(sources):>7,} pictures; {PARTITION}.txt is missing"]
        lines.append(f"  {'':<10} read from {sources[0].picture.parent.name}/")
        if not _find_list(Path(root), IDENTITY):
            lines.append(
                f"  {'':<10} {IDENTITY}.txt is missing: every picture is a group of its own, and a"
                " person may be on two sides of the split"
            )
        tags = Counter(tag for source in sources for tag in source.tags)
        found = ", ".join(f"{tag} {count:,}" for tag, count in sorted(tags.items()))
        return [*lines, f"  {'':<10} with the attributes {found}"] if found else lines


def _kind(root: Path) -> tuple[Path, Path] | None:
    """Return the list of landmarks and the folder of the pictures, the first kind that exists."""
    for stem, name in KINDS.items():
        # Kaggle's archive has the pictures one folder deeper, in a folder of the same name.
        folder = found_in(root, (name, f"Img/{name}", ".", "Img"), name)
        if folder and (table := _find_list(root, stem)):
            return table, folder
    return None


def _find_list(root: Path, stem: str) -> Path | None:
    return found_in(root, LIST_FOLDERS, f"{stem}.txt") or found_in(
        root, LIST_FOLDERS, f"{stem}.csv"
    )


def _read(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of the columns after the first, and {picture: its cells}.

    A .txt list may begin with the number of pictures; the names of the columns follow it.
    """
    if path.suffix == ".csv":
        header, *rows = read_rows(path, f"expected {CelebA.expects}")
        header = header[1:]
    else:
        header, rows = [], [line.split() for line in read_lines(path)]
        if rows and len(rows[0]) == 1:
            header, rows = rows[1] if len(rows) > 1 else [], rows[2:]
    if not rows:
        raise InputError(f"{path}: contains no picture")
    return header, {picture.strip(): cells for picture, *cells in rows}


def _column(root: Path, stem: str) -> dict[str, str]:
    """Return {picture: the cell after it} of a list, or {} if the list does not exist."""
    path = _find_list(root, stem)
    return (
        {name: cells[0].strip() for name, cells in _read(path)[1].items() if cells} if path else {}
    )


def _tags(root: Path) -> dict[str, tuple[str, ...]]:
    """Return {picture: its tags}, or {} without a list of attributes."""
    if not (path := _find_list(root, ATTRIBUTE_LIST)):
        return {}
    header, rows = _read(path)
    columns = {header.index(name): tag for name, tag in ATTRIBUTES.items() if name in header}
    return {
        picture: tuple(tag for i, tag in columns.items() if cells[i : i + 1] == ["1"])
        for picture, cells in rows.items()
    }


FORMAT = CelebA()
