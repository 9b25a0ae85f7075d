"""senet-kp verify out/tfrecords

Read every record of a folder and check the folder against its manifest: the SHA-256 of every shard
and of split.csv, counts, sizes, value ranges, and that no group of pictures is on two sides of the
train/val/test split. If there are problems, the command prints one line for each and exits with
code 5; otherwise it prints the counts and exits with code 0. It reads about 20,000 records per
second.
"""

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.tfrecords.errors import CheckError, exit_code_of
from senet_kp.tfrecords.example import BadRecord, read_frames
from senet_kp.tfrecords.files import sha256_of_file
from senet_kp.tfrecords.schema import decode
from senet_kp.tfrecords.shards import MANIFEST, SPLIT, encoding_of, read_manifest, records_hash

# In box sizes from the centre. Boxes are drawn around the landmarks, so correct landmarks lie
# inside unless the box rule shifts the box; a landmark this far away means a wrong box or label.
FARTHEST = 2.0


@dataclass(frozen=True)
class VerifyConfig:
    records: tyro.conf.Positional[Path]
    """record folder, for example out/tfrecords"""


def verify(folder) -> tuple[list[str], dict]:
    """Check a record folder.

    Returns the problems, one line each, and {side: {"records": ..., "groups": ...}} as counted.
    """
    folder, manifest = Path(folder), read_manifest(folder)
    problems, groups, counts = [], {}, {}
    shards = [(side, shard) for side, s in manifest["sides"].items() for shard in s["shards"]]
    for side, shard in tqdm(shards, unit="shard", disable=None):
        found, counted, shard_groups = _verify_shard(folder / shard["name"], shard, manifest)
        problems += [f"{shard['name']}: {problem}" for problem in found]
        counts.setdefault(side, Counter()).update(counted)
        groups.setdefault(side, set()).update(shard_groups)
    problems += _count_problems(manifest, counts, groups)
    problems += _split_problems(folder / SPLIT, manifest.get("split_sha256"))
    counted = {
        side: {"records": counts[side]["records"], "groups": len(groups[side])}
        for side in sorted(counts)
    }
    return problems, counted


def _verify_shard(path: Path, shard: dict, manifest: dict):
    """Return the problems of one shard, its counts of readable and complete records, its groups."""
    problems, counted, groups = [], Counter(records=0, complete=0), set()
    if not path.exists():
        return ["missing"], counted, groups
    if path.stat().st_size != shard["bytes"]:
        problems.append(f"has {path.stat().st_size} bytes, not {shard['bytes']}")
    elif sha256_of_file(path) != shard["sha256"]:
        problems.append("altered: its SHA-256 is not the manifest's")
    try:
        for data in read_frames(path):
            record = decode(data, manifest["scheme"]["landmarks"])
            groups.add(record.group)
            found = _record_problems(record, manifest)
            problems += [f"{record.name}: {text}" for text in found]
            counted["records"] += 1
            counted["complete"] += bool(record.mask.all())
    except BadRecord as error:
        problems.append(str(error))
    if counted["records"] != shard["records"]:
        problems.append(f"{counted['records']} readable records, not {shard['records']}")
    return problems, counted, groups


def _record_problems(record, manifest):
    valid = record.landmarks[record.mask > 0]
    if not np.isfinite(valid).all() or not np.isfinite(record.affine).all():
        yield "landmarks or affine are not finite"
    elif valid.size and np.abs(valid - 0.5).max() > FARTHEST:
        yield f"a landmark is more than {FARTHEST:g} box sizes away from the centre"
    if not np.isin(record.mask, (0, 1)).all():
        yield "the mask has values other than 0 and 1"
    start, end, pixels = record.picture[:2], record.picture[-2:], 3 * manifest["stored_px"] ** 2
    if record.encoding != encoding_of(manifest):
        yield f"the picture is {record.encoding}, not {encoding_of(manifest)} as in the manifest"
    elif record.encoding == "jpeg" and (start != b"\xff\xd8" or end != b"\xff\xd9"):
        yield "the picture is not a complete JPEG"
    elif record.encoding == "raw" and len(record.picture) != pixels:
        yield f"the picture has {len(record.picture):,} bytes, not {pixels:,}"


def _split_problems(path: Path, digest: str | None):
    """Yield the problems of split.csv; folds and older record folders state no hash of it."""
    if digest is None:
        return
    if not path.exists():
        yield f"{SPLIT}: missing"
    elif sha256_of_file(path) != digest:
        yield f"{SPLIT}: altered: its SHA-256 is not the manifest's"


def _count_problems(manifest, counts, groups):
    for side, stated in manifest["sides"].items():
        counted = counts.get(side, Counter())
        if counted["records"] != stated["records"]:
            yield f"{side}: {counted['records']} records, not {stated['records']}"
        if counted["complete"] != stated["complete"]:
            yield f"{side}: {counted['complete']} with all landmarks, not {stated['complete']}"
        if len(groups.get(side, ())) != stated["groups"]:
            yield f"{side}: {len(groups.get(side, ()))} groups, not {stated['groups']}"
    if records_hash(manifest) != manifest["records_sha256"]:
        yield f"{MANIFEST}: altered: its records_sha256 is not that of its shards"
    sides = sorted(groups)
    for i, first in enumerate(sides):
        for second in sides[i + 1 :]:
            if shared := groups[first] & groups[second]:
                yield f"{len(shared)} groups are in both {first} and {second}: {min(shared)}, ..."


def main():
    config = tyro.cli(VerifyConfig, prog="senet-kp verify", description=__doc__)
    problems, counted = verify(config.records)
    if problems:
        print("\n".join(problems))
        raise CheckError(f"{config.records}: {len(problems)} problems; make the records again")
    print(json.dumps({"ok": True, **counted}))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
