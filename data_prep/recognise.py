"""`--format auto`: which format a folder is in, by asking every reader."""

from dataclasses import replace
from pathlib import Path

from senet_kp.data_prep.config import AUTO, PrepareConfig, check_labels
from senet_kp.data_prep.formats import FORMATS
from senet_kp.tfrecords.errors import InputError


def with_formats(config: PrepareConfig) -> PrepareConfig:
    """The config with every "auto" replaced by the format found, which is printed.

    Raises InputError, and UserError where the formats have different landmarks.
    """
    formats = []
    for folder, name in config.data_sets():
        if name == AUTO:
            name = detect(folder)
            print(f"{folder}: taken for {name}, because it holds {FORMATS[name].EXPECTS}")
        formats.append(name)
    config = replace(config, format=tuple(formats))
    check_labels(config)
    return config


def detect(root: Path) -> str:
    """The name of the one format that `root` is in; raises InputError for none and for several."""
    root = Path(root)
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    found = [name for name, reader in FORMATS.items() if reader.recognises(root)]
    if len(found) == 1:
        return found[0]
    expected = "; ".join(f"{name}: {FORMATS[name].EXPECTS}" for name in found or FORMATS)
    if found:
        raise InputError(f"{root}: say with --format (FORMAT=) which to read, it holds {expected}")
    raise InputError(f"{root}: in none of the formats that are read ({expected})")
