"""What a training run leaves on disk, and what it takes up again.

config.json     the settings and the hash of the records
latest/         the newest checkpoint, ckpt-<step>, and the one before
best/           the checkpoint with the lowest validation NME so far, and best.json
metrics.csv     a row per validation
curves.png      loss, learning rate and validation NME over the steps, drawn at every validation
predictions.png validation faces with their true points (green) and predicted ones (red), as well
events.*        for TensorBoard
"""

import csv
import json
from pathlib import Path

from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import OutputError, UserError
from senet_kp.tfrecords.files import naming, read_csv, write_csv, write_json
from senet_kp.train.checkpoints import reason_of, restore

# Settings that a run may change when it is continued: they do not touch what is computed.
FREE = frozenset(
    ("steps", "log_every_steps", "validate_every_steps", "max_minutes", "records", "run", "threads")
)


def differences(old: dict, new: dict) -> str:
    """Names every setting in which two runs compute something else; empty if they are the same."""
    # A cosine ends at the last step: with more of them it is another schedule.
    free = FREE - {"steps"} if new["schedule"] == "cosine" else FREE
    return "; ".join(
        f"{key} is {old.get(key)}, not {new.get(key)}"
        for key in sorted({*old, *new} - free)
        # A setting that is newer than the old run was off in it.
        if old.get(key) != new.get(key) and (key in old or new[key])
    )


class RunFolder:
    """One run's files. Checkpoints hold every variable, so the optimiser's slots too."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.metrics = self.folder / "metrics.csv"
        self._config = self.folder / "config.json"
        self._best = self.folder / "best" / "best.json"

    def open(self, config: dict):
        """Create the folder, or check that what is there belongs to the same run.

        Raises UserError naming every setting that differs.
        """
        old = json.loads(self._config.read_text()) if self._config.exists() else config
        if different := differences(old, config):
            raise UserError(
                f"{self.folder}: holds a run with other settings ({different});"
                " give those, or another folder with --run (make: OUT=)"
            )
        write_json(self._config, config)

    @property
    def latest(self) -> str | None:
        """Prefix of the newest checkpoint, or None."""
        return tf.train.latest_checkpoint(str(self.folder / "latest"))

    @property
    def step(self) -> int:
        """Steps done when the newest checkpoint was written, 0 without one."""
        return int(self.latest.rpartition("-")[2]) if self.latest else 0

    @property
    def best(self) -> dict | None:
        """{"step", "val_nme"} of the best checkpoint, or None."""
        return json.loads(self._best.read_text()) if self._best.exists() else None

    @property
    def minutes(self) -> float:
        """How long the run has been trained so far, stops left out."""
        rows = read_csv(self.metrics)
        return float(rows[-1]["minutes"]) if rows else 0.0

    def make_savers(self):
        """Create the savers; to be called while the graph can still grow."""
        # Relative paths: a run folder that was moved or copied must not read its old place.
        self._latest_saver = tf.train.Saver(max_to_keep=2, save_relative_paths=True)
        self._best_saver = tf.train.Saver(max_to_keep=1, save_relative_paths=True)
        for saver, part in ((self._latest_saver, "latest"), (self._best_saver, "best")):
            state = tf.train.get_checkpoint_state(str(self.folder / part))
            saver.recover_last_checkpoints(state.all_model_checkpoint_paths if state else [])

    def restore(self, session):
        """Load the newest checkpoint into the session."""
        restore(self._latest_saver, session, self.latest)

    def save_latest(self, session, step: int):
        self._save(self._latest_saver, session, "latest", step)

    def save_best(self, session, step: int, val_nme: float):
        """Replace the best checkpoint; the caller has seen that it is better."""
        self._save(self._best_saver, session, "best", step)
        write_json(self._best, {"step": step, "val_nme": val_nme})

    def _save(self, saver, session, part: str, step: int):
        folder = self.folder / part
        folder.mkdir(parents=True, exist_ok=True)
        try:
            saver.save(session, str(folder / "ckpt"), step, write_meta_graph=False)
        except (tf.errors.OpError, ValueError) as error:  # ValueError: the folder is gone
            for leftover in folder.glob("*.tempstate*"):
                leftover.unlink()
            raise OutputError(
                f"{folder}: the checkpoint of step {step} could not be written"
                f" ({reason_of(error)}); those before it are kept: free some space, or see to"
                " the permissions, and give the same command"
            ) from None

    def forget_after(self, step: int):
        """Drop what an interrupted run wrote after its last checkpoint: it will come again."""
        rows = read_csv(self.metrics)
        if kept := [row for row in rows if int(row["step"]) <= step]:
            write_csv(self.metrics, kept[0], (row.values() for row in kept))
        else:
            self.metrics.unlink(missing_ok=True)
        if self.best and self.best["step"] > step:
            self._best.unlink()

    def add_metrics(self, row: dict):
        """Append one row to metrics.csv."""
        new = not self.metrics.exists()
        with naming(self.metrics), open(self.metrics, "a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
