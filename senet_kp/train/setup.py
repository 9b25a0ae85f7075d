"""What a training needs before its first step: checked records, settings, and the graph."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from senet_kp.face.scheme import LandmarkScheme, flip_table_error, scheme_of
from senet_kp.input.features import StoredFeatures
from senet_kp.input.pipeline import Batch, InputConfig, sample_count, training_batch
from senet_kp.input.sampling import population
from senet_kp.nets import output_names, size_error
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import CheckError, InputError, UserError
from senet_kp.tfrecords.shards import read_manifest, read_records
from senet_kp.tfrecords.sides import trained_sides
from senet_kp.train.checkpoints import initial_settings
from senet_kp.train.config import (
    TrainConfig,
    check,
    effective,
    point_weights,
    shares_of,
    with_steps,
)
from senet_kp.train.graph import TrainingGraph, build_training_graph


@dataclass(frozen=True)
class TrainingOps:
    """The ops of a training step: its input batch and the training graph."""

    batch: Batch
    start_input: object  # op that starts the input pipeline
    graph: TrainingGraph

    def step_fetches(self) -> dict:
        """The training op, and the tensors whose values describe the step."""
        return {
            "train": self.graph.train_op,
            "loss": self.graph.loss,
            "train_loss": self.graph.landmark_loss,
            "train_mae": self.graph.mae,
            "sample_loss": self.graph.sample_loss,
            "learning_rate": self.graph.schedule.learning_rate,
            "gradient_norm": self.graph.gradient_norm,
            "wait_s": self.batch.wait_s,
            "names": self.batch.name,
        }


def resolved(config: TrainConfig) -> TrainConfig:
    """The settings as a training uses them: see `config.effective` and `with_steps`.

    Raises UserError for settings that contradict each other, and InputError for records that
    cannot be used.
    """
    config = effective(config)
    return with_steps(config, epoch_size(config)) if config.epochs else config


def epoch_size(config: TrainConfig) -> int:
    """The number of faces in an epoch; raises InputError if the records have none to train on."""
    return sample_count(input_config(config), read_manifest(config.records))


def checked_records(config: TrainConfig) -> tuple[dict, LandmarkScheme]:
    """The manifest and the landmark scheme of the records.

    Raises UserError if the settings are invalid or the records cannot be trained on.
    """
    manifest = read_manifest(config.records)
    sample_count(input_config(config), manifest)
    scheme = scheme_of(manifest)
    if (manifest["colour"], manifest["value_range"]) != ("RGB", [0, 255]):
        raise InputError(
            f"{config.records}: the pictures must be RGB with values 0..255, not"
            f" {manifest['colour']} with values {manifest['value_range']}; make the records again"
        )
    if error := flip_table_error(scheme, manifest["mean_shape"]):
        raise CheckError(f"{config.records}: {error}")
    check(config, scheme)
    _require_reference(config, manifest)
    if error := size_error(config.net, manifest["box"]["size_px"]):
        raise InputError(f"{config.records}: {error}")
    if "shape_spread" not in manifest and "label_spread" in output_names(config.net):
        raise InputError(
            f"{config.records}: the manifest was written by an older version and lacks the standard"
            f" deviations of the landmarks, which {config.net} needs; delete the records and make"
            " them again"
        )
    return manifest, scheme


def _require_reference(config: TrainConfig, manifest: dict):
    """Raise UserError if the records have no face of --reference-subset, or no other one."""
    if not config.reference_subset:
        return
    sides = trained_sides(config.train_on_val)
    records = (r for side in sides for r in read_records(config.records, manifest, side))
    found = sorted({record.subset for record in records})
    if config.reference_subset not in found or len(found) == 1:
        raise UserError(
            f"--reference-subset {config.reference_subset}: the records to train on have the"
            f" subsets {', '.join(found)}; name one of several"
        )


def run_settings(config: TrainConfig, manifest: dict) -> dict:
    """The settings by which a run folder recognises its run.

    They are the config, the hash of the records, and the settings of the run or model that
    --init-from names.
    """
    before = initial_settings(Path(config.init_from)) if config.init_from else None
    return asdict(config) | {"records_sha256": manifest["records_sha256"], "before": before}


def input_config(config: TrainConfig, share: tuple[int, int] = (0, 1)) -> InputConfig:
    """The input pipeline's part of the settings; `share` as in InputConfig."""
    return InputConfig(
        records=config.records,
        sides=trained_sides(config.train_on_val),
        batch_size=config.batch_size,
        seed=config.seed,
        augment=config.augment,
        threads=config.threads,
        missing=config.missing,
        poses=config.pose_weight > 0,
        share=share,
    )


def build(
    config: TrainConfig, manifest: dict, scheme: LandmarkScheme, start_step, runtime, features=None
) -> TrainingOps:
    """Build the input pipeline, which starts at `start_step`, and the training graph.

    features: what `stored_features` returns, to train on in place of the pictures.
    """
    tf.set_random_seed(config.seed)
    inputs = input_config(config, runtime.share)
    if features:
        parts = [features[side] for side in inputs.sides if side in features]
        inputs = replace(inputs, features=StoredFeatures(parts))
    if shares := shares_of(config):
        complete = config.missing == "drop"
        drawn = population(config.records, manifest, inputs.sides, shares, complete)
        print("an epoch draws", *drawn.lines(), sep="\n")
        inputs = replace(inputs, weights=drawn.weights)
    batch, start_input = training_batch(inputs, manifest, start_step)
    weights = point_weights(config, scheme) if config.region_weights else None
    # Every replica gets a seed of its own, so that no two of them drop the same units.
    seeded = replace(config, seed=config.seed + runtime.share[0])
    graph = build_training_graph(batch, seeded, manifest, weights, runtime.update)
    return TrainingOps(batch, start_input, graph)
