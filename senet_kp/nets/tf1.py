"""TensorFlow 1 style on today's TensorFlow: `from senet_kp.nets.tf1 import slim, tf`.

`tf` is `tensorflow.compat.v1` with the behaviour of TensorFlow 2 disabled, `slim` is tf-slim.
Importing them from here costs nothing: TensorFlow is imported when an attribute of either is first
used, so that `--help` and a mistyped flag are answered at once. Code that runs at import time
(module level, class bodies, decorators, default arguments) must therefore not use them.
"""

import contextlib
import os
import sys
import tempfile
import warnings
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


@contextlib.contextmanager
def quiet():
    """Hold back what TensorFlow's libraries print about themselves while they load or convert.

    They write to the file descriptor of stderr directly, whatever the log level is. If the body
    raises an error, what was held back is printed.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def session_config(threads: int, **options):
    """A ConfigProto in which one op may use `threads` threads, and as many ops run at a time.

    0 leaves both numbers to TensorFlow. options: further fields of the ConfigProto.
    """
    return tf.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads, **options
    )
