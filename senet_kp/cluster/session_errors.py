"""The errors that a session raises when a task that it needs has ended, or the generation has."""

from functools import cache

from senet_kp.nets.tf1 import tf


@cache
def _reasons() -> dict[type, str]:
    return {
        tf.errors.UnavailableError: "a parameter server does not answer",
        tf.errors.AbortedError: "a parameter server was restarted",
        tf.errors.FailedPreconditionError: "a parameter server lost its variables",
        tf.errors.CancelledError: "the session was closed",
        tf.errors.OutOfRangeError: "this generation of the training has ended",
    }


def lost_session() -> tuple[type, ...]:
    """The classes of these errors, for an `except` clause."""
    return tuple(_reasons())


def reason_lost(error) -> str:
    """A plain description of one of these errors."""
    return _reasons()[type(error)]
