"""What a training can be told: one dataclass, and a recipe for every network."""

from argparse import ArgumentParser
from dataclasses import dataclass, field, fields
from os import cpu_count
from pathlib import Path

from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.augment import AugmentConfig
from senet_kp.input.pipeline import MISSING
from senet_kp.nets import POSED
from senet_kp.tfrecords.errors import UserError
from senet_kp.train.losses import LOSSES

SCHEDULES = ("cosine", "exponential", "plateau")
OPTIMISERS = ("adam", "momentum")
# Of what changes colours, linear contrast alone.
NO_COLOUR = dict.fromkeys(
    ("brightness", "gamma", "colour", "grey", "noise", "jpeg", "patches"), 0.0
)


@dataclass(frozen=True)
class TrainConfig:
    records: Path = Path("out/tfrecords")
    """record folder"""
    run: Path = Path("out/run")
    """run folder: checkpoints, metrics, events"""
    net: str = "senet"
    """network: senet, senet_classic, inception, vgg16 or plain_cnn; the defaults below are its
    recipe"""
    init_from: str = ""
    """run folder or frozen graph (.pb) whose weights the training starts from; for vgg16 also
    slim's checkpoint of the trunk, vgg_16.ckpt"""
    train_trunk: bool = False
    """vgg16: train the trunk that --init-from brings too; a trunk from scratch always is"""
    train_on_val: bool = False
    """train on the val side too, once all settings are chosen; the newest checkpoint is the best"""
    missing: str = "mask"
    """landmarks that are not known: mask (they do not count), drop (faces that lack any are left
    out) or mean (the mean shape's stand in and count)"""
    steps: int = 40_000
    """steps in all"""
    batch_size: int = 32
    """pictures in a step"""
    loss: str = "l1"
    """mse, l1, smooth_l1 or wing"""
    region_weights: dict[str, float] = field(default_factory=dict)
    """weights in the loss of the scheme's regions, as in: jaw 0.5 eyes 2"""
    map_loss: float = 0.01
    """weight in the loss of how far each map is from a Gaussian round its point, in networks that
    have maps"""
    pose_weight: float = 0.0
    """weight in the loss of how far the head's rotation is from that of the label, or of the 68
    points, by a head of its own in training that no frozen graph has; 0 for none"""
    optimiser: str = "adam"
    """adam or momentum"""
    momentum: float = 0.9
    """of the momentum optimiser"""
    learning_rate: float = 2e-3
    """at step 0, or after the warm-up"""
    schedule: str = "cosine"
    """cosine (to 0 at --steps), exponential or plateau"""
    warmup_steps: int = 200
    """steps of a linear rise to the learning rate, before any schedule"""
    decay_rate: float = 0.98
    """exponential: what the learning rate is multiplied by every --decay-steps, continuously"""
    decay_steps: int = 1000
    """see --decay-rate"""
    plateau_factor: float = 0.8
    """plateau: what the learning rate is multiplied by when the val NME stands still"""
    plateau_patience: int = 25
    """plateau: validations without a better val NME before that"""
    plateau_floor: float = 1e-5
    """plateau: no lower learning rate than this"""
    average_decay: float = 0.998
    """of the moving average of the weights, which is validated and frozen; 0 for none"""
    weight_decay: float = 1e-5
    """L2 on all weights"""
    bn_decay: float = 0.97
    """of batch norm's moving statistics"""
    dropout_keep: float = 1.0
    """share of the dense layer that dropout keeps, in networks that have one"""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    mirror_offsets: bool = True
    """learn how far the labels of each subset lie beside those that a mirror would keep, and allow
    for it in mirrored pictures"""
    seed: int = 0
    """of weights, order, augmentation and dropout"""
    log_every_steps: int = 50
    """steps between log lines"""
    validate_every_steps: int = 500
    """steps between validations, each with a checkpoint"""
    max_minutes: float = 0.0
    """stop and save after this many minutes, 0 for never; the same command continues"""
    threads: int = cpu_count() or 1
    """threads of one op, and ops at a time; 1 makes runs equal to the last bit"""


