"""senet-kp prepare --data 300W_LP P1/data --format 300w-lp p1 --out out/tfrecords

Crops the faces of one or more data sets, normalises their landmarks to the face box, and writes
train, val and test shards with a manifest, a table of rejected pictures and a contact sheet.
Processes about 500 pictures of 450x450 per second on two cores. Exit codes: 0 done, 2 unusable
arguments, 3 the data cannot be read, 5 too many rejects, 6 the result cannot be written.
"""

import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from platform import python_version

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.data_prep.config import PrepareConfig, check, crop_rule, described, settings_of
from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.data_sets import DataSet, listing, scan_all
from senet_kp.data_prep.detected import alarms, detected
from senet_kp.data_prep.formats.face_sample import FaceSource
from senet_kp.data_prep.kept_out import check_kept_out
from senet_kp.data_prep.ledger import Ledger
from senet_kp.data_prep.read_face import pixels_of
from senet_kp.data_prep.recognise import defaults_of_command_line, with_formats
from senet_kp.data_prep.split import sides_of_faces
from senet_kp.inference.box_transform import measure_transform
from senet_kp.inference.face_detector import DLIB
from senet_kp.inference.yunet import cached_file
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import (
    atomic_folder,
    fraction,
    restore_folder,
    sha256_of_file,
    write_json,
)
from senet_kp.tfrecords.fingerprints import read_fingerprints
from senet_kp.tfrecords.schema import SCHEMA_VERSION
from senet_kp.tfrecords.shards import (
    CONTACT_SHEET,
    MANIFEST,
    REJECTS,
    SPLIT,
    ShardWriter,
    files_written,
    read_manifest,
    records_hash,
    shard_paths,
)
from senet_kp.tfrecords.sides import SIDES
from senet_kp.tfrecords.workers import worker_pool

CHUNK = 64  # pictures per task of a process: 0.1 s of work, so that its overhead is negligible


@dataclass(frozen=True)
class Plan:
    """What a preparation will do.

    config:    the settings, with every format recognised
    data_sets: the data sets and their faces
    ordered:   all faces in the order of the records
    rule:      how they are cropped
    listing:   a fingerprint of the source files
    sides:     {group of faces: its side of the split}
    """

    config: PrepareConfig
    data_sets: list[DataSet]
    ordered: list[FaceSource]
    rule: CropRule
    listing: str
    sides: dict[str, str]


def prepare(config: PrepareConfig) -> dict:
    """Write the record folder, unless it is up to date already; return its manifest.

    Raises UserError, InputError, CheckError and OutputError.
    """
    restore_folder(config.out, files_written)
    plan = plan_of(config)
    if done := finished(config.out, plan):
        return done
    check_detector(plan.config)
    with atomic_folder(config.out, files_written) as folder, worker_pool(config.processes) as pool:
        writers = {side: ShardWriter(folder, side, config.shard_records) for side in SIDES}
        crops = pool.map(partial(crop_record, rule=plan.rule), plan.ordered, chunksize=CHUNK)
        manifest = write_account(folder, plan, crops, writers, pool)
    report(config.out, manifest)
    return manifest


def plan_of(config: PrepareConfig) -> Plan:
    """Check the settings, find the faces and print a survey of them.

    Raises UserError and InputError.
    """
    check(config)
    config = with_formats(config)
    rule = crop_rule(config)
    check_kept_out(rule)
    data_sets = scan_all(config)
    print(*(data_set.survey() for data_set in data_sets), sep="\n")
    print(f"face box: {described(config)}")
    sources = chain.from_iterable(data_set.sources for data_set in data_sets)
    ordered = sorted(sources, key=lambda source: fraction(source.name, config.seed, "order"))
    sides = sides_of_faces(ordered, config)
    return Plan(config, data_sets, ordered, rule, listing(data_sets, config.keep_out), sides)


def write_account(folder: Path, plan: Plan, results, writers: dict, pool) -> dict:
    """Write the records and every other file of the record folder; return the manifest.

    results: a Cropped or Reject for every face of the plan, in its order
    writers: {side: writer of its records}, as in Ledger
    pool:    worker processes that measure the detector
    Raises CheckError and InputError.
    """
    ledger = Ledger(folder, plan.config, writers, plan.sides)
    bar = tqdm(plan.ordered, unit="picture", disable=None)
    for source, result in zip(bar, results, strict=True):
        ledger.enter(source, result)
    print(*(f"{line}\n" for line in ledger.turned_lines()), sep="", end="")
    ledger.check(len(plan.ordered))
    manifest = _manifest(folder, plan, ledger)
    facts = {key: manifest[key] for key in ("scheme", "box")}
    facts["mean_shape"] = manifest["mean_shape"].tolist()
    manifest |= _measure_detectors(pool, ledger, plan, json.dumps(facts))
    write_json(folder / MANIFEST, manifest)
    return manifest


def _manifest(folder: Path, plan: Plan, ledger: Ledger) -> dict:
    """Return the manifest without what is measured of the detectors."""
    sides, points = ledger.close(), plan.config.points
    manifest = {
        "settings": settings_of(plan.config),
        "listing": plan.listing,
        "schema": SCHEMA_VERSION,
        "scheme": plan.rule.scheme.facts(),
        "box": asdict(plan.config.box),
        "stored_px": plan.rule.stored_px,
        "encoding": plan.rule.encoding,
        "colour": "RGB",
        "value_range": [0, 255],
        "sides": sides,
        "groups_on_two_sides": ledger.shared_groups(),
        "split_sha256": sha256_of_file(folder / SPLIT),
        "rejects": len(ledger.rejects),
        "kept_out": ledger.kept_out(),
        "turned_pictures": {name: len(found) for name, found in sorted(ledger.turned.items())},
        "label_pixels": {
            name: pixels_of(name, plan.config.label_pixels) for name in sorted(plan.config.format)
        },
        "mean_shape": ledger.shown.shape.mean(),
        "shape_spread": ledger.shown.shape.spread(),
        "sources": [data_set.manifest_entry(points, ledger.content) for data_set in plan.data_sets],
        "versions": _versions(),
    }
    return manifest | {"records_sha256": records_hash(manifest)}


