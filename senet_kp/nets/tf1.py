"""TensorFlow 1 style on today's TensorFlow: `from senet_kp.tf1 import slim, tf`.

tf-slim 1.1.0 is the last release and meets TensorFlow 2.16 and later with two faults:

1. It reads `tensorflow.python.framework.ops.Tensor`, which moved. The line below puts it back.
2. `slim.batch_norm` with its default updates collection goes through a Keras module that is gone.
   With any other collection it takes slim's own fused path, so the networks here collect their
   updates in BATCH_NORM_UPDATES, and training runs that collection with every step.

The tests fail, and say so, on the day that either is no longer needed or no longer enough.
"""

import contextlib
import os
import sys
import tempfile
import warnings


@contextlib.contextmanager
def quiet():
    """Hold back what TensorFlow's libraries print about themselves while they load or convert.

    They write to the file descriptor, whatever the settings are. Shown after a failure.
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


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
with quiet():
    import tensorflow.compat.v1 as tf
    from tensorflow.python.framework import ops

    if not hasattr(ops, "Tensor"):
        ops.Tensor = tf.Tensor

    import tf_slim as slim
    import tf_slim.nets  # noqa: F401, so that there is slim.nets

tf.logging.set_verbosity(tf.logging.ERROR)  # the next line would announce its deprecation
tf.disable_v2_behavior()

warnings.filterwarnings("ignore", "`layer.apply` is deprecated")  # slim's dense layer, each time

BATCH_NORM_UPDATES = "batch_norm_updates"


def session_config(threads: int, **options):
    """A ConfigProto with as many threads for one op, and ops at a time; 0 for TensorFlow's own."""
    return tf.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads, **options
    )


__all__ = ["BATCH_NORM_UPDATES", "quiet", "slim", "tf"]
