"""python -m senet_kp.crossval --folds 5 --records out/tfrecords --out out/crossval --steps 2000

K-fold cross-validation of a training: the groups (photos or people) of a record folder are dealt
into folds, and each fold is validated on by a network trained on the others. A 4:1 split is
--folds 5. Takes the flags of senet_kp.train; --max-minutes holds for each fold. Every fold has a
record folder and a run folder under --out, so it wants the space of the records --folds times.
The same command goes on where it was stopped. Prints the table, writes folds.csv, crossval.json.
Exit codes: as senet_kp.train's.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from senet_kp.face.scheme import scheme_of
from senet_kp.face.shape_statistics import ShapeStatistics
from senet_kp.input.crops import load_crops
from senet_kp.scoring.evaluate import list_conditions, scores
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_folder, fraction, write_csv, write_json
from senet_kp.tfrecords.schema import Record, encode
from senet_kp.tfrecords.shards import (
    MANIFEST,
    ShardWriter,
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

RECORDS_PER_SHARD = 1024
COLUMNS = ("fold", "train_faces", "val_faces", "val_groups", "nme", "nme_median", "failure_rate")


@dataclass(frozen=True)
class CrossvalConfig(TrainConfig):
    run: tyro.conf.Suppress[tyro.conf.Fixed[Path]] = Path()
    folds: int = 5
    """number of folds"""
    fold_seed: int = 0
    """of the dealing"""
    fold_test_side: bool = False
    """deal the test side too; otherwise it stays unseen"""
    out: Path = Path("out/crossval")
    """folder for the folds and the table"""


def crossval(config: CrossvalConfig) -> int:
    """Train and score every fold that is not done; write the table when all are."""
    if config.folds < 2:
        raise UserError("--folds is at least 2")
    if config.train_on_val:
        raise UserError("--train-on-val would train on the fold that is to be validated on")
    rows = []
    for fold in range(config.folds):
        records, run = (config.out / f"fold-{fold}" / part for part in ("records", "run"))
        manifest = fold_records(config, fold, records)
        print(f"fold {fold}: {manifest['sides']['val']['records']:,} faces to validate")
        code = train(_fold_training(config, records, run))
        if RunFolder(run).step < config.steps:
            print(f"{config.out}: fold {fold} is not done; the same command goes on with it")
            return code
        rows.append(_row(fold, manifest, _fold_scores(records, manifest, run)))
    _write_table(config, rows)
    return 0


def fold_of(group: str, seed: int, folds: int) -> int:
    """The fold of a group, by a seeded hash of its name alone: adding groups moves none."""
    return int(fraction(group, seed, "fold") * folds)


def fold_records(config: CrossvalConfig, fold: int, out: Path) -> dict:
    """Write the fold's own record folder, or find it there; return its manifest.

    Its val side is the fold, its train side all others, and it has no test side. Raises UserError
    where no group falls on one of them.
    """
    source = read_manifest(config.records)
    dealt = {
        "fold": fold,
        "folds": config.folds,
        "seed": config.fold_seed,
        "test_side": config.fold_test_side,
        "records_sha256": source["records_sha256"],
    }
    if not (out / MANIFEST).is_file() or read_manifest(out).get("fold") != dealt:
        with atomic_folder(out, ours=MANIFEST) as folder:
            manifest = source | _write_sides(folder, _every_record(config, source), config, fold)
            manifest |= {"fold": dealt, "records_sha256": records_hash(manifest)}
            manifest.pop("split_sha256", None)  # a fold has no split.csv
            write_json(folder / MANIFEST, manifest)
    return read_manifest(out)


def _every_record(config: CrossvalConfig, manifest: dict) -> Iterator[Record]:
    for side in ("train", "val", *(("test",) if config.fold_test_side else ())):
        yield from read_records(config.records, manifest, side)


def _write_sides(folder: Path, every: Iterator[Record], config: CrossvalConfig, fold: int) -> dict:
    """The shards of both sides, and what the manifest says about them."""
    writers = {side: ShardWriter(folder, side, RECORDS_PER_SHARD) for side in ("train", "val")}
    groups = {side: set() for side in writers}
    complete, shape = dict.fromkeys(writers, 0), ShapeStatistics()
    for record in every:
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
                f"{config.records}: no group falls on fold {fold}'s {side} side; give fewer"
                " --folds, another --fold-seed, or more groups"
            )
    sides = {}
    for side, writer in writers.items():
        shards = writer.close()
        records = sum(shard["records"] for shard in shards)
        sides[side] = {
            "records": records,
            "complete": complete[side],
            "groups": len(groups[side]),
            "shards": shards,
        }
    return {
        "sides": sides,
        "groups_on_two_sides": len(groups["train"] & groups["val"]),
        "mean_shape": shape.mean(),
        "shape_spread": shape.spread(),
    }


def _fold_training(config: CrossvalConfig, records: Path, run: Path) -> TrainConfig:
    return replace(training_settings(config), records=records, run=run)


def _fold_scores(records: Path, manifest: dict, run: Path) -> dict:
    """Scores of the newest checkpoint: the best one was chosen by the fold it is scored on."""
    crops = load_crops(records, manifest, "val")
    prefix = checkpoint_prefix(run, "latest")
    with restored_session(read_settings(run), manifest, prefix) as session:
        predicted = run_images(session, crops.images)
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
    """A line a fold, then mean and standard deviation (of a sample) over the folds."""
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
        "steps": config.steps,
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
        CrossvalConfig, prog="python -m senet_kp.crossval", description=__doc__, default=default
    )
    return crossval(config)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
