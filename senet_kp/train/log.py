"""Shows the progress of a training: progress bar, log lines and TensorBoard events."""

from senet_kp.nets.tf1 import tf
from senet_kp.train.config import TrainConfig
from senet_kp.train.steps import Meter
from senet_kp.train.validation import Validation

# Columns of metrics.csv and their TensorBoard tags; train/loss is the minimised one, of one step.
TAGS = {
    "train_loss": "train/landmark_loss",
    "val_loss": "val/landmark_loss",
    "train_mae": "train/mae",
    "val_mae": "val/mae",
}


class TrainingLog:
    """The progress bar, log lines and TensorBoard events of a training that starts at `start`."""

    def __init__(self, config: TrainConfig, start: int):
        from tqdm import tqdm  # takes 0.06 s to import, which --help need not wait for

        self._events = tf.summary.FileWriter(str(config.run))
        self._bar = tqdm(
            total=config.steps, initial=start, unit="step", disable=None, dynamic_ncols=True
        )
        self._meter = Meter(config.batch_size)
        self._newest_val_nme = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()
        self._events.close()

    def count(self, out: dict):
        """Count one step; `out` holds the values of its fetches."""
        self._meter.count(out["wait_s"])
        self._bar.update()

    def restart_meter(self):
        """Leave the time since the last log line out of the measured speed."""
        self._meter.restart()

    def step(self, step: int, out: dict, weight_norm: float):
        """Print one line, and write the same values for TensorBoard."""
        values = {key: float(out[key]) for key in ("loss", "learning_rate", "gradient_norm")}
        values |= self._meter.read() | {"weight_norm": weight_norm}
        self._scalars(step, {f"train/{key}": value for key, value in values.items()})
        nme = "-" if self._newest_val_nme is None else f"{self._newest_val_nme:.2%}"
        self._bar.set_postfix_str(
            f"loss {values['loss']:.5f}, lr {values['learning_rate']:.2e}, "
            f"{values['images_per_s']:.0f} images/s, val NME {nme}"
        )
        self._bar.write(
            f"step {step} loss {values['loss']:.6f} lr {values['learning_rate']:.3e}"
            f" ms/step {values['ms_per_step']:.0f} images/s {values['images_per_s']:.1f}"
            f" wait {values['wait_share']:.1%} memory {values['peak_memory_mb']:.0f} MB"
        )

    def validation(self, step: int, result: Validation):
        """Print the NME and the pose error of a validation, and write them for TensorBoard."""
        self._newest_val_nme = result.nme
        if result.nme is None:
            if result.faces:
                self._bar.write(
                    f"step {step}: no val_nme, because none of the {result.faces} val faces has"
                    " both outer eye corners labelled"
                )
        else:
            self._scalars(step, {"val/nme": result.nme, "val/spread": result.spread})
            self._bar.write(
                f"step {step} val_nme {result.nme:.4%} of {result.scored_faces} faces,"
                f" spread {result.spread:.2f}"
            )
        if result.pose_deg is not None:
            self._scalars(step, {"val/pose_deg": result.pose_deg})
            self._bar.write(f"step {step} val_pose {result.pose_deg:.2f} degrees")
        if result.collapsed:
            self._bar.write(
                f"warning: the predictions vary only {result.spread:.0%} as much as the labels: the"
                " network predicts the mean face for every picture; train longer, or lower"
                " --learning-rate or --bn-decay"
            )

    def row(self, step: int, row: dict):
        """Print loss and error of training and validation, and write them for TensorBoard.

        row: the values of a row of metrics.csv, None where not measured.
        """
        known = {name: row[name] for name in TAGS if row[name] is not None}
        values = " ".join(f"{name} {value:.6f}" for name, value in known.items())
        self._bar.write(f"step {step} epoch {row['epoch']:.2f} {values}")
        scalars = {TAGS[name]: value for name, value in known.items()}
        self._scalars(step, scalars | {"train/epoch": row["epoch"]})

    def picture(self, step: int, tag: str, png: bytes):
        """Write a picture for TensorBoard."""
        image = tf.Summary.Image(encoded_image_string=png)
        self._write(step, [tf.Summary.Value(tag=tag, image=image)])

    def _scalars(self, step: int, values: dict):
        self._write(step, [tf.Summary.Value(tag=t, simple_value=v) for t, v in values.items()])

    def _write(self, step: int, values: list):
        self._events.add_summary(tf.Summary(value=values), step)
