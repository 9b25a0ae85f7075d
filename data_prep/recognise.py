"""Recognising the format of a data set's folder, for `--format auto`."""

from dataclasses import replace
from pathlib import Path

from senet_kp.data_prep.config import AUTO, PrepareConfig, check_labels
from senet_kp.data_prep.formats import FORMATS
from senet_kp.tfrecords.errors import InputError


def with_formats(config: PrepareConfig) -> PrepareConfig:
    """Return the settings with the recognised format instead of every "auto", and print it.

    Raises InputError if a format is not recognised, and UserError if the formats have different
    landmarks.
    """
    formats = []
    for folder, name in config.data_sets():
        if name == AUTO:
            name = recognise(folder)
            print(f"{folder}: recognised as {name} ({FORMATS[name].expects})")
        formats.append(name)
    config = replace(config, format=tuple(formats))
    check_labels(config)
    return config


def recognise(root: Path) -> str:
    """Return the name of the one format that `root` is in.

    Raises InputError if `root` does not exist or is in no format or in several.
    """
    root = Path(root)
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    found = [name for name, format in FORMATS.items() if format.recognises(root)]
    if len(found) == 1:
        return found[0]
    expected = "; ".join(f"{name}: {FORMATS[name].expects}" for name in found or FORMATS)
    if found:
        raise InputError(
            f"{root}: matches several formats, choose one with --format (FORMAT= with make):"
            f" {expected}"
        )
    raise InputError(f"{root}: matches none of the supported formats ({expected})")
