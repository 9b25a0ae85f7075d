"""The settings of a training: one dataclass, whose defaults depend on the network (its recipe)."""

from dataclasses import dataclass, field, fields, replace
from math import ceil, inf
from os import cpu_count
from pathlib import Path
from typing import Literal

from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.augment import NO_AUGMENTATION, AugmentConfig, augment_recipe
from senet_kp.input.pipeline import Missing
from senet_kp.input.sampling import Shares, check_shares
from senet_kp.nets import (
    DEFAULT_NETWORK,
    NETWORKS,
    NetName,
    net_of_command_line,
    output_names,
)
from senet_kp.tfrecords.errors import UserError
from senet_kp.train.losses import LossName
from senet_kp.train.schedules import OptimiserName, ScheduleName

Labels = Literal["relative", "absolute"]
DICTIONARIES = ("region_weights", "subset_shares")  # settings of which each is one value


@dataclass(frozen=True)
class TrainConfig:
    records: Path = Path("out/tfrecords")
    """record folder"""
    run: Path = Path("out/run")
    """run folder: checkpoints, metrics, events"""
    net: NetName = DEFAULT_NETWORK
    """network; the defaults shown here are its recipe. senet_classic is the plain network of
    squeeze-and-excitation bottlenecks with its usual settings: a learning rate of
    0.001 x 0.98 ^ (step / 1000), 150,000 steps, an L2 of 1e-5. senet, which is more accurate and
    faster, has smaller feature maps, a top-down path and heatmaps in place of the dense layers"""
    init_from: str = ""
    """start from the weights of a run folder or of a frozen graph (.pb); for vgg16 also from public
    weights of the trunk: tf-slim's vgg_16.ckpt, or Keras's file (.h5)"""
    train_trunk: bool = False
    """vgg16: also train a trunk that --init-from loads; without --init-from it is always trained"""
    cache_features: bool = False
    """vgg16: compute what the fixed trunk makes of each picture once, store it in the record folder
    and train the other layers on it, without augmentation"""
    train_on_val: bool = False
    """train on the val split too, once all settings are chosen; the newest checkpoint is then used
    as the best one"""
    missing: Missing = "mask"
    """how to treat landmarks without a label: mask (ignore them in the loss), drop (leave out faces
    that lack any) or mean (use those of the mean shape as labels)"""
    steps: int = 40_000
    """total number of training steps"""
    epochs: float = 0.0
    """the total as a number of passes over the training pictures instead, rounded up to whole
    steps; 0 for --steps"""
    batch_size: int = 32
    """pictures per step"""
    loss: LossName = "l1"
    """loss of the landmarks"""
    labels: Labels = "relative"
    """unit in which the loss measures distances: absolute for pixels of the network's input,
    relative for box widths; the network predicts the same in both cases"""
    region_weights: dict[str, float] = field(default_factory=dict)
    """loss weights of the landmark scheme's regions, for example: jaw 0.5 eyes 2"""
    map_loss: float = 0.01
    """weight of the loss that compares each heatmap with a Gaussian around its landmark, for
    networks that have heatmaps"""
    pose_weight: float = 0.0
    """weight of the loss of the head's rotation, which an auxiliary pose head predicts during
    training only; its target is the pose of the label, or the pose estimated from the 68 landmarks.
    0 for no pose head"""
    optimiser: OptimiserName = "adam"
    """optimiser"""
    momentum: float = 0.9
    """momentum of the momentum optimiser"""
    learning_rate: float = 4e-3
    """learning rate at step 0, or after the warm-up"""
    schedule: ScheduleName = "exponential"
    """learning-rate schedule; cosine ends with 0 at --steps, and suits half of the learning rate of
    an exponential schedule"""
    warmup_steps: int = 200
    """steps of a linear warm-up to the learning rate, with any schedule"""
    decay_rate: float = 0.98
    """exponential schedule: factor by which the learning rate decays every --decay-steps,
    continuously"""
    decay_steps: int = 0
    """exponential schedule: see --decay-rate; 0 for a decay that fits --steps, at which the
    learning rate is 2 % of its start"""
    plateau_factor: float = 0.8
    """plateau schedule: factor applied to the learning rate when the val NME stops improving"""
    plateau_patience: int = 25
    """plateau schedule: number of validations without improvement before that"""
    plateau_floor: float = 1e-5
    """plateau schedule: lowest learning rate"""
    average_decay: float = 0.998
    """decay of the moving average of the weights, which is validated and frozen; 0 for none"""
    weight_decay: float = 1e-5
    """factor of the L2 regularisation of all weights"""
    bn_decay: float = 0.97
    """decay of batch norm's moving statistics"""
    dropout_keep: float = 1.0
    """share of the dense layer's units that dropout keeps, in networks with a dense layer"""
    subset_shares: dict[str, float] = field(default_factory=dict)
    """shares of a batch that subsets of the records have, for example: HELEN 0.3 AFLW 0.2; all
    other subsets together have the rest. By default every face is drawn once in an epoch"""
    yaw_shares: list[float] = field(default_factory=list)
    """shares of the faces turned by 0-30, 30-60 and 60-90 degrees in a batch, for example: 2 1 1;
    where the label has no yaw, it is estimated from the 68 landmarks"""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    mirror_offsets: bool = True
    """learn the annotation bias of each subset from mirrored pictures, and correct their labels for
    it"""
    reference_subset: str = ""
    """learn how the labels of every other subset lie beside those of this subset of the records,
    and correct them for it; empty for none"""
    seed: int = 0
    """seed of initial weights, order, augmentation and dropout"""
    log_every_steps: int = 50
    """steps between log lines"""
    validate_every_steps: int = 500
    """steps between validations, each of which saves a checkpoint"""
    pictures_every_epochs: float = 0.0
    """least number of epochs between two columns of progress.png, the predictions over time; 0 for
    one from every validation. The picture shows at most 10 columns, spread evenly over the
    training"""
    max_minutes: float = 0.0
    """save and stop after this many minutes, 0 for no limit; the same command resumes the run"""
    threads: int = cpu_count() or 1
    """threads per op, and ops that run at a time; with 1, runs are equal to the last bit"""


