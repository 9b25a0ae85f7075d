"""python -m benchmarks.dlib_baseline --records out/tfrecords --out out/dlib68.dat

Train dlib's shape predictor on the train split of a record folder, on the same crops that networks
are trained on, and print its NME on the other splits by subset. Settings, box rule and scores are
written to dlib68.json, and the fingerprints of its training faces to dlib68.fingerprints.
`senet-kp evaluate --model out/dlib68.dat` scores the predictor like a network, and
`senet-kp autolabel --model out/dlib68.dat` labels pictures with it.
"""

import signal
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
from senet_kp.scoring.fingerprint_file import write_fingerprints
from senet_kp.scoring.lineage import learned_faces
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_path, sha256_of_file, write_json
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.tfrecords.sides import trained_sides


@dataclass(frozen=True)
class TreeConfig:
    """dlib's training options, with dlib's names and defaults.

    On the val split, with 800 training faces and their mirrored copies, 5 starting shapes per face
    give 5.9 % NME and 20 give 5.4 %; 15 cascades, 800 pixels and 50 splits instead gain 0.1 %.
    """

    cascade_depth: int = 10
    """number of cascades; each refines the shape that the previous one predicts"""
    num_trees_per_cascade_level: int = 500
    """trees per cascade"""
    tree_depth: int = 4
    """splits from root to leaf"""
    nu: float = 0.1
    """learning rate: 1 fits the training faces most closely, values near 0 regularise"""
    oversampling_amount: int = 20
    """random starting shapes per face"""
    oversampling_translation_jitter: float = 0.0
    """random shift of the boxes in training, as a fraction of the box size"""
    feature_pool_size: int = 400
    """pixels per cascade that splits choose from"""
    feature_pool_region_padding: float = 0.0
    """margin around the landmarks' bounding box for these pixels, as a fraction of its size"""
    num_test_splits: int = 20
    """random splits that are tried at each node"""
    lambda_param: float = 0.1
    """how strongly splits prefer two pixels that are close to each other"""


@dataclass(frozen=True)
class BaselineConfig:
    records: Path = Path("out/tfrecords")
    """record folder"""
    out: Path = Path("out/dlib68.dat")
    """file of the predictor, ending in .dat"""
    trees: TreeConfig = field(default_factory=TreeConfig)
    mirror: bool = False
    """also train on mirrored copies; where labels are not mirror-symmetric, as in P1 and HELEN,
    this is worse (4.98 % test NME with mirrored copies, 4.69 % without)"""
    train_on_val: bool = False
    """also train on the val split"""
    faces: int = 0
    """train on this many random faces of a split; 0 for all"""
    seed: int = 0
    """seed of dlib's random numbers"""
    threads: int = cpu_count() or 1
    """training threads; their number changes the rounding of sums, and so the trees slightly"""


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
    training = {
        "records_sha256": manifest["records_sha256"],
        "train_on_val": config.train_on_val,
    }
    learned = learned_faces(training, {manifest["records_sha256"]: config.records})
    card = {
        "config": asdict(config),
        "sha256": sha256_of_file(config.out),
        **training,
        **write_fingerprints(config.out, learned),
        **{key: manifest[key] for key in ("box", "detector_box", "scheme", "mean_shape")},
        "yunet_box": manifest.get("yunet_box"),
        "faces": faces,
        "faces_left_out": left_out,
    }
    write_json(card_path(config.out), card)  # the evaluation reads it
    card["scores"] = {
        side: evaluate(EvaluateConfig(model=config.out, records=config.records, side=side))[0]
        for side in ("val", "test")
        if manifest["sides"][side]["records"] and side not in sides
    }
    write_json(card_path(config.out), card)
    return card


def training_set(sides: list[Crops], scheme: LandmarkScheme, mirror: bool) -> tuple[list, list]:
    """Return enlarged crops, and for each a list with its shape as dlib.full_object_detection."""
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
    """Return the settings as dlib's training options."""
    options = import_dlib().shape_predictor_training_options()
    for name, value in asdict(config.trees).items():
        setattr(options, name, value)
    options.random_seed = str(config.seed)
    options.num_threads = config.threads
    options.be_verbose = True
    return options


def main():
    config = tyro.cli(
        BaselineConfig, prog="python -m benchmarks.dlib_baseline", description=__doc__
    )
    print(config)
    # dlib trains in one call of minutes to hours, in which Python's handlers would have to wait.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for result in train_baseline(config)["scores"].values():
        print(score_table(result))
    print(f"written to {config.out}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