def check_detector(config: PrepareConfig):
    """Raise UserError, before the work starts, if dlib is needed and cannot be imported."""
    if not config.detector_pictures or config.box.source == "picture":
        return
    try:
        import dlib  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"dlib cannot be imported ({error}): install dlib-bin, or leave out the comparison of"
            " its boxes with the face boxes with --detector-pictures 0"
        ) from None


def _measure_detectors(pool, ledger: Ledger, plan: Plan, facts: str) -> dict:
    """Return {"detector_box", "yunet_box"}: the transforms from dlib's and YuNet's boxes.

    A transform is None if the detector finds no face, if YuNet's file is not in the user's cache,
    or if face boxes are whole pictures, which no detector has to find. facts: as for `detected`.
    Prints a warning if labels lie beside the faces. Raises CheckError if the reason is
    --label-pixels.
    """
    choices = {"detector_box": DLIB, "yunet_box": cached_file()}
    if plan.rule.box.source == "picture":
        return dict.fromkeys(choices)
    return {
        key: choice and _measured(pool, ledger, plan, choice, facts)
        for key, choice in choices.items()
    }


def _measured(pool, ledger: Ledger, plan: Plan, choice, facts: str) -> dict | None:
    sources, name = ledger.sides["train"].sources, DLIB if choice == DLIB else "YuNet"
    further = [source for source in ledger.turned_sources if source not in sources]
    detect = partial(
        detected, rule=plan.rule, choice=choice, facts=facts, min_face_px=plan.config.min_face_px
    )
    found = pool.map(detect, sources + further, chunksize=4)
    bar = tqdm(found, total=len(sources + further), unit="picture", desc=name, disable=None)
    measured = list(bar)
    if choice == DLIB:
        print(*(f"{line}\n" for line in alarms(measured, plan.rule)), sep="", end="")
    pairs = [one.pair for one in measured[: len(sources)] if one.pair is not None]
    return asdict(measure_transform(pairs, len(sources))) if pairs else None


def finished(out: Path, plan: Plan) -> dict | None:
    """Return the manifest in `out` if the folder is complete and up to date with the plan."""
    try:
        manifest = read_manifest(out)
        for side in manifest["sides"]:
            shard_paths(out, manifest, side)
        read_fingerprints(out, SIDES)
    except InputError:
        return None
    return manifest if made_by(plan, manifest, out) else None


def made_by(plan: Plan, manifest: dict, out) -> bool:
    """Return whether the manifest in `out` is of these settings and files, and print which it is.

    Raises UserError, which names them, if settings differ and `--overwrite` is not given.
    """
    defaults = settings_of(PrepareConfig(()))  # of settings that did not exist yet
    changes = differences(defaults | manifest.get("settings", {}), settings_of(plan.config))
    if changes and not plan.config.overwrite:
        raise UserError(
            f"{out}: holds records of other settings ({'; '.join(changes)}): replace them with"
            " --overwrite, choose another --out, or train on them as they are (with make: without"
            " DATA=)"
        )
    if same := not changes and manifest.get("listing") == plan.listing:
        print(f"{out}: these records are up to date, nothing to do")
    else:
        old = ", ".join(source["folder"] for source in manifest.get("sources", ()))
        why = "other settings" if changes else "other pictures or labels"
        print(f"{out}: the records of {old} there have {why} and are replaced")
    return same


def differences(old: dict, new: dict, prefix: str = "--") -> list[str]:
    """Return "--flag OLD, now NEW" for each setting whose values differ, in nested dicts too."""
    old, new = json.loads(json.dumps([old, new]))  # tuples are lists in the manifest
    lines = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        flag = prefix + key.replace("_", "-")
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{flag}.")
        elif before != after:
            lines.append(f"{flag} {before!r}, now {after!r}")
    return lines


def _versions() -> dict:
    packages = {name: version(name) for name in ("numpy", "scipy", "imagehash")}
    return {"python": python_version(), "opencv": cv2.__version__} | packages


def report(out, manifest: dict):
    """Print a few lines about the records in `out`."""
    sides = ", ".join(
        f"{side} {s['records']:,} of {s['groups']:,} groups"
        for side, s in manifest["sides"].items()
    )
    print(
        f"{out}: {sides}; {manifest['groups_on_two_sides']} groups on two sides;"
        f" {manifest['rejects']} rejects ({REJECTS}); contact sheet {out}/{CONTACT_SHEET}"
    )
    for name, key in (("dlib", "detector_box"), ("YuNet", "yunet_box")):
        if box := manifest.get(key):
            print(
                f"{name} found {box['found']} of {box['pictures']} faces; the face box is its box"
                f" shifted by ({box['shift_x']:+.3f}, {box['shift_y']:+.3f}) and scaled by"
                f" {box['scale']:.3f}, with a spread of {np.round(box['spread'], 3).tolist()}"
            )


def main():
    config = tyro.cli(
        PrepareConfig,
        prog="senet-kp prepare",
        description=__doc__,
        default=defaults_of_command_line(),
    )
    prepare(config)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
