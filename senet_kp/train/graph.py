"""The training graph: ops and their names, nothing run."""

from dataclasses import dataclass

import numpy as np

from senet_kp.face.scheme import scheme_of
from senet_kp.nets import build_network
from senet_kp.nets.layers import MAPS, UNITS
from senet_kp.nets.options import NetOptions
from senet_kp.nets.pose_head import pose_head
from senet_kp.nets.tf1 import BATCH_NORM_UPDATES, tf
from senet_kp.train.config import trains_trunk
from senet_kp.train.losses import map_loss, pose_loss, sample_loss
from senet_kp.train.mirror_offsets import mirror_offsets
from senet_kp.train.schedules import Schedule, build_optimiser, build_schedule

AVERAGE = "ExponentialMovingAverage"  # what a variable's average is called after its name
# A box is as high as most faces, so that the chin hardly moves in it: measured in its own spread,
# one pixel of it would outweigh all other points.
MIN_SPREAD = 0.01


@dataclass(frozen=True)
class TrainingGraph:
    """Handles on one training graph. train_op runs in the step, the others are fetched from it."""

    train_op: object  # what `update` made: gradient step, batch-norm updates, weight average
    step: object  # scalar int64, steps done
    schedule: Schedule
    loss: object  # what is minimised: mean of sample_loss plus L2
    sample_loss: object  # [B]
    gradient_norm: object
    weight_norm: object
    val_image_in: object  # [n, S, S, 3] placeholder, 0..255
    val_landmarks: object  # [n, N, 2], averaged weights and moving statistics
    val_rotation: object = None  # [n, 3, 3] of the heads, in a training that learns them


def update_variables(optimiser, gradients, statistics, step, average):
    """The op that ends a step: batch norm's statistics, the gradients' step, the weight average.

    gradients: (gradient, variable) pairs; statistics: the ops that move batch norm's statistics;
    average: an ExponentialMovingAverage or None.
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
    """Loss, optimiser, schedule, batch norm and weight average tied to the step, validation.

    update: what makes the op that ends a step; it is given what `update_variables` is.
    """
    step = tf.train.get_or_create_global_step()
    count = int(batch.landmarks.shape[1])
    options = net_options(config, manifest, step)
    predicted = build_network(config.net, tf.cast(batch.image, tf.float32), count, True, options)
    unit = [tf.reshape(spread, [count, 2]) for spread in tf.get_collection(UNITS)] or [1.0]
    truth = batch.landmarks
    if config.mirror_offsets and config.augment.flip:
        truth -= mirror_offsets(batch, scheme_of(manifest))
    losses = sample_loss(config.loss, predicted, truth, batch.mask, point_weights, unit[0])
    if config.map_loss:
        for maps in tf.get_collection(MAPS):  # offsets are learned from the points alone
            losses += config.map_loss * map_loss(maps, tf.stop_gradient(truth), batch.mask)
    if config.pose_weight:
        rotation = pose_head(config.weight_decay)
        losses += config.pose_weight * pose_loss(rotation, batch.rotation)
    loss = tf.reduce_mean(losses) + tf.losses.get_regularization_loss()
    schedule = build_schedule(config, step)
    optimiser = build_optimiser(config, schedule.learning_rate)
    gradients = optimiser.compute_gradients(loss)
    average = weight_average(config.average_decay, step)
    statistics = tf.get_collection(BATCH_NORM_UPDATES)
    train_op = update(optimiser, gradients, statistics, step, average)
    size_px = manifest["box"]["size_px"]
    image_in = tf.placeholder(tf.uint8, [None, size_px, size_px, 3], name="val_image_in")
    with tf.variable_scope(tf.get_variable_scope(), custom_getter=_averages(average)):
        val_points = build_network(config.net, tf.cast(image_in, tf.float32), count, False)
        val_rotation = pose_head(config.weight_decay) if config.pose_weight else None
    return TrainingGraph(
        train_op=train_op,
        step=step,
        schedule=schedule,
        loss=loss,
        sample_loss=losses,
        gradient_norm=tf.global_norm([gradient for gradient, _ in gradients]),
        weight_norm=tf.global_norm(tf.trainable_variables()),
        val_image_in=image_in,
        val_landmarks=tf.reshape(val_points, [-1, count, 2]),
        val_rotation=val_rotation,
    )


def net_options(config, manifest: dict, step) -> NetOptions:
    """What a network of this training is told, at the step of the int64 tensor `step`."""
    spread = np.ravel(manifest.get("shape_spread", 1.0))
    return NetOptions(
        weight_decay=config.weight_decay,
        bn_decay=config.bn_decay,
        dropout_keep=config.dropout_keep,
        dropout_seed=tf.stack([tf.cast(config.seed, tf.int64), step]),
        train_trunk=trains_trunk(config),
        label_mean=np.ravel(manifest["mean_shape"]),
        label_spread=np.maximum(spread, MIN_SPREAD),
    )


def weight_average(decay: float, step=None):
    """The moving average of the weights, quicker in the first steps; None with decay 0."""
    return tf.train.ExponentialMovingAverage(decay, step, name=AVERAGE) if decay else None


def _averages(average):
    """A getter that hands a network the averages of its variables."""

    def averaged_getter(getter, name, *args, **kwargs):  # called by these names
        variable = getter(name, *args, **kwargs)
        averaged = average.average(variable) if average else None
        return variable if averaged is None else averaged

    return averaged_getter


def weight_count(net: str) -> int:
    """How many numbers of the network in the default graph training may change."""
    return sum(int(np.prod(v.shape.as_list())) for v in tf.trainable_variables(f"{net}/"))


def predict(session, graph: TrainingGraph, images, batch_size: int = 32):
    """By the validation tower, of uint8 images [n, S, S, 3]: box-relative landmarks [n, N, 2] and
    the heads' rotations [n, 3, 3], None from a training that does not learn them."""
    posed = graph.val_rotation is not None
    fetches = (graph.val_landmarks, graph.val_rotation) if posed else (graph.val_landmarks,)
    parts = [
        session.run(fetches, {graph.val_image_in: images[start : start + batch_size]})
        for start in range(0, len(images), batch_size)
    ]
    landmarks, *rotations = map(np.concatenate, zip(*parts, strict=True))
    return landmarks, rotations[0] if posed else None
