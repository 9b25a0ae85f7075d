"""python -m benchmarks.scale --records out/tfrecords --write

What data sets of other sizes would take: time, bytes and shards, and where training on several
machines stops getting quicker, worked out from the rates that were measured here
(benchmarks/results/prepare.json and training.json) and from a record folder's bytes a face.
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
RECIPE_STEPS = 40_000  # senet's recipe
LINKS = {"1 Gbit/s": 125e6, "10 Gbit/s": 1.25e9}  # bytes a second, one way


@dataclass(frozen=True)
class Config:
    records: Path = Path("out/tfrecords")
    """record folder, for the bytes of a face and the faces of a shard"""
    write: bool = False
    """keep the page, benchmarks/SCALE.md, and benchmarks/results/scale.json"""


def measured(records: Path) -> dict:
    """The rates and sizes that everything is worked out from."""
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
    """The training that was measured with these settings; raises UserError for none."""
    for row in training["trainings"]:
        if all(row[key] == value for key, value in wanted.items()):
            return row
    raise UserError(f"{RESULTS / 'training.json'} knows nothing of {wanted}: measure it again")


def data_set(pictures: int, known: dict) -> dict:
    """Hours, bytes and shards of a data set on one machine like this."""
    return {
        "pictures": pictures,
        "prepare_hours": pictures / known["prepare_pictures_per_s"] / 3600,
        "gigabytes": pictures * known["record_bytes"] / 1e9,
        "shards": ceil(pictures / known["records_per_shard"]),
        "epoch_hours": pictures / known["train_images_per_s"] / 3600,
    }


def most_workers(bytes_per_s: float, known: dict, servers: int = 1) -> float:
    """Workers at which the parameter servers' links are as long busy with a step as a worker is.

    In a synchronous step every worker fetches all weights and hands in as many gradients, 4 bytes
    each; the two directions of a link run at the same time.
    """
    step_s = known["batch_size"] / known["train_images_per_s"]
    return step_s * bytes_per_s * servers / (4 * known["variables"])


def page(known: dict) -> str:
    """The page, in Markdown."""
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
    return TEXT.format(
        **known,
        rows="\n".join(rows),
        limits="\n".join(limits),
        recipe=recipe,
        recipe_hours=recipe / known["train_images_per_s"] / 3600,
        step_ms=1000 * known["batch_size"] / known["train_images_per_s"],
        step_mb=4 * known["variables"] / 1e6,
        machines_prepare=DATA_SETS["ten million pictures"] / known["prepare_pictures_per_s"] / 3600,
    )


TEXT = """# What larger data sets take

Written by `python -m benchmarks.scale`, from rates measured on a machine of two cores: preparation
{prepare_pictures_per_s:,.0f} pictures a second with {processes} processes; `senet` at {size_px} px
{train_images_per_s:.0f} pictures a second at {batch_size} a step, with real, augmented input;
{record_bytes:,.0f} bytes a record.

| data set | pictures | preparation | records | shards of {records_per_shard:,} | an epoch |
|---|---|---|---|---|---|
{rows}

`senet`'s recipe of 40,000 steps sees {recipe:,} pictures, {recipe_hours:.1f} h here, however many
there are: it is 21 epochs of 300W-LP, or an eighth of one of ten million. Preparation is linear in
pictures and in machines, which have nothing to say to one another: under Beam, ten million pictures
are {machines_prepare:.1f} machine-hours. Listing and manifest are one process's work and memory.

## Where training on several machines stops scaling

A synchronous step takes as long as its slowest worker's {step_ms:.0f} ms for {batch_size} pictures,
and carries {step_mb:.1f} MB of weights to each worker and as much in gradients back ({variables:,}
variables, 4 bytes each). With N workers the parameter servers' links carry N times that. Workers at
which a link is busy for as long as a step computes, so that more of them add nothing:

| link | 1 parameter server | 2 | 4 |
|---|---|---|---|
{limits}

Well before, up to about a third of it, a worker more is nearly a worker's speed more. Then:

- a larger share for each worker: twice the pictures in a step halve the traffic for each picture,
  and the learning rate wants a longer warm-up;
- more parameter servers, `PS=4`: variables are dealt out in turn, so links share the load;
- machines with a GPU compute a step in much less time, and fill a link with as many times fewer
  workers: several GPUs in one machine come before several machines;
- every worker reads all records and decodes its own share: with ten workers ten times
  {record_bytes:,.0f} bytes are read for a trained picture, which wants local copies of the shards.

These are sums, not measurements: what was run is several processes on one machine.
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
