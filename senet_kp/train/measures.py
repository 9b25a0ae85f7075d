"""What a training measures between two validations: one row of metrics.csv."""

from senet_kp.train.validation import Validation

# The columns of metrics.csv, with the format of their values. Training values are means over the
# steps since the row before, of augmented pictures, with dropout and with weights that change
# meanwhile; in a cluster they are those of the chief's share of the pictures. Validation values are
# of the averaged weights, at this step.
FORMATS = {
    "step": "d",
    "epoch": ".4f",  # pictures seen, over the pictures of an epoch
    "images": "d",
    "minutes": ".2f",
    "learning_rate": ".6g",  # of this step
    "loss": ".6g",  # what is minimised: landmarks, heatmaps and pose where enabled, L2
    "train_loss": ".6g",  # of the landmarks alone, in the same way as val_loss
    "val_loss": ".6g",
    "train_mae": ".6g",  # mean absolute error of the labelled coordinates, in box widths
    "val_mae": ".6g",
    "val_nme": ".6f",
    "val_pose_deg": ".3f",  # only in a training with a pose head
}


class StepMeans:
    """The means of the values that all steps since the last row of metrics.csv had.

    A row is written together with a checkpoint, so a killed and resumed training has the same ones.
    """

    FETCHES = ("loss", "train_loss", "train_mae")

    def __init__(self):
        self._restart()

    def add(self, out: dict):
        """Add one step; `out` holds the values of its fetches."""
        self._steps += 1
        for name in self.FETCHES:
            self._sums[name] += float(out[name])

    def take(self) -> dict[str, float]:
        """The means; the next ones begin with the next step."""
        means = {name: total / self._steps for name, total in self._sums.items()}
        self._restart()
        return means

    def _restart(self):
        self._steps, self._sums = 0, dict.fromkeys(self.FETCHES, 0.0)


def measures_of(result: Validation, posed: bool) -> dict:
    """The columns of a validation; None where it measured nothing. posed: with a pose head."""
    values = {"val_loss": result.loss, "val_mae": result.mae, "val_nme": result.nme}
    return values | ({"val_pose_deg": result.pose_deg} if posed else {})


def as_text(measures: dict) -> dict[str, str]:
    """One row of metrics.csv, in the order of its columns; empty where a value is None."""
    return {
        name: "" if measures[name] is None else f"{measures[name]:{form}}"
        for name, form in FORMATS.items()
        if name in measures
    }
