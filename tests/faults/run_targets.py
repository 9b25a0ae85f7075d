"""The files of a training run: settings, tables, states and the checkpoint."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from senet_kp.face.known_schemes import IBUG68
from senet_kp.nets.tf1 import tf
from senet_kp.scoring.lineage import terms_of_training, trained_records
from senet_kp.tfrecords.files import write_json
from senet_kp.train.checkpoints import (
    build_inference_graph,
    checkpoint_prefix,
    initial_settings,
    read_settings,
    require_same_records,
)
from senet_kp.train.config import TrainConfig
from senet_kp.train.progress import Progress
from senet_kp.train.run_folder import RunFolder
from senet_kp.train.training_curve import training_curve
from tests.faults.model_targets import MANIFEST
from tests.faults.targets import Target


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and np.isfinite(value)


class RunTexts(Target):
    """The settings, tables and states of a training run, as training and evaluation read them."""

    def __init__(self, root: Path):
        self.root, self._config = root, TrainConfig(records=Path("records"), run=root)
        self._settings = json.loads(
            json.dumps(vars(self._config) | {"augment": vars(self._config.augment)}, default=str)
        ) | {"records_sha256": MANIFEST["records_sha256"], "before": None}
        self._val = SimpleNamespace(groups=["a", "b"], names=["a.jpg", "b.jpg"])
        self._val.take = lambda indices: self._val
        self._val.landmarks = np.stack([np.full((68, 2), 0.5)] * 2)
        self._val.mask, self._val.images = (
            np.ones((2, 68), bool),
            np.zeros((2, 64, 64, 3), np.uint8),
        )
        self.damaged = [
            root / name
            for name in ("config.json", "best/best.json", "metrics.csv", "progress.json")
        ]
        self._write()

    def _write(self):
        (self.root / "best").mkdir(exist_ok=True)
        write_json(self.damaged[0], self._settings)
        write_json(self.damaged[1], {"step": 8, "val_nme": 0.05})
        lines = ["step,epoch,minutes,learning_rate,loss,val_nme"]
        lines += [f"{4 * row},{row / 2},{row * 1.5},0.004,{1 / row:.4f},0.05" for row in (1, 2, 3)]
        self.damaged[2].write_text("\n".join(lines) + "\n")
        snapshots = [{"step": s, "landmarks": [[0.5] * 136] * 2} for s in (4, 8)]
        write_json(self.damaged[3], {"faces": self._val.names, "snapshots": snapshots})

    def use(self) -> dict:
        kept = {path: path.read_bytes() for path in self.damaged}
        try:
            return {
                "settings": self.tried(self._as_evaluation),
                "best": self.tried(lambda: RunFolder(self.root).best),
                "curve": self.tried(lambda: training_curve(self.root)),
                "resumed": self.tried(self._as_training),
            }
        finally:
            for path, data in kept.items():
                path.write_bytes(data)

    def _as_evaluation(self) -> dict:
        settings = read_settings(self.root)
        require_same_records(self.root, settings, Path("records"), MANIFEST)
        trained_records(settings)
        terms_of_training(settings, {})
        initial_settings(self.root)
        return settings

    def _as_training(self) -> float:
        folder = RunFolder(self.root)
        folder.open(self._settings)
        minutes = folder.minutes
        progress = Progress(self.root, self._val, IBUG68, 0.5)
        progress.due(10, 1)
        progress.add(10, self._val.landmarks)
        folder.discard_after(9)
        folder.add_metrics({"step": 12, "minutes": 4.5})
        return minutes

    def problem(self, result, file, old, new, how) -> str | None:
        best = result["best"]
        if best is not None and not (is_number(best["val_nme"]) and is_number(best["step"])):
            return f"a best score of {best}"
        minutes = result["resumed"]
        if minutes is not None and not np.isfinite(minutes):
            return f"{minutes} minutes"
        return None


class Checkpoint(Target):
    """The checkpoint of a run: its weights are read as they were written, or not at all."""

    def __init__(self, root: Path):
        self.root = root
        with tf.Graph().as_default() as graph:
            build_inference_graph("senet", MANIFEST)
            tf.train.get_or_create_global_step()
            self._folder = RunFolder(root)
            self._folder.make_savers()
            initialise = tf.global_variables_initializer()
            self._values = tf.global_variables()
        self._session = tf.Session(graph=graph)
        self._session.run(initialise)
        with graph.as_default():
            self._folder.save_latest(self._session, 12)
            self._folder.save_best(self._session, 12, 0.05)
        prefix = checkpoint_prefix(root, "latest")
        self.damaged = [Path(f"{prefix}.data-00000-of-00001"), Path(f"{prefix}.index")]
        self.damaged += [root / part / "checkpoint" for part in ("latest", "best")]

    def use(self) -> list[np.ndarray] | None:
        checkpoint_prefix(self.root, "latest")
        with tf.Graph().as_default():
            tf.get_variable("any", ())
            RunFolder(self.root).make_savers()
        if self._folder.latest is None:
            return None
        self._folder.restore(self._session)
        return self._session.run(self._values)

    def problem(self, result, file, old, new, how) -> str | None:
        if result is None:
            return "a training would begin again at step 0"
        same = all(map(np.array_equal, result, self.whole))
        return None if same else "other weights are read"