def recipe(net: NetName) -> TrainConfig:
    """The default settings for a network."""
    values = dict(NETWORKS[net].recipe) | {"augment": augment_recipe(net)}
    return TrainConfig(net=net, **values)


def recipe_of_command_line() -> TrainConfig:
    """The recipe of the network that the command line names with --net."""
    return recipe(net_of_command_line())


def training_settings(config: TrainConfig) -> TrainConfig:
    """The fields of TrainConfig alone, from the settings of a command that has more of them."""
    return TrainConfig(**{field.name: getattr(config, field.name) for field in fields(TrainConfig)})


def with_steps(config: TrainConfig, pictures: int) -> TrainConfig:
    """The same settings with --epochs expressed in steps; pictures: the faces of an epoch.

    `epochs` is 0 in the result, so that a run is recognised by its steps however they were given.
    Raises UserError if both are given or the epochs are out of range. As recipes set the steps,
    they count as given when they are not those of the recipe.
    """
    if not config.epochs:
        return config
    if not 0 < config.epochs < inf:
        raise UserError("--epochs must be above 0, or 0 for --steps")
    if config.steps != recipe(config.net).steps:
        raise UserError(
            f"--steps {config.steps} and --epochs {config.epochs:g} both give the length of the"
            " training; leave one of them out (make: STEPS=, EPOCHS=)"
        )
    # The rounding removes the error of the product, so that 1.1 x 1,000 / 11 is 100 and not 101.
    steps = ceil(round(config.epochs * pictures / config.batch_size, 6))
    return replace(config, steps=steps, epochs=0.0)


