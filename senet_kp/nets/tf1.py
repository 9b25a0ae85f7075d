"""TensorFlow 1 style on today's TensorFlow: `from senet_kp.nets.tf1 import slim, tf`.

`tf` is `tensorflow.compat.v1` with the behaviour of TensorFlow 2 disabled, `slim` is tf-slim.
Importing them from here costs nothing: TensorFlow is imported when an attribute of either is first
used, so that `--help` and a mistyped flag are answered at once. Code that runs at import time
(module level, class bodies, decorators, default arguments) must therefore not use them.
"""

from importlib import import_module
from types import ModuleType

BATCH_NORM_UPDATES = "batch_norm_updates"
"""The collection of the ops that update the moving statistics of batch norm."""


class _LazyModule(ModuleType):
    """Stands for the module of this name in `_tensorflow`, which the first attribute imports."""

    def __getattr__(self, name: str):
        module = getattr(import_module("senet_kp.nets._tensorflow"), self.__name__)
        return getattr(module, name)


tf = _LazyModule("tf")
slim = _LazyModule("slim")


def session_config(threads: int, **options):
    """A ConfigProto in which one op may use `threads` threads, and as many ops run at a time.

    0 leaves both numbers to TensorFlow. options: further fields of the ConfigProto.
    """
    return tf.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads, **options
    )
