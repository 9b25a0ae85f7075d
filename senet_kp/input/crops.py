"""Loads records as NumPy arrays for validation, evaluation and the check of exported models."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from senet_kp.face.metrics import Normaliser, normalised_errors
from senet_kp.face.pictures import stored_picture
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.schema import Record
from senet_kp.tfrecords.shards import read_records

ANY_SIDES = ("test", "val", "train")  # faces that a network was not trained on come first


@dataclass(frozen=True)
class Crops:
    """n face crops at the size of the network input, with their labels.

    images: uint8 [n, S, S, 3], RGB; landmarks: [n, N, 2], box-relative; mask: bool [n, N], which
    landmarks are labelled; pose_deg: [n, 3], pitch, yaw and roll (NaN where unknown); affine:
    [n, 2, 3], maps box-relative coordinates to pixels of the source picture; names, groups and
    subsets: one each per face; tags: any number per face.
    """

    images: np.ndarray
    landmarks: np.ndarray
    mask: np.ndarray
    pose_deg: np.ndarray
    affine: np.ndarray
    names: list[str]
    groups: list[str]
    subsets: list[str]
    tags: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.names)

    def normalised_errors(self, predicted, scheme: LandmarkScheme, kind: Normaliser) -> np.ndarray:
        """The point errors [n, N] of predictions [n, N, 2], box-relative; NaN where not labelled.

        Distances are measured as in the source pictures, in which a box may be wider than high.
        """
        height_over_width = self.affine[:, 1, 1] / self.affine[:, 0, 0]
        shape = np.stack([np.ones(len(self)), height_over_width], 1)[:, None]
        return normalised_errors(predicted * shape, self.landmarks * shape, self.mask, scheme, kind)

    def subset_masks(self) -> dict[str, np.ndarray]:
        """{subset: bool [n]}: which faces belong to each subset."""
        return {name: np.array(self.subsets) == name for name in sorted({*self.subsets})}

    def tag_masks(self) -> dict[str, np.ndarray]:
        """{tag: bool [n]}: which faces have each tag."""
        every = sorted({tag for tags in self.tags for tag in tags})
        return {tag: np.array([tag in tags for tags in self.tags]) for tag in every}

    def take(self, indices) -> "Crops":
        """The faces at these indices, in the order of the indices."""

        def taken(values):
            array = isinstance(values, np.ndarray)
            return values[indices] if array else [values[index] for index in indices]

        return Crops(**{key: taken(values) for key, values in vars(self).items()})


def central_crop(stored, size_px: int) -> np.ndarray:
    """The face box [size_px, size_px, 3] in the centre of a stored picture [C, C, 3]."""
    margin = (stored.shape[0] - size_px) // 2
    return stored[margin : margin + size_px, margin : margin + size_px]


def load_crops(folder, manifest: dict, side: str, limit: int | None = None) -> Crops:
    """The first `limit` faces of a side (train, val or test), or all of them.

    The faces are stored in random order. Raises InputError for a shard that is missing or damaged,
    as the other functions here do.
    """
    return _crops(folder, manifest, read_records(folder, manifest, side, limit))


def load_labels(folder, manifest: dict, side: str) -> np.ndarray:
    """The landmarks [n, N, 2] of a side, box-relative; NaN where not labelled. Decodes no picture.

    Raises InputError as `load_crops` does.
    """
    shape = (0, manifest["scheme"]["landmarks"], 2)
    records = read_records(folder, manifest, side)
    labels = [np.where(r.mask[:, None] > 0, r.landmarks, np.nan) for r in records]
    return np.array(labels, np.float32) if labels else np.empty(shape, np.float32)


def load_any_crops(folder, manifest: dict, limit: int | None = None, sides=ANY_SIDES) -> Crops:
    """The first `limit` faces of some sides in this order, or all; a side may not exist."""
    found = [side for side in sides if side in manifest["sides"]]
    records = (read_records(folder, manifest, side) for side in found)
    return _crops(folder, manifest, islice(chain.from_iterable(records), limit))


def load_stored(folder, manifest: dict, side: str, indices) -> np.ndarray:
    """The stored pictures uint8 [k, C, C, 3], RGB with context, of the faces at k indices."""
    wanted, pictures = set(map(int, indices)), {}
    for index, record in enumerate(read_records(folder, manifest, side)):
        if index in wanted:
            pictures[index] = stored_picture(record.picture, record.name, record.encoding)
    return np.array([pictures[int(index)] for index in indices], np.uint8)


def _crops(folder, manifest: dict, found: Iterable[Record]) -> Crops:
    size_px, count = manifest["box"]["size_px"], manifest["scheme"]["landmarks"]
    stored_px, records, images = manifest["stored_px"], list(found), []
    for record in records:
        picture = stored_picture(record.picture, record.name, record.encoding)
        if picture.shape != (stored_px, stored_px, 3):
            raise InputError(
                f"{folder}: the picture of {record.name} has the shape {list(picture.shape)}, but"
                f" by the manifest it is {stored_px} px wide; make the records again"
            )
        images.append(central_crop(picture, size_px))
    return Crops(
        images=np.array(images, np.uint8).reshape(-1, size_px, size_px, 3),
        landmarks=np.array([r.landmarks for r in records], np.float32).reshape(-1, count, 2),
        mask=np.array([r.mask > 0 for r in records]).reshape(-1, count),
        pose_deg=np.array([r.pose for r in records], np.float32).reshape(-1, 3),
        affine=np.array([r.affine for r in records], np.float64).reshape(-1, 2, 3),
        names=[r.name for r in records],
        groups=[r.group for r in records],
        subsets=[r.subset for r in records],
        tags=[r.tags for r in records],
    )
