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

from math import isfinite
from pathlib import Path

from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError, ModelError, OutputError, UserError
from senet_kp.tfrecords.files import make_folder, read_csv, write_csv, write_json
from senet_kp.tfrecords.forms import COUNT, NUMBER, OBJECT, Form, fields, read_with_fault
from senet_kp.train.checkpoints import listed_checkpoints, newest_checkpoint, reason_of, restore

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


_BEST = fields({"step": COUNT, "val_nme": NUMBER})


def _object_in(path: Path, form: Form) -> dict | None:
    """The object in a JSON file of a run, or None if there is no such file.

    Raises ModelError if it is damaged.
    """
    if not path.exists():
        return None
    value, fault = read_with_fault(path, form)
    if fault:
        raise ModelError(
            f"{path}: damaged ({fault}); restore it, or train again into another --run"
        )
    return value


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
        Raises UserError that names every setting that differs, and ModelError if config.json is
        damaged.
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
        """The settings in config.json; raises ModelError if it is missing or damaged."""
        settings = _object_in(self._config, OBJECT) or {}
        if "schedule" not in settings:
            raise ModelError(
                f"{self._config}: missing or damaged, so that the settings of the run's checkpoints"
                " are not known; restore it, or choose another folder with --run (make: OUT=)"
            )
        return settings

    @property
    def latest(self) -> str | None:
        """The prefix of the newest checkpoint, or None."""
        return newest_checkpoint(self.folder / "latest")

    @property
    def step(self) -> int:
        """The number of steps done at the newest checkpoint, 0 if there is none."""
        return int(self.latest.rpartition("-")[2]) if self.latest else 0

    @property
    def best(self) -> dict | None:
        """{"step", "val_nme"} of the best checkpoint, or None if there is none."""
        return _object_in(self._best, _BEST)

    @property
    def minutes(self) -> float:
        """The training time of the run in minutes, without the time between stop and resume."""
        rows = self._rows()
        return float(rows[-1]["minutes"]) if rows else 0.0

    def _rows(self) -> list[dict]:
        """The rows of metrics.csv; raises InputError if it is damaged."""
        rows = read_csv(self.metrics)
        try:
            fine = all(int(row["step"]) >= 0 and isfinite(float(row["minutes"])) for row in rows)
            fine &= not any(None in row or None in row.values() for row in rows)
        except (KeyError, TypeError, ValueError):
            fine = False
        if not fine:
            raise InputError(
                f"{self.metrics}: a damaged table of metrics: a step or a time is no number, or a"
                " row has more or fewer cells than the header; correct it, or delete it to go on"
                " without it"
            )
        return rows

    def make_savers(self):
        """Create the savers. Call this before the graph is finalised."""
        # With relative paths, a run folder that was moved or copied reads its own checkpoints.
        self._latest_saver = tf.train.Saver(max_to_keep=2, save_relative_paths=True)
        self._best_saver = tf.train.Saver(max_to_keep=1, save_relative_paths=True)
        for saver, part in ((self._latest_saver, "latest"), (self._best_saver, "best")):
            saver.recover_last_checkpoints(listed_checkpoints(self.folder / part))

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
        rows = self._rows()
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
        rows = [*self._rows(), row]
        columns = list(dict.fromkeys([*row, *rows[0]]))
        write_csv(self.metrics, columns, ([old.get(name, "") for name in columns] for old in rows))