def flat_settings(settings: dict, prefix: str = "") -> dict:
    """Settings as in config.json with those of nested groups as "augment.flip" and so on."""
    flat = {}
    for key, value in settings.items():
        nested = isinstance(value, dict) and key not in DICTIONARIES
        flat |= flat_settings(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def trains_trunk(config: TrainConfig) -> bool:
    """Whether a network's trunk is trained: if --init-from loaded it, only with --train-trunk."""
    return config.train_trunk or not config.init_from


def effective(config: TrainConfig) -> TrainConfig:
    """The settings as a training uses them: --cache-features switches the augmentation off.

    Raises UserError if it is given together with an augmentation that is not in the recipe.
    """
    if not config.cache_features:
        return config
    usual = vars(recipe(config.net).augment)
    wanted = [n for n, value in vars(config.augment).items() if value not in (0, usual[n])]
    if wanted:
        flags = ", ".join(f"--augment.{name.replace('_', '-')}" for name in wanted)
        raise UserError(
            f"--cache-features trains on unchanged pictures, so {flags} would have no effect; leave"
            " one of them out"
        )
    return replace(config, augment=NO_AUGMENTATION)


def check(config: TrainConfig, scheme: LandmarkScheme):
    """Raise UserError for a value out of range, and for settings that contradict each other."""
    for name in (
        "steps",
        "batch_size",
        "plateau_patience",
        "log_every_steps",
        "validate_every_steps",
        "threads",
    ):
        if getattr(config, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1")
    if config.decay_steps < 0:
        raise UserError("--decay-steps must be at least 0")
    if not 0 <= config.pictures_every_epochs < inf:
        raise UserError("--pictures-every-epochs must be at least 0")
    if not (0 < config.dropout_keep <= 1 and 0 < config.bn_decay < 1 and config.learning_rate > 0):
        raise UserError(
            "--dropout-keep must be above 0 and at most 1, --bn-decay between 0 and 1, and"
            " --learning-rate above 0"
        )
    if not (0 <= config.average_decay < 1 and 0 <= config.momentum < 1):
        raise UserError("--average-decay and --momentum must be at least 0 and below 1")
    if config.labels == "absolute" and config.loss not in ("mse", "l1"):
        raise UserError(
            f"--labels absolute: the shape of --loss {config.loss} is given in box widths; use"
            " --loss mse or l1, or relative labels"
        )
    if unknown := set(config.region_weights) - set(scheme.regions):
        raise UserError(
            f"--region-weights: {scheme.name} has no region {', '.join(sorted(unknown))}; its"
            f" regions are {', '.join(scheme.regions)}"
        )
    check_shares(shares_of(config))
    if config.schedule == "plateau" and config.train_on_val:
        raise UserError(
            "--schedule plateau needs the val NME, so it cannot be combined with --train-on-val"
        )
    if config.cache_features and (NETWORKS[config.net].trunk is None or trains_trunk(config)):
        raise UserError(
            "--cache-features needs a trunk that stays fixed: use it with --net vgg16 and"
            " --init-from, and without --train-trunk"
        )
    if config.pose_weight < 0:
        raise UserError("--pose-weight must be at least 0")
    if config.pose_weight and "features" not in output_names(config.net):
        able = [net for net in NETWORKS if "features" in output_names(net)]
        raise UserError(
            f"--pose-weight: {config.net} has no features from which to learn the head pose; use"
            f" --net {' or '.join(able)}"
        )


def shares_of(config: TrainConfig) -> Shares:
    """The shares of subsets and yaw bins in a batch."""
    return Shares(config.subset_shares, tuple(config.yaw_shares))


def point_weights(config: TrainConfig, scheme: LandmarkScheme) -> list[float]:
    """The loss weights [N] of the landmarks: those of --region-weights, 1 for other regions."""
    weights = [1.0] * scheme.count
    for name, weight in config.region_weights.items():
        for point in scheme.regions[name]:
            weights[point] = float(weight)
    return weights
