"""The run folder, in which a training stores its results and from which it resumes.

config.json     the settings and the hash of the records
latest/         the newest checkpoint, ckpt-<step>, and the one before it
best/           the checkpoint with the lowest validation NME so far, and best.json
metrics.csv     one row per validation, with the columns of `measures.FORMATS`
curves.png      loss, mean absolute error, NME and learning rate, updated by every validation
predictions.png validation faces with true landmarks (green) and predicted ones (red), also updated
progress.png    a few of these faces with predictions over time, drawn from progress.json
events.*        for TensorBoard
"""

import json
from pathlib import Path

from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import OutputError, UserError
from senet_kp.tfrecords.files import json_of, make_folder, read_csv, write_csv, write_json
from senet_kp.train.checkpoints import reason_of, restore

# Settings that may be changed when a run is resumed, because they do not affect what it computes.
FREE = frozenset(
    (
        "steps",
        "log_every_steps",
        "validate_every_steps",
        "pictures_every_epochs",
        "max_minutes",
        "records",
        "run",
        "threads",
    )
)


def differences(old: dict, new: dict) -> str:
    """Describe the settings in which two runs compute different things; empty if there are none."""
    bound = _bound_by_schedule(new)
    if "labels" in new:  # all labels were relative before there was a choice
        old = {"labels": "relative"} | old
    return "; ".join(
        f"{key} is {old.get(key)}, not {new.get(key)}{bound.get(key, '')}"
        for key in sorted({*old, *new} - (FREE - bound.keys()))
        # A setting that did not exist yet in the old run was off there.
        if old.get(key) != new.get(key) and (key in old or new[key])
    )


def _bound_by_schedule(settings: dict) -> dict[str, str]:
    """The settings in FREE that the learning rate depends on, and what to say of each."""
    schedule = settings["schedule"]
    if schedule == "plateau":
        return {"validate_every_steps": ", and the plateau schedule counts validations"}
    if schedule == "cosine" or (schedule == "exponential" and not settings.get("decay_steps")):
        return {"steps": f", and the {schedule} schedule is fitted to the number of steps"}
    return {}


class RunFolder:
    """The files of one run. A checkpoint holds all variables, including the optimiser's slots."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.metrics = self.folder / "metrics.csv"
        self._config = self.folder / "config.json"
        self._best = self.folder / "best" / "best.json"

    def open(self, config: dict):
        """Create the folder, or check that an existing one belongs to a run with these settings.

        A run that has no checkpoint yet has nothing to go on from and may get other settings.
        Raises UserError that names every setting that differs.
        """
        old = self._settings() if self.latest else config
        if different := differences(old, config):
            raise UserError(
                f"{self.folder}: the folder holds a run with other settings ({different});"
                " use the same settings, or choose another folder with --run (make: OUT=), where"
                f" --init-from {self.folder} starts from the weights of this run"
            )
        write_json(self._config, config)

    def _settings(self) -> dict:
        """The settings in config.json; raises UserError if it is missing or damaged."""
        settings = json_of(self._config)
        if "schedule" not in settings:
            raise UserError(
                f"{self._config}: missing or damaged, so that the settings of the run's checkpoints"
                " are not known; restore it, or choose another folder with --run (make: OUT=)"
            )
        return settings

    @property
    def latest(self) -> str | None:
        """The prefix of the newest checkpoint, or None."""
        return tf.train.latest_checkpoint(str(self.folder / "latest"))

    @property
    def step(self) -> int:
        """The number of steps done at the newest checkpoint, 0 if there is none."""
        return int(self.latest.rpartition("-")[2]) if self.latest else 0

    @property
    def best(self) -> dict | None:
        """{"step", "val_nme"} of the best checkpoint, or None if there is none."""
        return json.loads(self._best.read_text()) if self._best.exists() else None

    @property
    def minutes(self) -> float:
        """The training time of the run in minutes, without the time between stop and resume."""
        rows = read_csv(self.metrics)
        return float(rows[-1]["minutes"]) if rows else 0.0

    def make_savers(self):
        """Create the savers. Call this before the graph is finalised."""
        # With relative paths, a run folder that was moved or copied reads its own checkpoints.
        self._latest_saver = tf.train.Saver(max_to_keep=2, save_relative_paths=True)
        self._best_saver = tf.train.Saver(max_to_keep=1, save_relative_paths=True)
        for saver, part in ((self._latest_saver, "latest"), (self._best_saver, "best")):
            state = tf.train.get_checkpoint_state(str(self.folder / part))
            saver.recover_last_checkpoints(state.all_model_checkpoint_paths if state else [])

    def restore(self, session):
        """Load the newest checkpoint into the session; raises ModelError if it does not fit."""
        restore(self._latest_saver, session, self.latest)

    def save_latest(self, session, step: int):
        """Save the newest checkpoint, and delete the oldest if there are more than two.

        Raises OutputError if it cannot be written, as `save_best` does.
        """
        self._save(self._latest_saver, session, "latest", step)

    def save_best(self, session, step: int, val_nme: float):
        """Replace the best checkpoint. The caller has checked that this one is better."""
        self._save(self._best_saver, session, "best", step)
        write_json(self._best, {"step": step, "val_nme": val_nme})

    def _save(self, saver, session, part: str, step: int):
        folder = self.folder / part
        make_folder(folder)
        try:
            saver.save(session, str(folder / "ckpt"), step, write_meta_graph=False)
        except (tf.errors.OpError, ValueError) as error:  # ValueError: the folder was removed
            for leftover in folder.glob("*.tempstate*"):
                leftover.unlink()
            raise OutputError(
                f"{folder}: the checkpoint of step {step} could not be written"
                f" ({reason_of(error)}); earlier checkpoints are kept; free some disk space or"
                " correct the permissions, then run the same command again"
            ) from None

    def discard_after(self, step: int):
        """Discard metrics and a best score that a killed run wrote after its last checkpoint.

        The resumed training computes them again.
        """
        rows = read_csv(self.metrics)
        if kept := [row for row in rows if int(row["step"]) <= step]:
            write_csv(self.metrics, kept[0], (row.values() for row in kept))
        else:
            self.metrics.unlink(missing_ok=True)
        if self.best and self.best["step"] > step:
            self._best.unlink()

    def add_metrics(self, row: dict):
        """Append one row to metrics.csv.

        Columns that only one of the row and the rows before has are empty in the others: earlier
        versions of this project wrote fewer columns.
        """
        rows = [*read_csv(self.metrics), row]
        columns = list(dict.fromkeys([*row, *rows[0]]))
        write_csv(self.metrics, columns, ([old.get(name, "") for name in columns] for old in rows))
