"""Record folders of which a shard, the manifest or the table of the split is damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import crop_record
from senet_kp.data_prep.imglab import WriterConfig, write_imglab
from senet_kp.data_prep.prepare import finished, plan_of, write_account
from senet_kp.face.scheme import flip_table_error, scheme_of
from senet_kp.inference.model_card import box_rule
from senet_kp.input.augment import AugmentConfig, Augmenter
from senet_kp.input.crops import load_any_crops
from senet_kp.scoring.crossval import CrossvalConfig, fold_records
from senet_kp.scoring.scores import list_conditions
from senet_kp.tfrecords.fingerprints import crop_of, read_fingerprints
from senet_kp.tfrecords.shards import (
    MANIFEST,
    SPLIT,
    ShardWriter,
    files_written,
    read_manifest,
    read_records,
)
from senet_kp.tfrecords.sides import SIDES
from senet_kp.tfrecords.verify import verify
from senet_kp.train.config import TrainConfig
from senet_kp.train.setup import checked_records
from tests.faults import sets
from tests.faults.targets import Here, Target


class Records(Target):
    """A record folder, as all commands read it.

    Every record that is read is one of those that were written. An altered shard, and an altered
    table of the split, never pass `senet-kp verify`.
    """

    def __init__(self, root: Path, damaged: Callable[[Path], list[Path]]):
        self.root, data = root, root.with_name(f"{root.name}-data")
        shutil.rmtree(data, ignore_errors=True)
        pictures = sets.write_pictures(data, [f"photo{face}.jpg" for face in range(sets.FACES)])
        for face, picture in enumerate(pictures):
            for copy in range(3):
                name = data / f"copy{copy}-{picture.name}"
                name.write_bytes(picture.read_bytes())
                points = sets.points_of("ibug68", face) + copy / 100
                sets.pts.write_pts(name.with_suffix(".pts"), points)
            picture.unlink()
        self.plan = plan_of(
            PrepareConfig(
                data=(data,),
                out=root,
                detector_pictures=0,
                processes=1,
                records_per_shard=3,
                test_share=0.3,
                val_share=0.3,
            )
        )
        writers = {side: ShardWriter(root, side, 3) for side in SIDES}
        results = (crop_record(source, self.plan.rule) for source in self.plan.ordered)
        write_account(root, self.plan, results, writers, Here)
        self.damaged = damaged(root)
        self._scratch = root.with_name(f"{root.name}-scratch")

    def use(self) -> dict:
        manifest = read_manifest(self.root)
        records = {}
        for side in SIDES:
            self.tried(lambda side=side: self._read(manifest, side, records))
        fingerprints = self.tried(lambda: read_fingerprints(self.root, SIDES))
        problems = self.tried(lambda: verify(self.root)[0])
        self.tried(lambda: load_any_crops(self.root, manifest))
        for read in (self._as_preparation, self._as_training, self._as_evaluation):
            self.tried(lambda read=read: read(manifest))
        return {"records": records, "fingerprints": fingerprints, "problems": problems}

    def _read(self, manifest: dict, side: str, records: dict):
        for record in read_records(self.root, manifest, side):
            records.setdefault(record.name, []).append(record)

    def _as_preparation(self, manifest: dict):
        finished(self.root, self.plan)
        files_written(self.root)
        shutil.rmtree(self._scratch, ignore_errors=True)
        write_imglab(WriterConfig(self.root, out=self._scratch / "faces.xml"))

    def _as_training(self, manifest: dict):
        checked_records(TrainConfig(records=self.root))
        augmenter = Augmenter(manifest, 0, AugmentConfig())
        for record in read_records(self.root, manifest, "train"):
            name = record.name.encode()
            augmenter.sample(record.picture, record.landmarks, record.mask, name, 0)
        fold_records(CrossvalConfig(records=self.root), 0, self._scratch / "fold")

    def _as_evaluation(self, manifest: dict):
        crop_of(manifest)
        box_rule(manifest)
        flip_table_error(scheme_of(manifest), manifest["mean_shape"])
        list_conditions(manifest, "test")

    def problem(self, result, file, old, new, how) -> str | None:
        if file.name != MANIFEST and result["problems"] == []:
            return f"verify passes although {file.name} was altered"
        resealed = "resealed_record" in how
        for name, records in result["records"].items():
            whole = self.whole["records"].get(name)
            if not resealed and not all(whole and _equal(record, whole[0]) for record in records):
                return f"{name}: a record that was never written is read"
        found, whole = result["fingerprints"], self.whole["fingerprints"]
        if file.name == SPLIT and found is not None and not _same_fingerprints(found, whole):
            return "other fingerprints are read"
        return None


def _equal(first, second) -> bool:
    return all(
        np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
    )


def _same_fingerprints(first, second) -> bool:
    same_keys = np.array_equal(first.keys, second.keys)
    return same_keys and np.array_equal(first.hashes, second.hashes) and first.names == second.names


def shards(root: Path) -> list[Path]:
    return sorted(root.glob("*.tfrecord"))


def manifest(root: Path) -> list[Path]:
    return [root / MANIFEST]


def split(root: Path) -> list[Path]:
    return [root / SPLIT]
