"""senet-kp crossval --folds 5 --records out/tfrecords --out out/crossval --steps 2000

K-fold cross-validation: distributes the groups (photos or people) of a record folder over the
folds, and for each fold trains a network on the other folds and validates it on this one. --folds 5
gives a 4:1 split. Accepts all flags of senet-kp train; --max-minutes applies to each fold. Every
fold has a record folder and a run folder under --out, which takes the disk space of the records
--folds times. If it is interrupted, the same command resumes it. Prints a table, and writes it as
folds.csv and crossval.json. Exit codes: those of senet-kp train.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from senet_kp.face.metrics import normaliser
from senet_kp.face.scheme import scheme_of
from senet_kp.face.shape_statistics import ShapeStatistics
from senet_kp.input.crops import load_crops
from senet_kp.scoring.scores import list_conditions, scores
from senet_kp.tfrecords.errors import InputError, UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_folder, fraction, write_csv, write_json
from senet_kp.tfrecords.schema import Record, encode
from senet_kp.tfrecords.shards import (
    MANIFEST,
    ShardWriter,
    files_written,
    read_manifest,
    read_records,
    records_hash,
)
from senet_kp.train.checkpoints import (
    checkpoint_prefix,
    read_settings,
    restored_session,
    run_images,
)
from senet_kp.train.config import TrainConfig, recipe_of_command_line, training_settings
from senet_kp.train.loop import train
from senet_kp.train.run_folder import RunFolder
from senet_kp.train.setup import resolved

RECORDS_PER_SHARD = 1024
COLUMNS = ("fold", "train_faces", "val_faces", "val_groups", "nme", "nme_median", "failure_rate")


@dataclass(frozen=True)
class CrossvalConfig(TrainConfig):
    run: tyro.conf.Suppress[tyro.conf.Fixed[Path]] = Path()
    folds: int = 5
    """number of folds"""
    fold_seed: int = 0
    """seed of the distribution of groups over folds"""
    fold_test_side: bool = False
    """include the test side in the folds; otherwise it is not used"""
    out: Path = Path("out/crossval")
    """output folder for the folds and the table"""


def crossval(config: CrossvalConfig) -> int:
    """Train and score every fold; write the table when all are complete. Return an exit code.

    Folds that an earlier call completed are not trained again. Raises UserError for flags that
    make no valid cross-validation, and InputError for a fold that cannot be scored.
    """
    if config.folds < 2:
        raise UserError("--folds must be at least 2")
    if config.train_on_val:
        raise UserError("--train-on-val cannot be used: it would train on the validation fold")
    folders = [config.out / f"fold-{fold}" for fold in range(config.folds)]
    manifests = [fold_records(config, f, path / "records") for f, path in enumerate(folders)]
    for path, manifest in zip(folders, manifests, strict=True):
        _require_scorable(path / "records", manifest)
    rows = []
    for fold, (path, manifest) in enumerate(zip(folders, manifests, strict=True)):
        records, run = path / "records", path / "run"
        print(f"fold {fold}: {manifest['sides']['val']['records']:,} faces to validate")
        training = _fold_training(config, records, run)
        code = train(training)
        if RunFolder(run).step < training.steps:
            print(f"{config.out}: fold {fold} is not complete; run the same command to resume it")
            return code
        rows.append(_row(fold, manifest, _fold_scores(records, manifest, run)))
    _write_table(config, rows)
    return 0


def fold_of(group: str, seed: int, folds: int) -> int:
    """The fold of a group, a seeded hash of its name: adding groups does not move the others."""
    return int(fraction(group, seed, "fold") * folds)


def fold_records(config: CrossvalConfig, fold: int, out: Path) -> dict:
    """Write the record folder of a fold, unless it already exists; return its manifest.

    Its val side is this fold, its train side the other folds, and it has no test side. Raises
    UserError if one of the two sides would be empty.
    """
    source = read_manifest(config.records)
    settings = {
        "fold": fold,
        "folds": config.folds,
        "seed": config.fold_seed,
        "test_side": config.fold_test_side,
        "records_sha256": source["records_sha256"],
    }
    if not (out / MANIFEST).is_file() or read_manifest(out).get("fold") != settings:
        with atomic_folder(out, files_written) as folder:
            manifest = source | _write_sides(folder, _source_records(config, source), config, fold)
            manifest |= {"fold": settings, "records_sha256": records_hash(manifest)}
            manifest.pop("split_sha256", None)  # a fold has no split.csv
            write_json(folder / MANIFEST, manifest)
    return read_manifest(out)


def _source_records(config: CrossvalConfig, manifest: dict) -> Iterator[Record]:
    for side in ("train", "val", *(("test",) if config.fold_test_side else ())):
        yield from read_records(config.records, manifest, side)


def _write_sides(
    folder: Path, records: Iterator[Record], config: CrossvalConfig, fold: int
) -> dict:
    """Write the shards of both sides; return the manifest entries that describe them."""
    writers = {side: ShardWriter(folder, side, RECORDS_PER_SHARD) for side in ("train", "val")}
    groups = {side: set() for side in writers}
    complete, shape = dict.fromkeys(writers, 0), ShapeStatistics()
    for record in records:
        is_val = fold_of(record.group, config.fold_seed, config.folds) == fold
        side = "val" if is_val else "train"
        writers[side].write(encode(record))
        groups[side].add(record.group)
        complete[side] += bool(record.mask.all())
        if side == "train":
            shape.add(record.landmarks, record.mask)
    for side, found in groups.items():
        if not found:
            raise UserError(
                f"{config.records}: the {side} side of fold {fold} has no group; use fewer --folds,"
                " another --fold-seed, or more groups"
            )
    return {
        "sides": {
            side: _side_entry(writer.close(), complete[side], len(groups[side]))
            for side, writer in writers.items()
        },
        "groups_on_two_sides": len(groups["train"] & groups["val"]),
        "mean_shape": shape.mean(),
        "shape_spread": shape.spread(),
    }


def _side_entry(shards: list[dict], complete: int, groups: int) -> dict:
    records = sum(shard["records"] for shard in shards)
    return {"records": records, "complete": complete, "groups": groups, "shards": shards}


def _require_scorable(records: Path, manifest: dict):
    """Raise InputError if no val face has both outer eye corners labelled, as the NME needs."""
    val = load_crops(records, manifest, "val")
    lengths = normaliser(val.landmarks, val.mask, scheme_of(manifest), "inter-ocular")
    if not np.isfinite(lengths).any():
        raise InputError(
            f"{records}: none of the {len(val):,} faces to validate has both outer eye corners"
            " labelled, which the NME needs; use fewer --folds, another --fold-seed, or records of"
            " other labels"
        )


def _fold_training(config: CrossvalConfig, records: Path, run: Path) -> TrainConfig:
    """The settings of a fold's training; --epochs may be another number of steps in each fold."""
    return resolved(replace(training_settings(config), records=records, run=run))


