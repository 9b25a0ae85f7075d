"""senet-kp train --records out/tfrecords --run out/run

Trains a network on the train split of a record folder and writes checkpoints, metrics and pictures
to the run folder. The same command resumes a training from its newest checkpoint, whether it was
stopped (Ctrl-C and SIGTERM save a checkpoint first) or killed. `tensorboard --logdir out/run` shows
its progress.
Exit codes: 0 all steps are done, 2 invalid arguments, 3 the records cannot be read, 4 the run's
checkpoint does not fit the network, 5 the loss or the network's answers are not finite, 6 the run
folder cannot be written, 130 stopped by a signal.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import tyro

from senet_kp.face.scheme import LandmarkScheme
from senet_kp.input.crops import Crops, load_crops
from senet_kp.nets import NETWORKS
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import INTERRUPTED, CheckError, exit_code_of
from senet_kp.train.checkpoints import initial_weights
from senet_kp.train.config import TrainConfig, recipe_of_command_line, trains_trunk
from senet_kp.train.feature_cache import stored_features
from senet_kp.train.graph import weight_count
from senet_kp.train.lock import locked
from senet_kp.train.log import TrainingLog
from senet_kp.train.measures import StepMeans, as_text, measures_of
from senet_kp.train.progress import Progress
from senet_kp.train.run_folder import RunFolder
from senet_kp.train.run_pictures import write_curves, write_predictions
from senet_kp.train.runtime import LocalRuntime
from senet_kp.train.setup import (
    TrainingOps,
    build,
    checked_records,
    epoch_size,
    resolved,
    run_settings,
)
from senet_kp.train.steps import StopSignals, run_step
from senet_kp.train.validation import Validation, require_observable, validate

VAL_FACES = 1000  # more faces would not change which checkpoint is best, but cost time


def train(config: TrainConfig, runtime=None) -> int:
    """Train until `config.steps` or a stop signal, and return the exit code.

    runtime: a LocalRuntime, which is the default, or an object with the same methods.
    Raises UserError if the settings, the records or the run folder cannot be used, or another
    process trains in it.
    """
    runtime, config = runtime or LocalRuntime(), resolved(config)
    manifest, scheme = checked_records(config)
    with locked(config.run):
        return _train(config, runtime, manifest, scheme)


def _train(config: TrainConfig, runtime, manifest: dict, scheme: LandmarkScheme) -> int:
    """`train`, while no other process trains in the run folder."""
    folder = RunFolder(config.run)
    folder.open(run_settings(config, manifest))
    start = folder.step
    if start >= config.steps:
        print(f"{config.run}: all {config.steps:,} steps are done already, nothing to do")
        return 0
    features = stored_features(config, manifest) if config.cache_features else {}
    tf.reset_default_graph()
    with runtime.graph_scope():
        ops = build(config, manifest, scheme, start, runtime, features)
        folder.make_savers()
        load_weights = _weights_loader(config, manifest, folder)
        initialise = tf.global_variables_initializer()
    tf.get_default_graph().finalize()  # from now on, making an op raises an error
    val = load_crops(config.records, manifest, "val", 0 if config.train_on_val else VAL_FACES)
    pictures = epoch_size(config)
    require_observable(config.schedule, val, scheme)
    print(_summary(config, pictures, val, start))
    with runtime.session(config.threads) as session, StopSignals() as stop:
        session.run([initialise, ops.start_input])
        load_weights(session)
        folder.discard_after(start)
        with runtime.training_scope(session), TrainingLog(config, start) as log:
            progress = Progress(config.run, val, scheme, config.batch_size / pictures)
            val_inputs = features["val"][1][: len(val)] if "val" in features else val.images
            training = Training(
                config,
                pictures,
                scheme,
                val,
                val_inputs,
                folder,
                runtime,
                ops,
                session,
                log,
                progress,
            )
            step = training.run(start, stop)
    print(_farewell(step, config, folder))
    return INTERRUPTED if stop.requested and step < config.steps else 0


def _weights_loader(config: TrainConfig, manifest: dict, folder: RunFolder):
    """The function of a session that replaces the initial weights by those to start from.

    They come from the run's newest checkpoint, or else from what --init-from names.
    """
    if folder.latest:
        return folder.restore
    if config.init_from:
        return initial_weights(config, manifest)
    return lambda session: None


@dataclass
class Training:
    """A training under way: its session, what it reads, and where its results go."""

    config: TrainConfig
    pictures: int  # of an epoch
    scheme: LandmarkScheme
    val: Crops
    val_inputs: np.ndarray  # what the network sees of the val faces: pictures, or stored features
    folder: RunFolder
    runtime: object
    ops: TrainingOps
    session: object
    log: TrainingLog
    progress: Progress

    def __post_init__(self):
        self._means = StepMeans()
        self._began, self._minutes_before = time.monotonic(), self.folder.minutes

    def run(self, start: int, stop: StopSignals) -> int:
        """Train from step `start` to the last step, a stop signal or the time limit.

        Returns the number of steps done. Raises CheckError if the loss, the weights or the
        network's answers are not finite.
        """
        config, fetches = self.config, self.ops.step_fetches()
        for step in range(start + 1, config.steps + 1):
            out = run_step(self.runtime, self.session, fetches, config.records)
            self.log.count(out)
            self._means.add(out)
            if not np.isfinite(out["loss"]):
                raise CheckError(_not_finite(step, out, self.folder))
            last = step == config.steps or stop.requested or self._out_of_time()
            if step % config.log_every_steps == 0 or last:
                weight_norm = float(self.session.run(self.ops.graph.weight_norm))
                self.log.step(step, out, weight_norm)
            planned = step % config.validate_every_steps == 0
            if planned or last:
                self._validate_and_save(step, out, planned)
            if last:
                break
        return step

    def _validate_and_save(self, step: int, out: dict, planned: bool):
        """Validate, and write metrics, pictures and checkpoints.

        planned: False if only the early end of the training caused this validation. The
        learning-rate schedule then ignores it, as an uninterrupted training would not have it.
        """
        result = self._validate(step)
        best = self.folder.best
        if result.nme is not None and (best is None or result.nme < best["val_nme"]):
            self.folder.save_best(self.session, step, result.nme)
        if planned:
            self.ops.graph.schedule.observe(self.session, result.nme)
        self._write_row(step, out, result)
        write_curves(self.config.run)
        self.folder.save_latest(self.session, step)
        self.log.restart_meter()

    def _validate(self, step: int) -> Validation:
        """Measure the errors on the val split, then show them.

        Raises CheckError for a network that has diverged, before anything is drawn or saved.
        """
        tower = self.ops.graph.val
        result = validate(self.session, tower, self.val, self.scheme, self.val_inputs)
        if not (result.finite and self.session.run(self.ops.graph.finite)):
            raise CheckError(_diverged(step, result, self.folder))
        self.log.validation(step, result)
        if result.predicted is not None:
            png = write_predictions(self.config.run, self.val, result.predicted, self.scheme)
            self.log.picture(step, "val/faces", png)
            every = self.config.pictures_every_epochs
            if step == self.config.steps or self.progress.due(step, every):
                self.progress.add(step, result.predicted)
        return result

    def _write_row(self, step: int, out: dict, result: Validation):
        """Append a row to metrics.csv, and show it. out: the values of the step's fetches."""
        images = step * self.config.batch_size
        row = {"step": step, "epoch": images / self.pictures, "images": images}
        row |= {"minutes": self._minutes(), "learning_rate": float(out["learning_rate"])}
        row |= self._means.take() | measures_of(result, posed=self.config.pose_weight > 0)
        self.folder.add_metrics(as_text(row))
        self.log.row(step, row)

    def _out_of_time(self) -> bool:
        return 0 < 60 * self.config.max_minutes < time.monotonic() - self._began

    def _minutes(self) -> float:
        """The training time of the run so far, including that of earlier, stopped commands."""
        return self._minutes_before + (time.monotonic() - self._began) / 60


