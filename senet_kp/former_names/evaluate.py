"""The former name of `senet_kp.scoring.evaluate`."""

import sys

from senet_kp.scoring.evaluate import *  # noqa: F403
from senet_kp.scoring.evaluate import main
from senet_kp.tfrecords.errors import exit_code_of

if __name__ == "__main__":
    sys.exit(exit_code_of(main))
