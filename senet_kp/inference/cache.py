"""The folder of the user's cache in which the face detectors' files are kept."""

import os
from pathlib import Path

from platformdirs import user_cache_path

VARIABLE = "SENET_KP_CACHE"


def cache_folder() -> Path:
    """The folder that the environment variable SENET_KP_CACHE names, or else the platform's.

    The latter is `$XDG_CACHE_HOME/senet_kp` or `~/.cache/senet_kp` on Linux.
    """
    given = os.environ.get(VARIABLE)
    return Path(given) if given else user_cache_path("senet_kp")
