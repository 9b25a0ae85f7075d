"""The frozen graphs that are shipped with the project, and the one that commands run by default."""

from importlib.util import find_spec
from pathlib import Path

from senet_kp.tfrecords.sides import trained_sides

# find_spec locates the folder without importing senet_kp.export.
PRETRAINED = Path(find_spec("senet_kp.export").origin).parent / "pretrained" / "senet68.pb"
"""Path of the shipped frozen graph whose jaw follows the visible contour of the face, in a checkout
and in an installed wheel; its model card is senet68.json in the same folder. It may be used for
non-commercial research only."""

PRETRAINED_3D = PRETRAINED.with_name("senet68-3d.pb")
"""Path of the shipped frozen graph whose 68 points are those of a 3-D head model, projected into
the picture: the far jaw of a turned head is where the head has it. For head pose, masks and
augmented reality. It has the network and the terms of PRETRAINED, and a model card of its own."""

SHIPPED = {"visible": PRETRAINED, "3d": PRETRAINED_3D}
"""The shipped graphs by the meaning of their points on the contour."""

OWN = Path("out")
"""Where `make freeze` writes the user's own frozen graphs, relative to the current folder."""


def default_model() -> Path:
    """The frozen graph that a command runs if none is named.

    It is the user's own, the one in OWN that was written last, or else PRETRAINED.
    """
    own = [path for path in OWN.glob("*.pb") if path.with_suffix(".json").is_file()]
    return max(own, key=lambda path: path.stat().st_mtime_ns, default=PRETRAINED)


def trained_on(card: dict) -> str:
    """What the model of a card was trained on, in words: "300W_LP and P1 (3,317 faces)"."""
    training = card.get("training", {})
    sources = [source["folder"] for source in training.get("records", {}).get("sources", ())]
    if not sources:
        return "data that its card does not name"
    sides = trained_sides(training["settings"].get("train_on_val", False))
    faces = sum(training["records"]["sides"][side]["records"] for side in sides)
    return f"{' and '.join(sources)} ({faces:,} faces)"
