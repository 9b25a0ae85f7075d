"""The training graph: it creates ops and names, and runs nothing."""

from dataclasses import dataclass, replace

import numpy as np

from senet_kp.face.scheme import scheme_of
from senet_kp.nets import build_head, build_network, build_trunk
from senet_kp.nets.network import Outputs
from senet_kp.nets.options import NetOptions
from senet_kp.nets.pose_head import pose_head
from senet_kp.nets.tf1 import BATCH_NORM_UPDATES, tf
from senet_kp.train.config import trains_trunk
from senet_kp.train.losses import map_loss, mean_absolute_error, pose_loss, sample_loss
from senet_kp.train.mirror_offsets import mirror_offsets
from senet_kp.train.schedules import Schedule, build_optimiser, build_schedule
from senet_kp.train.subset_offsets import subset_offsets

AVERAGE = "ExponentialMovingAverage"  # the suffix of the name of a variable's moving average
# Lower bound of the labels' standard deviations. A box is as high as most faces, so the chin hardly
# varies in it: in units of its own deviation, one pixel of it would outweigh all other landmarks.
MIN_LABEL_SPREAD = 0.01


@dataclass(frozen=True)
class ValidationTower:
    """The network with averaged weights and moving statistics, for n validation faces.

    The loss and the error need no pictures if predictions are fed to the tensor `landmarks`.
    """

    image_in: object
    """uint8 placeholder [n, S, S, 3]"""
    truth_in: object
    """float32 placeholder [n, N, 2], box-relative"""
    mask_in: object
    """float32 placeholder [n, N]"""
    landmarks: object
    """[n, N, 2], predicted"""
    rotation: object
    """[n, 3, 3] of the heads; None in a training without a pose head"""
    loss: object
    """scalar, the mean landmark loss of the faces: as in training, but without L2"""
    mae: object
    """scalar, mean absolute error of the valid coordinates"""


@dataclass(frozen=True)
class TrainingGraph:
    """Tensors and ops of a training graph. A step runs train_op and may fetch the others."""

    train_op: object
    """what `update` returned: optimiser step, batch-norm updates, weight average"""
    step: object
    """scalar int64, number of steps done"""
    schedule: Schedule
    loss: object
    """scalar that is minimised: mean of sample_loss plus L2"""
    sample_loss: object
    """[B], of landmarks and, where enabled, heatmaps and pose"""
    landmark_loss: object
    """scalar, the part of `loss` that the landmarks have: without heatmaps, pose and L2"""
    mae: object
    """scalar, mean absolute error of the valid coordinates of the batch"""
    gradient_norm: object
    weight_norm: object
    finite: object
    """scalar bool, whether all that a checkpoint holds is finite"""
    val: ValidationTower


def update_variables(optimiser, gradients, statistics, step, average):
    """The op that ends a step: batch-norm updates, optimiser step, moving average of the weights.

    gradients: (gradient, variable) pairs. statistics: the ops that update batch norm's moving
    statistics. average: an ExponentialMovingAverage or None.
    """
    with tf.control_dependencies(statistics):
        train_op = optimiser.apply_gradients(gradients, global_step=step)
    if average:
        with tf.control_dependencies([train_op]):
            train_op = average.apply(tf.model_variables())  # batch norm's statistics as well
    return train_op


def build_training_graph(
    batch, config, manifest: dict, point_weights=None, update=update_variables
) -> TrainingGraph:
    """Build network, losses, optimiser and validation tower in the default graph.

    batch: an `input.pipeline.Batch`. config: a TrainConfig. point_weights: the landmarks' loss
    weights [N], or None for ones. update: called as `update_variables`, it returns the op that
    ends a step.
    """
    step = tf.train.get_or_create_global_step()
    count = int(batch.landmarks.shape[1])
    options = net_options(config, manifest, step)
    if config.cache_features:  # only for the trunk's variables: a checkpoint holds them all
        build_trunk(config.net, tf.zeros([1, 32, 32, 3]), options)
    build = build_head if config.cache_features else build_network
    outputs = build(config.net, tf.cast(batch.image, tf.float32), count, True, options)
    truth = _training_truth(batch, config, manifest)
    losses_of = _landmark_loss(config, manifest, point_weights)
    landmark_losses = losses_of(outputs, truth, batch.mask)
    losses = landmark_losses + _other_losses(outputs, truth, batch, config)
    loss = tf.reduce_mean(losses) + tf.losses.get_regularization_loss()
    schedule = build_schedule(config, step)
    optimiser = build_optimiser(config, schedule.learning_rate)
    gradients = optimiser.compute_gradients(loss)
    average = weight_average(config.average_decay, step)
    statistics = tf.get_collection(BATCH_NORM_UPDATES)
    train_op = update(optimiser, gradients, statistics, step, average)
    val = _validation_tower(config, batch, average, build, losses_of)
    return TrainingGraph(
        train_op=train_op,
        step=step,
        schedule=schedule,
        loss=loss,
        sample_loss=losses,
        landmark_loss=tf.reduce_mean(landmark_losses),
        mae=mean_absolute_error(outputs.landmarks, truth, batch.mask),
        gradient_norm=tf.global_norm([gradient for gradient, _ in gradients]),
        weight_norm=tf.global_norm(tf.trainable_variables()),
        finite=_all_finite(),
        val=val,
    )


def _all_finite():
    """Whether weights, statistics, averages and the optimiser's slots are finite, as a scalar.

    Single numbers do not count: the plateau schedule's best NME is infinite at first.
    """
    values = [v for v in tf.global_variables() if v.dtype.is_floating and v.shape.rank]
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.is_finite(value)) for value in values]))


