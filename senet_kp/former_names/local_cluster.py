"""The former name of `senet_kp.cluster.local_cluster`."""

import sys

from senet_kp.cluster.local_cluster import *  # noqa: F403
from senet_kp.cluster.local_cluster import main
from senet_kp.tfrecords.errors import exit_code_of

if __name__ == "__main__":
    sys.exit(exit_code_of(main))