def _summary(config: TrainConfig, pictures: int, val: Crops, start: int) -> str:
    """What will be trained on what, in one or two lines. pictures: those of an epoch."""
    epochs = config.steps * config.batch_size / pictures
    text = (
        f"{config.net}: {weight_count(config.net):,} weights, {pictures:,} pictures to train,"
        f" {len(val):,} to validate, from step {start:,} to {config.steps:,} ({epochs:.4g} epochs)"
    )
    if not NETWORKS[config.net].trunk:
        return text
    if not config.init_from:
        return f"{text}\n{config.net}: the trunk starts from random weights and is trained"
    fate = "is trained as well" if trains_trunk(config) else "is frozen; --train-trunk trains it"
    text = f"{text}\n{config.net}: the trunk comes from {config.init_from} and {fate}"
    if config.cache_features:
        text += f"\n{config.net}: trains on the stored features of the trunk, without augmentation"
    return text


def _not_finite(step: int, out: dict, folder: RunFolder) -> str:
    bad = [
        name
        for name, loss in zip(out["names"], out["sample_loss"], strict=True)
        if not np.isfinite(loss)
    ] or list(out["names"])
    samples = ", ".join(name.decode() for name in bad[:5]) + (", ..." if len(bad) > 5 else "")
    return (
        f"step {step}: the loss is {out['loss']}, caused by the samples {samples};"
        f" {_way_on(folder)}, or check these samples"
    )


def _diverged(step: int, result: Validation, folder: RunFolder) -> str:
    way_on = _way_on(folder)
    if result.finite:
        return f"step {step}: the network's weights are not finite; {way_on}"
    return f"step {step}: the network's answers to the validation faces are not finite; {way_on}"


def _way_on(folder: RunFolder) -> str:
    """What a training that has diverged leaves, and how to go on from there."""
    if not folder.latest:
        return "there is no checkpoint; lower --learning-rate"
    return (
        f"the newest checkpoint, {folder.latest}, is kept; lower --learning-rate, in another --run"
        f" that starts with --init-from {folder.folder}"
    )


def _farewell(step: int, config: TrainConfig, folder: RunFolder) -> str:
    done = "done" if step == config.steps else "stopped and saved; the same command continues it"
    best = folder.best
    text = f", best val NME {best['val_nme']:.2%} at step {best['step']:,}" if best else ""
    return f"{config.run}: step {step:,} of {config.steps:,}, {done}{text}"


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # so that a log file is always up to date
    config = tyro.cli(
        TrainConfig,
        prog="senet-kp train",
        description=__doc__,
        default=recipe_of_command_line(),
    )
    return train(config)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
