"""The frozen graph that comes with the project."""

from importlib.util import find_spec
from pathlib import Path

# Only the folder is asked for: nothing of senet_kp.export is imported.
PRETRAINED = Path(find_spec("senet_kp.export").origin).parent / "pretrained" / "senet68.pb"
"""Path of the frozen graph; its model card lies beside it."""