RECIPES = {
    "senet": TrainConfig(),
    # The mission's recipe: squared error, dropout, 0.001 x 0.98 ^ (step / 1000).
    "senet_classic": TrainConfig(
        net="senet_classic",
        steps=150_000,
        loss="mse",
        learning_rate=1e-3,
        schedule="exponential",
        warmup_steps=0,
        average_decay=0.0,
        bn_decay=0.997,
        dropout_keep=0.8,
    ),
    # As networks for Kaggle's facial keypoints were trained: a validation about every epoch of
    # its 2,000 pictures; turns up to 15 degrees, since normals are clipped at 2.5.
    "inception": TrainConfig(
        net="inception",
        loss="mse",
        learning_rate=3e-3,
        schedule="plateau",
        warmup_steps=0,
        average_decay=0.0,
        validate_every_steps=100,
        augment=AugmentConfig(
            rotation_deg=6.0, scale=0.2, stretch=0.0, box_jitter=0.0, blur=0.8, **NO_COLOUR
        ),
    ),
    # A trunk that is kept wants few steps, one from scratch --steps 40000.
    "vgg16": TrainConfig(
        net="vgg16", steps=10_000, learning_rate=1e-4, average_decay=0.0, dropout_keep=0.5
    ),
    "plain_cnn": TrainConfig(
        net="plain_cnn", loss="mse", learning_rate=1e-3, average_decay=0.0, dropout_keep=0.8
    ),
}


def recipe_of_command_line() -> TrainConfig:
    """The recipe of the network that the command line names: every network has its own."""
    net = ArgumentParser(add_help=False, allow_abbrev=False)
    net.add_argument("--net", default=TrainConfig.net)
    return recipe(net.parse_known_args()[0].net)


def training_settings(config: TrainConfig) -> TrainConfig:
    """The settings of the training alone, from those of a command that has more of them."""
    return TrainConfig(**{field.name: getattr(config, field.name) for field in fields(TrainConfig)})


def trains_trunk(config: TrainConfig) -> bool:
    """Whether a network's trunk is trained: one that other weights were put into is by wish."""
    return config.train_trunk or not config.init_from


def recipe(net: str) -> TrainConfig:
    """The defaults for a network; raises UserError for a name that no network has."""
    if net not in RECIPES:
        raise UserError(f"--net {net}: no such network, only {', '.join(RECIPES)}")
    return RECIPES[net]


def check(config: TrainConfig, scheme: LandmarkScheme):
    """Raise UserError for a value that makes no sense."""
    recipe(config.net)
    choices = (
        ("loss", LOSSES),
        ("schedule", SCHEDULES),
        ("optimiser", OPTIMISERS),
        ("missing", MISSING),
    )
    for name, known in choices:
        if getattr(config, name) not in known:
            raise UserError(f"--{name} is one of {', '.join(known)}")
    for name in (
        "steps",
        "batch_size",
        "decay_steps",
        "plateau_patience",
        "log_every_steps",
        "validate_every_steps",
        "threads",
    ):
        if getattr(config, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is at least 1")
    if not (0 < config.dropout_keep <= 1 and 0 < config.bn_decay < 1 and config.learning_rate > 0):
        raise UserError(
            "--dropout-keep and --bn-decay lie between 0 and 1, --learning-rate above 0"
        )
    if not (0 <= config.average_decay < 1 and 0 <= config.momentum < 1):
        raise UserError("--average-decay and --momentum lie between 0 and 1")
    if unknown := set(config.region_weights) - set(scheme.regions):
        raise UserError(
            f"--region-weights: {scheme.name} has no {', '.join(sorted(unknown))}, only"
            f" {', '.join(scheme.regions)}"
        )
    if config.pose_weight < 0:
        raise UserError("--pose-weight is at least 0")
    if config.pose_weight and config.net not in POSED:
        raise UserError(f"--pose-weight: {config.net} cannot learn poses, only {', '.join(POSED)}")
    if config.schedule == "plateau" and config.train_on_val:
        raise UserError("--schedule plateau watches the val side, so it cannot be trained on")


def point_weights(config: TrainConfig, scheme: LandmarkScheme) -> list[float]:
    """The loss weight of every point: its region's, 1 where none is given."""
    weights = [1.0] * scheme.count
    for name, weight in config.region_weights.items():
        for point in scheme.regions[name]:
            weights[point] = float(weight)
    return weights
