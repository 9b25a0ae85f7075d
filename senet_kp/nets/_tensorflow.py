"""TensorFlow and tf-slim, patched to work together; `senet_kp.nets.tf1` imports this at first use.

tf-slim 1.1.0 is its last release. With TensorFlow 2.16 and later it has two faults:

1. It reads `tensorflow.python.framework.ops.Tensor`, which has moved. It is put back below.
2. With its default updates collection, `slim.batch_norm` imports a Keras module that no longer
   exists. With any other collection it uses its own fused implementation, so the networks here
   collect their updates in `tf1.BATCH_NORM_UPDATES`, which training runs in every step.

The tests fail when either workaround is no longer needed or no longer sufficient.
"""

import os
import warnings

from senet_kp.nets.quiet import quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
with quiet():
    import tensorflow.compat.v1 as tf
    from tensorflow.python.framework import ops

    if not hasattr(ops, "Tensor"):
        ops.Tensor = tf.Tensor

    import tf_slim as slim
    import tf_slim.nets  # noqa: F401, which makes slim.nets available

tf.logging.set_verbosity(tf.logging.ERROR)  # the next line would log a deprecation warning
tf.disable_v2_behavior()

# slim's fully connected layers would cause this warning once each.
warnings.filterwarnings("ignore", "`layer.apply` is deprecated")

__all__ = ["slim", "tf"]
