"""The training graph: ops and their names, nothing run."""

from dataclasses import dataclass

import numpy as np

from senet_kp.losses import mse
from senet_kp.nets import build_network
from senet_kp.nets.options import NetOptions
from senet_kp.tf1 import BATCH_NORM_UPDATES, tf


@dataclass(frozen=True)
class TrainingGraph:
    """Handles on one training graph. *_op run in the step, the others are fetched from it."""

    train_op: object  # gradient step and batch-norm updates
    step: object  # scalar int64, steps done
    learning_rate: object
    loss: object  # what is minimised: mean of sample_loss plus L2
    sample_loss: object  # [B]
    gradient_norm: object
    weight_norm: object
    val_image_in: object  # [n, S, S, 3] placeholder, 0..255
    val_landmarks: object  # [n, N, 2], the same weights with moving statistics


def build_training_graph(batch, config, size_px: int) -> TrainingGraph:
    """Loss, Adam with exponential decay, batch-norm updates tied to the step, validation tower."""
    step = tf.train.get_or_create_global_step()
    count = int(batch.landmarks.shape[1])
    options = NetOptions(
        weight_decay=config.weight_decay,
        bn_decay=config.bn_decay,
        dropout_keep=config.dropout_keep,
        dropout_seed=tf.stack([tf.cast(config.seed, tf.int64), step]),
    )
    predicted = build_network(config.net, batch.image, count, True, options)
    sample_loss = mse(predicted, batch.landmarks, batch.mask)
    loss = tf.reduce_mean(sample_loss) + tf.losses.get_regularization_loss()
    # In the mission's words: 0.001 x 0.98 ^ (step / 1000).
    learning_rate = tf.train.exponential_decay(
        config.learning_rate, step, config.decay_steps, config.decay_rate
    )
    optimiser = tf.train.AdamOptimizer(learning_rate)
    gradients = optimiser.compute_gradients(loss)
    with tf.control_dependencies(tf.get_collection(BATCH_NORM_UPDATES)):
        train_op = optimiser.apply_gradients(gradients, global_step=step)
    image_in = tf.placeholder(tf.uint8, [None, size_px, size_px, 3], name="val_image_in")
    val_points = build_network(config.net, tf.cast(image_in, tf.float32), count, False)
    return TrainingGraph(
        train_op=train_op,
        step=step,
        learning_rate=learning_rate,
        loss=loss,
        sample_loss=sample_loss,
        gradient_norm=tf.global_norm([gradient for gradient, _ in gradients]),
        weight_norm=tf.global_norm(tf.trainable_variables()),
        val_image_in=image_in,
        val_landmarks=tf.reshape(val_points, [-1, count, 2]),
    )


def predict(session, graph: TrainingGraph, images, batch_size: int = 32) -> np.ndarray:
    """Box-relative landmarks [n, N, 2] of uint8 images [n, S, S, 3], by the validation tower."""
    parts = [
        session.run(graph.val_landmarks, {graph.val_image_in: images[start : start + batch_size]})
        for start in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts)
