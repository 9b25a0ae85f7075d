"""python -m benchmarks.dlib_baseline --records out/tfrecords --out out/dlib68.dat

Trains dlib's shape predictor on the train side of a record folder, on the very crops a network is
trained on, and prints its NME on the other sides by subset. Beside the predictor, dlib68.json keeps
settings, box rule and scores; `python -m senet_kp.evaluate --model out/dlib68.dat` scores it like a
network, and data_prep.autolabel labels pictures with it.
"""

import sys
from dataclasses import asdict, dataclass, field
from itertools import chain
from os import cpu_count
from pathlib import Path

import numpy as np
import tyro

from senet_kp.face.scheme import LandmarkScheme, scheme_of
from senet_kp.inference.dlib_shape import crop_rectangle, enlarged, import_dlib, to_parts
from senet_kp.inference.model_card import card_path
from senet_kp.input.crops import Crops, load_crops
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate, score_table
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_path, sha256_of_file, write_json
from senet_kp.tfrecords.shards import read_manifest, trained_sides


@dataclass(frozen=True)
class TreeConfig:
    """dlib's training options, by its names; the defaults are dlib's own.

    Tried on the val side, with 800 training faces and their twins: 5 starting shapes of each face
    give 5.9 % NME, 20 give 5.4 %; 15 cascades, 800 pixels and 50 splits instead gain 0.1 %.
    """

    cascade_depth: int = 10
    """cascades, each starting from the shape the one before left"""
    num_trees_per_cascade_level: int = 500
    """trees in a cascade"""
    tree_depth: int = 4
    """splits from root to leaf"""
    nu: float = 0.1
    """learning rate: 1 fits the training faces, near 0 smooths over them"""
    oversampling_amount: int = 20
    """random starting shapes of each face"""
    oversampling_translation_jitter: float = 0.0
    """how far boxes are moved in training, in sides of the box"""
    feature_pool_size: int = 400
    """pixels in a cascade that splits choose from"""
    feature_pool_region_padding: float = 0.0
    """how far those pixels lie outside the landmarks' bounding box, in its sides"""
    num_test_splits: int = 20
    """random splits that are tried at each node"""
    lambda_param: float = 0.1
    """how close the two pixels of a split are to lie"""


@dataclass(frozen=True)
class BaselineConfig:
    records: Path = Path("out/tfrecords")
    """record folder"""
    out: Path = Path("out/dlib68.dat")
    """the predictor"""
    trees: TreeConfig = field(default_factory=TreeConfig)
    mirror: bool = False
    """train on every face's mirrored twin too: where labels lie beside those that a mirror would
    keep, as P1's and HELEN's do, that does harm (4.98 % test NME with twins, 4.69 % without)"""
    train_on_val: bool = False
    """train on the val side too, as a network with this flag is"""
    faces: int = 0
    """train on the first so many faces of a side, in random order; 0 for all"""
    seed: int = 0
    """of dlib's random numbers"""
    threads: int = cpu_count() or 1
    """threads that train; another number rounds sums otherwise, so that trees differ a little"""


def train_baseline(config: BaselineConfig) -> dict:
    """Train, write the predictor and its model card, a .json file; return the card."""
    if config.out.suffix != ".dat":
        raise UserError(f"{config.out}: --out has to end in .dat, the suffix of dlib's predictors")
    manifest = read_manifest(config.records)
    scheme = scheme_of(manifest)
    sides = trained_sides(config.train_on_val)
    crops = [load_crops(config.records, manifest, side, config.faces or None) for side in sides]
    whole = [part.take(np.flatnonzero(part.mask.all(axis=1))) for part in crops]
    faces, left_out = sum(map(len, whole)), sum(map(len, crops)) - sum(map(len, whole))
    if not faces:
        raise InputError(f"{config.records}: no face on the train side has all its points")
    print(f"{faces:,} faces; {left_out:,} with missing points are left out")
    images, shapes = training_set(whole, scheme, config.mirror)
    try:
        predictor = import_dlib().train_shape_predictor(images, shapes, dlib_options(config))
    except RuntimeError as error:
        raise UserError(f"dlib refuses these --trees settings: {error}") from None
    with atomic_path(config.out) as temporary:
        predictor.save(str(temporary))
    card = {
        "config": asdict(config),
        "sha256": sha256_of_file(config.out),
        "records_sha256": manifest["records_sha256"],
        "train_on_val": config.train_on_val,
        **{key: manifest[key] for key in ("box", "detector_box", "scheme", "mean_shape")},
        "faces": faces,
        "faces_left_out": left_out,
    }
    write_json(card_path(config.out), card)  # the evaluation reads it
    card["scores"] = {
        side: evaluate(EvaluateConfig(config.out, config.records, side))[0]
        for side in ("val", "test")
        if manifest["sides"][side]["records"] and side not in sides
    }
    write_json(card_path(config.out), card)
    return card


def training_set(sides: list[Crops], scheme: LandmarkScheme, mirror: bool) -> tuple[list, list]:
    """Enlarged crops, and for each its one shape as dlib.full_object_detection."""
    images, shapes = [], []
    faces = (zip(crops.images, crops.landmarks, strict=True) for crops in sides)
    for image, landmarks in chain.from_iterable(faces):
        twins = [(image, landmarks)]
        if mirror:
            twins.append((image[:, ::-1], scheme.mirror(landmarks)))
        for pixels, points in twins:
            size_px = len(pixels)
            parts = to_parts(points, size_px)
            images.append(enlarged(pixels))
            shapes.append([import_dlib().full_object_detection(crop_rectangle(size_px), parts)])
    return images, shapes


def dlib_options(config: BaselineConfig):
    """The settings as dlib takes them."""
    options = import_dlib().shape_predictor_training_options()
    for name, value in asdict(config.trees).items():
        setattr(options, name, value)
    options.random_seed = str(config.seed)
    options.num_threads = config.threads
    return options


def main():
    config = tyro.cli(
        BaselineConfig, prog="python -m benchmarks.dlib_baseline", description=__doc__
    )
    print(config)
    for result in train_baseline(config)["scores"].values():
        print(score_table(result))
    print(f"written to {config.out}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
