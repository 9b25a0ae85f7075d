"""Which label map every data set of a preparation needs."""

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.formats import FORMATS
from senet_kp.face.known_label_maps import known_label_map
from senet_kp.face.label_map import LabelMap, read_label_map
from senet_kp.tfrecords.errors import UserError

AUTO, NONE = "auto", "none"  # values of --label-map


def label_maps_of(config: PrepareConfig) -> list[LabelMap | None]:
    """Return the label map of every data set, whose formats must be known by now.

    Raises UserError if a map leads to another scheme than that of the records, and InputError if a
    file cannot be read.
    """
    target = config.landmark_scheme
    names = config.label_map * (len(config.data) if len(config.label_map) == 1 else 1)
    maps = []
    for (_, format), name in zip(config.data_sets(), names, strict=True):
        if name == AUTO:
            maps.append(known_label_map(FORMATS[format].scheme.name, target.name))
            continue
        maps.append(found := None if name == NONE else read_label_map(name))
        if found and found.target != target:
            raise UserError(
                f"--label-map {name}: leads to {found.target.name}, and the records have"
                f" {target.name}; give --scheme {found.target.name}, or another map"
            )
    return maps
