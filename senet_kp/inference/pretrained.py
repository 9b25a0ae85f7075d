"""The frozen graph that is shipped with the project."""

from importlib.util import find_spec
from pathlib import Path

# find_spec locates the folder without importing senet_kp.export.
PRETRAINED = Path(find_spec("senet_kp.export").origin).parent / "pretrained" / "senet68.pb"
"""Path of the shipped frozen graph, in a checkout and in an installed wheel; its model card is
senet68.json in the same folder. It may be used for non-commercial research only."""
