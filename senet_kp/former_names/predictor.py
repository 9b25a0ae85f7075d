"""The former name of `senet_kp.inference.predictor`."""

from senet_kp.inference.predictor import *  # noqa: F403
