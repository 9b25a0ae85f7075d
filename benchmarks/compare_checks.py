"""What benchmarks.compare will need after hours of training, checked before it begins."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.trials import network_size
from senet_kp.face.metrics import normaliser
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import require_package
from senet_kp.inference.dlib_shape import import_dlib
from senet_kp.input.crops import load_crops
from senet_kp.scoring.models import open_model
from senet_kp.tfrecords.errors import InputError, UserError
from senet_kp.tfrecords.files import write_bytes
from senet_kp.tfrecords.shards import shard_paths
from senet_kp.train.config import TrainConfig, recipe
from senet_kp.train.run_folder import differences
from senet_kp.train.setup import checked_records, run_settings

# What freezing and scoring take from a manifest; records of older versions may lack some of it.
NEEDED = ("settings", "sources", "mean_shape", "shape_spread", "detector_box", "stored_px")


def check_values(config):
    """Raise UserError for a flag that makes no comparison."""
    if not config.systems:
        raise UserError("--systems must name at least one system")
    for name in ("images", "batch_size", "repeats"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1")
    if config.speed_s <= 0:
        raise UserError("--speed-s must be greater than 0")


def check_records(config, manifest: dict, with_dlib: bool):
    """Raise InputError if the records cannot be trained on, frozen from or scored on."""
    folder = config.records
    if missing := [key for key in NEEDED if key not in manifest]:
        raise InputError(
            f"{folder}: the manifest has no {missing[0]}; delete the records and make them again"
        )
    for side in ("train", "test"):
        shard_paths(folder, manifest, side)
        if not manifest["sides"][side]["records"]:
            raise InputError(
                f"{folder}: no faces on the {side} side; a comparison needs the train and the test"
                " side, so prepare the records with another --test-share or --split"
            )
    test = load_crops(folder, manifest, "test")
    lengths = normaliser(test.landmarks, test.mask, scheme_of(manifest), "inter-ocular")
    if not np.isfinite(lengths).any():
        raise InputError(f"{folder}: no face of the test side has both outer eye corners labelled")
    if with_dlib and not manifest["sides"]["train"]["complete"]:
        raise InputError(
            f"{folder}: no face of the train side has all its landmarks, which dlib's trainer"
            " needs; leave dlib out of --systems"
        )


def check_networks(networks: dict[str, TrainConfig], manifest: dict):
    """Raise UserError for a network that cannot be trained on the records, or resumed in its run.

    networks: {name: its training}
    """
    for name, training in networks.items():
        checked_records(training)
        try:
            network_size(name, manifest)
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{training.records}: {name} cannot be built for crops of"
                f" {manifest['box']['size_px']} px ({reason}); leave it out of --systems"
            ) from None
        path = training.run / "config.json"
        if path.is_file():
            new = json.loads(json.dumps(run_settings(training, manifest), default=str))
            if different := differences(json.loads(path.read_text()), new):
                raise UserError(
                    f"{training.run}: the folder holds a run with other settings ({different});"
                    " choose another --out"
                )


def check_models(paths: list[Path], records: Path, manifest: dict):
    """Raise ModelError or UserError for a model of an earlier call that is of other records."""
    for path in filter(Path.exists, paths):
        with open_model(path, records, manifest) as model:
            if manifest["records_sha256"] not in model.trained_on:
                raise UserError(
                    f"{path}: was trained on other records than {records}; delete it, or choose"
                    " another --out"
                )


def check_programs(out: Path, with_dlib: bool):
    """Raise ModelError or UserError if a package is missing, OutputError if `out` is read-only."""
    require_package("matplotlib", "matplotlib", out)
    if with_dlib:
        import_dlib()
    probe = out / ".writable"
    write_bytes(probe, b"")
    probe.unlink()


# What differs from the recipes besides the cosine schedule, which all networks have here: it suits
# half of senet's learning rate, and vgg16 is trained without the public weights of its trunk.
DIFFERENT = {
    "senet": {"learning_rate": 2e-3},
    "vgg16": {"learning_rate": 1e-4, "weight_decay": 1e-5, "warmup_steps": 200},
}


def training_of(name: str, config) -> TrainConfig:
    """The training of a network that sees `config.images` pictures."""
    steps = -(-config.images // config.batch_size)
    return replace(
        recipe(name),
        records=config.records,
        run=config.out / name,
        steps=steps,
        batch_size=config.batch_size,
        schedule="cosine",
        bn_decay=0.97,
        validate_every_steps=steps,
        seed=config.seed,
        **DIFFERENT.get(name, {}),
    )
