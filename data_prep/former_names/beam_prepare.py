"""`python -m data_prep.beam_prepare`, the former name of `senet_kp.data_prep.beam.prepare`."""

import sys

from senet_kp.data_prep.beam.prepare import main
from senet_kp.tfrecords.errors import exit_code_of

if __name__ == "__main__":
    sys.exit(exit_code_of(main))
