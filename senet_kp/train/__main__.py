"""Runs `python -m senet_kp.train` as `senet-kp train`."""

import sys

from senet_kp.tfrecords.errors import exit_code_of
from senet_kp.train.loop import main

if __name__ == "__main__":
    sys.exit(exit_code_of(main))
