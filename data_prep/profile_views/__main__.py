"""`python -m data_prep.profile_views` does the same as `senet-kp profile-views`."""

import sys

from senet_kp.data_prep.profile_views.command import main
from senet_kp.tfrecords.errors import exit_code_of

if __name__ == "__main__":  # worker processes import this file too
    sys.exit(exit_code_of(main))
