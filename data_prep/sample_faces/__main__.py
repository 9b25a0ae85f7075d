"""`python -m data_prep.sample_faces` does the same as `senet-kp sample`."""

import sys

from senet_kp.data_prep.sample_faces.dataset import main
from senet_kp.tfrecords.errors import exit_code_of

if __name__ == "__main__":  # worker processes import this file too
    sys.exit(exit_code_of(main))
