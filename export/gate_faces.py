"""Face crops for the export gate and for calibration, from records of any size.

Both need a variety of pixels and no labels. Records with fewer than MIN_FACES faces are therefore
completed with rendered faces, which are cropped by the records' own box rule.
"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.face.facebox import crop, face_box
from senet_kp.inference.model_card import box_rule
from senet_kp.input.crops import Crops, load_any_crops, load_crops

MIN_FACES = 64
GATE_FACES = 128  # number of faces to compare, if the records contain as many
SEED = 64  # of the rendered faces, other than that of the sample data set
VIEWS = 8  # per rendered identity; its surfaces take as long as three views


@dataclass(frozen=True)
class GateFaces:
    """n face crops.

    images: [n, S, S, 3] uint8 RGB; names: [n]; rendered: how many of them, the last ones, were
    rendered
    """

    images: np.ndarray
    names: list[str]
    rendered: int

    def __len__(self) -> int:
        return len(self.names)

    def counts(self) -> dict[str, int]:
        """The numbers of faces for the model card."""
        return {"faces": len(self), "rendered_faces": self.rendered}


def described(counts: dict) -> str:
    """The `counts` of faces in words."""
    own, rendered = counts["faces"] - counts["rendered_faces"], counts["rendered_faces"]
    return f"{own} faces of the records" + (f" and {rendered} rendered ones" if rendered else "")


def gate_faces(records, manifest: dict) -> GateFaces:
    """Up to GATE_FACES faces of the records, first of the test side; at least MIN_FACES faces.

    Raises InputError for a shard that is missing or damaged, as `calibration_faces` does.
    """
    return _completed(load_any_crops(records, manifest, GATE_FACES), manifest)


def calibration_faces(records, manifest: dict, limit: int) -> GateFaces:
    """`limit` faces of the train side; if it has fewer, completed up to MIN_FACES faces."""
    own = load_crops(records, manifest, "train", limit)
    return _completed(own, manifest, min(limit, MIN_FACES))


def _completed(own: Crops, manifest: dict, at_least: int = MIN_FACES) -> GateFaces:
    lacking = max(at_least - len(own), 0)
    if not lacking:
        return GateFaces(own.images, own.names, 0)
    names = [f"rendered face {number}" for number in range(1, lacking + 1)]
    images = np.concatenate([own.images, rendered_crops(box_rule(manifest), lacking)])
    return GateFaces(images, own.names + names, lacking)


def rendered_crops(rule, count: int) -> np.ndarray:
    """Crops [count, S, S, 3] uint8 RGB of rendered faces and, in between, their mirror images."""
    crops = []
    bar = tqdm(total=count, unit="face", desc="rendered faces", disable=None)
    while len(crops) < count:
        for view in render_identity(SEED, len(crops), VIEWS):
            box = face_box(view.points_2d, rule)
            face = crop(view.image[..., ::-1].copy(), box, rule.size_px, rule.padding)
            crops += [face, face[:, ::-1]]
            bar.update(2)
    bar.close()
    return np.array(crops[:count])
