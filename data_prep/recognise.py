"""Recognising the format of a data set's folder, and the default settings that follow from it."""

from argparse import ArgumentParser
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import tyro

from senet_kp.data_prep.config import AUTO, PrepareConfig, check_labels
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.tables import files_in
from senet_kp.face.facebox import BoxRule
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
    tables = files_in(root, ".csv") if root.is_dir() or root.suffix == ".csv" else []
    hint = f"; to see what {tables[0]} lacks, give --format csv" if tables else ""
    raise InputError(f"{root}: matches none of the supported formats ({expected}){hint}")


def defaults_of_command_line(kind: type[PrepareConfig] = PrepareConfig) -> PrepareConfig:
    """The default settings for the formats and the source of the face box in `sys.argv`.

    The settings of a format (`Format.settings`) apply if all data sets have them in common. A box
    that is the whole picture has no context around it. A folder that is not recognised changes
    nothing here; preparation reports it.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data", nargs="*", type=Path, default=[])
    parser.add_argument("--format", nargs="*", default=[])
    parser.add_argument("--box.source", nargs="?", dest="source")
    named = parser.parse_known_args()[0]
    settings = _shared_settings(named.data, named.format or [AUTO])
    if named.source == "picture":
        settings["context"] = 1.0
    return kind(data=tyro.MISSING, **settings | {"box": BoxRule(**settings.get("box", {}))})


def _shared_settings(folders: list[Path], names: list[str]) -> dict:
    """The settings that the formats of all folders have in common."""
    names = names * (len(folders) if len(names) == 1 else 1)
    found = []
    for folder, name in zip(folders, names, strict=False):
        with suppress(InputError):
            name = recognise(folder) if name == AUTO else name
        found.append(dict(FORMATS[name].settings) if name in FORMATS else {})
    return found[0] if found and all(settings == found[0] for settings in found) else {}
