"""Launcher of `senet-kp demo` in a checkout: `python demo.py photo.jpg`."""

import sys

from senet_kp.demo.command import main
from senet_kp.tfrecords.errors import exit_code_of

if __name__ == "__main__":
    sys.exit(exit_code_of(main))
