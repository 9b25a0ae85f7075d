"""python -m benchmarks.scale --records out/tfrecords --write

Estimate time, disk space and shards of data sets of other sizes, and the number of machines at
which distributed training stops scaling. The estimates follow from the measured rates in
benchmarks/results/prepare.json and training.json, and from the bytes per record of a record folder.
"""

import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import tyro

from benchmarks.measure import RESULTS, read_result
from senet_kp.tfrecords.errors import UserError, exit_code_of
from senet_kp.tfrecords.files import write_bytes, write_json
from senet_kp.tfrecords.shards import read_manifest

PAGE = Path(__file__).parent / "SCALE.md"
DATA_SETS = {
    "300W-LP": 61_225,
    "300W-LP with its flips": 122_450,
    "ten million pictures": 10_000_000,
}
RECIPE_STEPS = 40_000  # of the recipe of senet
LINKS = {"1 Gbit/s": 125e6, "10 Gbit/s": 1.25e9}  # bytes per second in one direction


@dataclass(frozen=True)
class Config:
    records: Path = Path("out/tfrecords")
    """record folder, for the bytes per record and the records per shard"""
    write: bool = False
    """write benchmarks/SCALE.md and benchmarks/results/scale.json"""


def measured(records: Path) -> dict:
    """Return the measured rates and sizes on which the estimates are based."""
    manifest = read_manifest(records)
    sides = manifest["sides"].values()
    preparation = read_result("prepare")
    training = read_result("training")
    row = _measurement(training, net="senet", batch_size=32, input="real")
    return {
        "prepare_pictures_per_s": preparation["prepare_pictures_per_s"]["median"],
        "processes": preparation["conditions"]["processes"],
        "train_images_per_s": row["images_per_s"]["median"],
        "size_px": training["conditions"]["size_px"],
        "batch_size": row["batch_size"],
        "variables": row["weights"],
        "record_bytes": sum(shard["bytes"] for side in sides for shard in side["shards"])
        / sum(side["records"] for side in sides),
        "records_per_shard": manifest["settings"]["records_per_shard"],
    }


def _measurement(training: dict, **wanted) -> dict:
    """Return the measured training with these settings; raises UserError if there is none."""
    for row in training["trainings"]:
        if all(row[key] == value for key, value in wanted.items()):
            return row
    raise UserError(f"{RESULTS / 'training.json'}: no measurement with {wanted}; measure it again")


def data_set(pictures: int, known: dict) -> dict:
    """Estimate hours, gigabytes and shards of a data set on one machine like this one."""
    return {
        "pictures": pictures,
        "prepare_hours": pictures / known["prepare_pictures_per_s"] / 3600,
        "gigabytes": pictures * known["record_bytes"] / 1e9,
        "shards": ceil(pictures / known["records_per_shard"]),
        "epoch_hours": pictures / known["train_images_per_s"] / 3600,
    }


def most_workers(bytes_per_s: float, known: dict, servers: int = 1) -> float:
    """Estimate the number of workers at which transferring a step takes as long as computing it.

    In a synchronous step every worker receives all weights and sends as many gradients, 4 bytes
    each, over the links of the parameter servers. The two directions of a link work in parallel.
    """
    step_s = known["batch_size"] / known["train_images_per_s"]
    return step_s * bytes_per_s * servers / (4 * known["variables"])


def page(known: dict) -> str:
    """Return the page in Markdown."""
    recipe = RECIPE_STEPS * known["batch_size"]
    rows = []
    for name, pictures in DATA_SETS.items():
        row = data_set(pictures, known)
        rows.append(
            f"| {name} | {pictures:,} | {row['prepare_hours']:.1f} h | {row['gigabytes']:,.1f} GB |"
            f" {row['shards']:,} | {row['epoch_hours']:.1f} h |"
        )
    limits = [
        f"| {name} | " + " | ".join(f"{most_workers(rate, known, n):.0f}" for n in (1, 2, 4)) + " |"
        for name, rate in LINKS.items()
    ]
    ten_million = DATA_SETS["ten million pictures"]
    return TEXT.format(
        **known,
        rows="\n".join(rows),
        limits="\n".join(limits),
        steps=RECIPE_STEPS,
        recipe=recipe,
        recipe_hours=recipe / known["train_images_per_s"] / 3600,
        epochs=recipe / DATA_SETS["300W-LP"],
        share=recipe / ten_million,
        step_ms=1000 * known["batch_size"] / known["train_images_per_s"],
        step_mb=4 * known["variables"] / 1e6,
        machines_prepare=ten_million / known["prepare_pictures_per_s"] / 3600,
    )


TEXT = """# Larger data sets and more machines

`python -m benchmarks.scale` writes this page. Its estimates are based on rates that were measured
on a machine with two cores: data preparation at {prepare_pictures_per_s:,.0f} pictures per second
with {processes} processes; training of `senet` at {size_px} px with {train_images_per_s:.0f}
pictures per second in batches of {batch_size}, with real, augmented input; and {record_bytes:,.0f}
bytes per record.

| data set | pictures | preparation | records | shards of {records_per_shard:,} | one epoch |
|---|---|---|---|---|---|
{rows}

The recipe of `senet` has {steps:,} steps and sees {recipe:,} pictures, which takes
{recipe_hours:.1f} hours on this machine, whatever the size of the data set: {epochs:.0f} epochs of
300W-LP, or {share:.0%} of one epoch of ten million pictures. The time for preparation is
proportional to the number of pictures, and inversely proportional to the number of machines, which
do not communicate: under Beam, ten million pictures take {machines_prepare:.1f} machine-hours. One
process lists the faces and writes the manifest, and needs memory for them.

## Where distributed training stops scaling

A synchronous step takes as long as the slowest worker needs for {batch_size} pictures, about
{step_ms:.0f} ms. In each step, {step_mb:.1f} MB of weights are sent to each worker and as many
bytes of gradients back ({variables:,} variables of 4 bytes). With N workers, the network links of
the parameter servers carry N times that. The table has the number of workers at which a link needs
as long for a step as the workers compute; more workers do not make training faster.

| link | 1 parameter server | 2 | 4 |
|---|---|---|---|
{limits}

Up to about a third of that number, each further worker adds nearly the throughput of one worker.
Beyond it, these measures help:

- Larger batches per worker. Twice the pictures per step halve the traffic per picture, but need a
  longer learning-rate warm-up.
- More parameter servers, for example `PS=4`. Variables are assigned to them in turn, so that they
  share the traffic.
- Several GPUs in one machine rather than several machines. A GPU computes a step in much less
  time, so correspondingly fewer workers saturate a link.
- Local copies of the shards. Every worker reads all records and decodes only its own share, so ten
  workers together read ten times {record_bytes:,.0f} bytes per trained picture.

These numbers are estimates. Distributed training was run only with several processes on one
machine.
"""


def main():
    config = tyro.cli(Config, prog="python -m benchmarks.scale", description=__doc__)
    known = measured(config.records)
    print(page(known))
    if config.write:
        write_json(RESULTS / "scale.json", known)
        write_bytes(PAGE, page(known).encode())


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