def _fold_scores(records: Path, manifest: dict, run: Path) -> dict:
    """Scores of the latest checkpoint; the best one was selected on the fold that is scored."""
    crops = load_crops(records, manifest, "val")
    prefix = checkpoint_prefix(run, "latest")
    with restored_session(read_settings(run), manifest, prefix) as session:
        predicted = run_images(session, crops.images, prefix)
    result = scores(predicted, crops, scheme_of(manifest))
    return result | list_conditions(manifest, "val")


def _row(fold: int, manifest: dict, result: dict) -> dict:
    train_side, val_side = manifest["sides"]["train"], manifest["sides"]["val"]
    counts = {
        "train_faces": train_side["records"],
        "val_faces": val_side["records"],
        "val_groups": val_side["groups"],
    }
    return {"fold": fold} | counts | result


def fold_table(rows: list[dict]) -> str:
    """One line per fold, then the mean and the sample standard deviation of the NME over folds."""
    lines = ["fold  train    val  groups     NME  median  failures"]
    lines += [
        f"{row['fold']:>4}{row['train_faces']:>7,}{row['val_faces']:>7,}{row['val_groups']:>8,}"
        f"{row['nme']:>8.2%}{row['nme_median']:>8.2%}{row['failure_rate']:>10.1%}"
        for row in rows
    ]
    mean, deviation = _mean_and_deviation(rows)
    return "\n".join([*lines, f"NME {mean:.2%} mean, {deviation:.2%} standard deviation"])


def _mean_and_deviation(rows: list[dict]) -> tuple[float, float]:
    nmes = [row["nme"] for row in rows]
    return float(np.mean(nmes)), float(np.std(nmes, ddof=1))


def _write_table(config: CrossvalConfig, rows: list[dict]):
    mean, deviation = _mean_and_deviation(rows)
    result = {
        "nme_mean": mean,
        "nme_standard_deviation": deviation,
        "fold_seed": config.fold_seed,
        "net": config.net,
        **({"epochs": config.epochs} if config.epochs else {"steps": config.steps}),
        "checkpoint": "latest",
        "folds": rows,
    }
    write_json(config.out / "crossval.json", result)
    write_csv(config.out / "folds.csv", COLUMNS, ([row[key] for key in COLUMNS] for row in rows))
    print(fold_table(rows), config.out / "crossval.json", sep="\n")


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)
    default = CrossvalConfig(**vars(recipe_of_command_line()))
    config = tyro.cli(
        CrossvalConfig, prog="senet-kp crossval", description=__doc__, default=default
    )
    return crossval(config)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