def net_options(config, manifest: dict, step) -> NetOptions:
    """The NetOptions of a training, at the step of the int64 tensor `step`."""
    spread = np.ravel(manifest.get("shape_spread", 1.0))
    return NetOptions(
        weight_decay=config.weight_decay,
        bn_decay=config.bn_decay,
        dropout_keep=config.dropout_keep,
        dropout_seed=tf.stack([tf.cast(config.seed, tf.int64), step]),
        train_trunk=trains_trunk(config),
        label_mean=np.ravel(manifest["mean_shape"]),
        label_spread=np.maximum(spread, MIN_LABEL_SPREAD),
    )


def _training_truth(batch, config, manifest: dict):
    """The labels [B, N, 2] that the network shall predict, corrected for annotation bias."""
    truth = batch.landmarks
    if config.mirror_offsets and config.augment.flip:
        truth -= mirror_offsets(batch, scheme_of(manifest))
    if reference := config.reference_subset:
        truth -= subset_offsets(batch, scheme_of(manifest), manifest["mean_shape"], reference)
    return truth


def _landmark_loss(config, manifest: dict, point_weights):
    """The function of Outputs, true landmarks and mask that returns each sample's loss [B].

    It compares standardised labels of a network that has them, or else what --labels asks for.
    """
    label_unit = 1 / manifest["box"]["size_px"] if config.labels == "absolute" else 1.0

    def losses(outputs: Outputs, truth, mask):
        unit = label_unit
        if outputs.label_spread is not None:
            unit = tf.reshape(outputs.label_spread, truth.shape[1:])
        return sample_loss(config.loss, outputs.landmarks, truth, mask, point_weights, unit)

    return losses


def _other_losses(outputs: Outputs, truth, batch, config):
    """The losses [B] of heatmaps and pose where they are enabled, otherwise 0."""
    losses = 0.0
    if config.map_loss and outputs.maps is not None:
        fixed_truth = tf.stop_gradient(truth)  # offsets learn from the landmarks alone
        losses += config.map_loss * map_loss(outputs.maps, fixed_truth, batch.mask)
    if config.pose_weight:
        rotation = pose_head(outputs.features, config.weight_decay)
        losses += config.pose_weight * pose_loss(rotation, batch.rotation)
    return losses


def _validation_tower(config, batch, average, build, losses_of) -> ValidationTower:
    """The network with averaged weights; build and losses_of: as in `build_training_graph`."""
    count, shape = int(batch.landmarks.shape[1]), batch.image.shape[1:]
    image_in = tf.placeholder(batch.image.dtype, [None, *shape], name="val_image_in")
    truth_in = tf.placeholder(tf.float32, [None, count, 2], name="val_truth_in")
    mask_in = tf.placeholder(tf.float32, [None, count], name="val_mask_in")
    rotation = None
    with tf.variable_scope(tf.get_variable_scope(), custom_getter=_averages(average)):
        outputs = build(config.net, tf.cast(image_in, tf.float32), count, False)
        if config.pose_weight:
            rotation = pose_head(outputs.features, config.weight_decay)
    outputs = replace(outputs, landmarks=tf.reshape(outputs.landmarks, [-1, count, 2]))
    losses = losses_of(outputs, truth_in, mask_in)
    return ValidationTower(
        image_in=image_in,
        truth_in=truth_in,
        mask_in=mask_in,
        landmarks=outputs.landmarks,
        rotation=rotation,
        loss=tf.reduce_mean(losses),
        mae=mean_absolute_error(outputs.landmarks, truth_in, mask_in),
    )


def weight_average(decay: float, step=None):
    """The moving average of the weights, with a smaller decay in the first steps; None for 0."""
    return tf.train.ExponentialMovingAverage(decay, step, name=AVERAGE) if decay else None


def _averages(average):
    """A custom getter that returns the moving average of a variable, if it has one."""

    def averaged_getter(getter, name, *args, **kwargs):  # TensorFlow passes `getter` by this name
        variable = getter(name, *args, **kwargs)
        averaged = average.average(variable) if average else None
        return variable if averaged is None else averaged

    return averaged_getter


def weight_count(net: str) -> int:
    """The number of trainable weights of the network in the default graph."""
    return sum(int(np.prod(v.shape.as_list())) for v in tf.trainable_variables(f"{net}/"))


def predict(session, val: ValidationTower, images, batch_size: int = 32):
    """Predict with the validation tower: landmarks [n, N, 2] and head rotations [n, 3, 3].

    images: uint8 [n, S, S, 3], or what `TrainingGraph.val_image_in` takes in their place. The
    landmarks are box-relative. The rotations are None in a training without a pose head.
    """
    fetches = (val.landmarks,) if val.rotation is None else (val.landmarks, val.rotation)
    parts = [
        session.run(fetches, {val.image_in: images[start : start + batch_size]})
        for start in range(0, len(images), batch_size)
    ]
    landmarks, *rotations = map(np.concatenate, zip(*parts, strict=True))
    return landmarks, rotations[0] if rotations else None


def loss_and_mae(session, val: ValidationTower, predicted, truth, mask) -> tuple[float, float]:
    """The mean landmark loss and the mean absolute error of predictions [n, N, 2].

    truth: [n, N, 2], box-relative; mask: [n, N].
    """
    feeds = {val.landmarks: predicted, val.truth_in: truth, val.mask_in: mask}
    return tuple(map(float, session.run((val.loss, val.mae), feeds)))
