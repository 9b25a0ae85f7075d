"""Learning-rate schedules and optimisers, as ops."""

from dataclasses import dataclass

from senet_kp.nets.tf1 import tf


@dataclass(frozen=True)
class Schedule:
    """The rate of the current step, and what a validation does to it.

    after_validation runs with val_nme_in fed; both are None where the schedule does not look.
    """

    learning_rate: object
    val_nme_in: object = None
    after_validation: object = None

    def observe(self, session, val_nme: float | None):
        """Take note of a validation's mean NME; None where there is no val side."""
        if self.after_validation is not None and val_nme is not None:
            session.run(self.after_validation, {self.val_nme_in: val_nme})


def build_schedule(config, step) -> Schedule:
    """The Schedule that `config` asks for, at the step of the int64 tensor `step`."""
    schedule = {"cosine": _cosine, "exponential": _exponential, "plateau": _plateau}
    built = schedule[config.schedule](config, step)
    if not config.warmup_steps:
        return built
    done = (tf.cast(step, tf.float32) + 1) / config.warmup_steps
    rate = built.learning_rate * tf.minimum(done, 1.0)
    return Schedule(rate, built.val_nme_in, built.after_validation)


def build_optimiser(config, learning_rate):
    """Adam (Kingma and Ba, 2015) or stochastic gradient descent with momentum."""
    if config.optimiser == "adam":
        return tf.train.AdamOptimizer(learning_rate)
    return tf.train.MomentumOptimizer(learning_rate, config.momentum)


def _cosine(config, step) -> Schedule:
    """Half a cosine from the learning rate to 0 (Loshchilov and Hutter, "SGDR", 2017)."""
    return Schedule(tf.train.cosine_decay(config.learning_rate, step, config.steps))


def _exponential(config, step) -> Schedule:
    rate = tf.train.exponential_decay(
        config.learning_rate, step, config.decay_steps, config.decay_rate
    )
    return Schedule(rate)


def _plateau(config, step) -> Schedule:
    """Lowered when the val NME stands still; its memory is kept in every checkpoint."""

    def kept(name, value, dtype=tf.float32):
        return tf.get_variable(name, (), dtype, tf.constant_initializer(value), trainable=False)

    with tf.variable_scope("plateau"):
        rate = kept("learning_rate", config.learning_rate)
        best, waited = kept("best_val_nme", float("inf")), kept("validations_waited", 0, tf.int32)
    val_nme = tf.placeholder(tf.float32, (), "plateau_val_nme")
    better = val_nme < best
    now_waited = tf.where(better, 0, waited + 1)
    lower = now_waited >= config.plateau_patience
    floor = min(config.plateau_floor, config.learning_rate)
    lowered = tf.maximum(rate * config.plateau_factor, floor)
    # All new values are computed before any of them is stored.
    values = (
        tf.where(lower, lowered, rate),
        tf.where(lower, 0, now_waited),
        tf.minimum(best, val_nme),
    )
    with tf.control_dependencies(values):
        update = tf.group(
            *(
                variable.assign(tf.identity(value))
                for variable, value in zip((rate, waited, best), values, strict=True)
            )
        )
    return Schedule(rate + 0 * tf.cast(step, tf.float32), val_nme, update)
