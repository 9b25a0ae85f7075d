"""The former name of `senet_kp.train.label_offsets`."""

import sys

from senet_kp.tfrecords.errors import exit_code_of
from senet_kp.train.label_offsets import *  # noqa: F403
from senet_kp.train.label_offsets import main

if __name__ == "__main__":
    sys.exit(exit_code_of(main))
