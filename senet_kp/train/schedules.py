"""Learning-rate schedules and optimisers, as ops."""

from dataclasses import dataclass
from typing import Literal

from senet_kp.nets.tf1 import tf

ScheduleName = Literal["cosine", "exponential", "plateau", "constant"]
OptimiserName = Literal["adam", "momentum", "sgd"]

# The validation NME of senet after 6,000 steps on 96 px crops of HELEN, AFW, LFPW and P1 is 4.36 %
# from 0.004 to 2 % of it; from 0.002 to 10 % 4.39 % and to 1 % 4.64 %; with a cosine from 0.002
# 4.33 %.
FINAL_SHARE = 0.02


@dataclass(frozen=True)
class Schedule:
    """The learning rate of the current step, and the op that a validation runs to update it.

    Only a schedule that depends on validations has `after_validation`, which runs with the mean
    NME fed to the placeholder `val_nme_in`; otherwise both are None.
    """

    learning_rate: object
    val_nme_in: object = None
    after_validation: object = None

    def observe(self, session, val_nme: float | None):
        """Update the schedule with a validation's mean NME; None means that there was none."""
        if self.after_validation is not None and val_nme is not None:
            session.run(self.after_validation, {self.val_nme_in: val_nme})


def build_schedule(config, step) -> Schedule:
    """The schedule `config.schedule`, with a linear warm-up.

    config: a TrainConfig. step: an int64 tensor, the number of steps done.
    """
    schedule = SCHEDULES[config.schedule](config, step)
    if not config.warmup_steps:
        return schedule
    done = (tf.cast(step, tf.float32) + 1) / config.warmup_steps
    rate = schedule.learning_rate * tf.minimum(done, 1.0)
    return Schedule(rate, schedule.val_nme_in, schedule.after_validation)


def build_optimiser(config, learning_rate):
    """The optimiser `config.optimiser` of a TrainConfig, with this learning rate (a tensor)."""
    return OPTIMISERS[config.optimiser](config, learning_rate)


def cosine(config, step) -> Schedule:
    """Half a cosine from the learning rate to 0 (Loshchilov and Hutter, "SGDR", 2017)."""
    return Schedule(tf.train.cosine_decay(config.learning_rate, step, config.steps))


def exponential(config, step) -> Schedule:
    """Continuous exponential decay by the factor `decay_rate` every `decay_steps`.

    With 0 decay steps, the rate falls to FINAL_SHARE of itself at the last step.
    """
    period, factor = config.decay_steps, config.decay_rate
    if not period:
        period, factor = config.steps, FINAL_SHARE
    return Schedule(tf.train.exponential_decay(config.learning_rate, step, period, factor))


def plateau(config, step) -> Schedule:
    """Lower the rate when the val NME stops improving; its state is saved in every checkpoint."""

    def state(name, value, dtype=tf.float32):
        return tf.get_variable(name, (), dtype, tf.constant_initializer(value), trainable=False)

    with tf.variable_scope("plateau"):
        rate = state("learning_rate", config.learning_rate)
        best = state("best_val_nme", float("inf"))
        waited = state("validations_waited", 0, tf.int32)
    val_nme = tf.placeholder(tf.float32, (), "plateau_val_nme")
    better = val_nme < best
    now_waited = tf.where(better, 0, waited + 1)
    lower = now_waited >= config.plateau_patience
    floor = min(config.plateau_floor, config.learning_rate)
    lowered = tf.maximum(rate * config.plateau_factor, floor)
    # All new values are computed before any of them is assigned.
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


def constant(config, step) -> Schedule:
    """The same learning rate in every step."""
    return Schedule(tf.constant(config.learning_rate))


def adam(config, learning_rate):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015)."""
    return tf.train.AdamOptimizer(learning_rate)


def momentum(config, learning_rate):
    """Stochastic gradient descent with `config.momentum`."""
    return tf.train.MomentumOptimizer(learning_rate, config.momentum)


def sgd(config, learning_rate):
    """Stochastic gradient descent without momentum."""
    return tf.train.GradientDescentOptimizer(learning_rate)


SCHEDULES = {
    "cosine": cosine,
    "exponential": exponential,
    "plateau": plateau,
    "constant": constant,
}
OPTIMISERS = {"adam": adam, "momentum": momentum, "sgd": sgd}
