"""`python -m senet_kp STAGE` is `senet-kp STAGE`."""

import sys

from senet_kp.cli import main

if __name__ == "__main__":  # worker processes import this file too
    sys.exit(main())
