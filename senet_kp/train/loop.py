"""python -m senet_kp.train --records out/tfrecords --run out/run

Trains a network on the train side of a record folder. The same command continues a run that was
stopped (Ctrl-C and SIGTERM save first) or killed, exactly where its last checkpoint was.
Watch it with `tensorboard --logdir out/run`.
Exit codes: 0 all steps done, 2 unusable arguments, 3 the records cannot be read, 4 the run's
checkpoint does not fit, 5 the loss is no longer finite, 6 no place to write, 130 stopped.
"""

import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from senet_kp.face.metrics import nme, normalised_errors, spread_ratio
from senet_kp.face.pose import angle_between_deg, true_rotation
from senet_kp.face.scheme import LandmarkScheme, flip_table_error, scheme_of
from senet_kp.input.crops import Crops, load_crops
from senet_kp.input.pipeline import Batch, sample_count, training_batch
from senet_kp.nets import NETWORKS, output_names
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import INTERRUPTED, CheckError, InputError, exit_code_of
from senet_kp.tfrecords.shards import read_manifest, trained_sides
from senet_kp.train.checkpoints import initial_settings, initial_weights, reason_of
from senet_kp.train.config import (
    TrainConfig,
    check,
    point_weights,
    recipe_of_command_line,
    trains_trunk,
)
from senet_kp.train.graph import (
    TrainingGraph,
    build_training_graph,
    predict,
    weight_count,
)
from senet_kp.train.run_folder import RunFolder
from senet_kp.train.run_pictures import write_curves, write_predictions
from senet_kp.train.steps import Meter, OneMachine, StopSignals

VAL_FACES = 1000  # more would not change the choice of a checkpoint, only cost time
COLLAPSED = 0.1  # predictions that vary this much less than the truth are one mean face


def train(config: TrainConfig, place=None) -> int:
    """Train to `config.steps`, or until stopped; return the exit code.

    place: where the steps run, a OneMachine or its like.
    """
    place = place or OneMachine()
    manifest, scheme = checked_records(config)
    folder = RunFolder(config.run)
    folder.open(run_settings(config, manifest))
    latest, start = folder.latest, folder.step
    if start >= config.steps:
        print(f"{config.run}: all {config.steps:,} steps are done already, nothing to do")
        return 0
    tf.reset_default_graph()
    with place.graph():
        batch, start_input, graph = build(config, manifest, scheme, start, place)
        folder.make_savers()
        load_initial = None
        if config.init_from and not latest:

            def crops_of(n):
                return load_crops(config.records, manifest, "train", n).images

            load_initial = initial_weights(config, crops_of)
        initialise = tf.global_variables_initializer()
    tf.get_default_graph().finalize()  # an op made in the loop would now be an error
    val = load_crops(config.records, manifest, "val", 0 if config.train_on_val else VAL_FACES)
    pictures = sample_count(config.records, manifest, _sides(config), config.missing)
    print(
        f"{config.net}: {weight_count(config.net):,} weights, {pictures:,} pictures to train,"
        f" {len(val):,} to validate, from step {start:,}"
    )
    if NETWORKS[config.net].trunk:
        print(_trunk_line(config))
    with place.session(config.threads) as session, StopSignals() as stop:
        session.run([initialise, start_input])
        if latest:
            folder.restore(session)
        elif load_initial:
            load_initial(session)
        folder.forget_after(start)
        with place.joined(session):
            return _loop(place, session, batch, graph, config, folder, val, scheme, start, stop)


def checked_records(config: TrainConfig) -> tuple[dict, LandmarkScheme]:
    """The records' manifest and scheme; raises UserError for what cannot be trained."""
    manifest = read_manifest(config.records)
    sample_count(config.records, manifest, _sides(config), config.missing)
    scheme = _self_check(manifest)
    check(config, scheme)
    if "shape_spread" not in manifest and "label_spread" in output_names(config.net):
        raise InputError(
            f"{config.records}: records of an older version, whose manifest does not know the"
            " spread of the labels; remove them and make them again"
        )
    return manifest, scheme


def run_settings(config: TrainConfig, manifest: dict) -> dict:
    """What a run is known by: the settings, the records, and how what it starts from was made."""
    before = initial_settings(Path(config.init_from)) if config.init_from else None
    return asdict(config) | {"records_sha256": manifest["records_sha256"], "before": before}


def build(config: TrainConfig, manifest: dict, scheme: LandmarkScheme, start, place):
    """The batch, the op that starts its pipeline at step `start`, and the training graph."""
    tf.set_random_seed(config.seed)
    batch, start_input = training_batch(
        config.records,
        manifest,
        _sides(config),
        config.batch_size,
        start,
        config.seed,
        config.augment,
        config.threads,
        config.missing,
        config.pose_weight > 0,
        place.share,
    )
    weights = point_weights(config, scheme) if config.region_weights else None
    own = replace(config, seed=config.seed + place.share[0])  # no two parts drop the same units
    graph = build_training_graph(batch, own, manifest, weights, place.update)
    return batch, start_input, graph


def step_fetches(batch: Batch, graph: TrainingGraph) -> dict:
    """What is run in a step, and what is to be known about it."""
    return {
        "train": graph.train_op,
        "loss": graph.loss,
        "sample_loss": graph.sample_loss,
        "learning_rate": graph.schedule.learning_rate,
        "gradient_norm": graph.gradient_norm,
        "wait_s": batch.wait_s,
        "names": batch.name,
    }


def _loop(place, session, batch, graph, config, folder, val, scheme, start, stop):
    """Steps, log lines, validations and checkpoints from `start` to the end or a stop."""
    fetches = step_fetches(batch, graph)
    events = tf.summary.FileWriter(str(folder.folder))
    bar = tqdm(total=config.steps, initial=start, unit="step", disable=None, dynamic_ncols=True)
    minutes_before = folder.minutes
    began, meter, val_nme = time.monotonic(), Meter(config.batch_size), None
    for step in range(start + 1, config.steps + 1):
        out = run_step(place, session, fetches, config.records)
        meter.count(out["wait_s"])
        bar.update()
        if not np.isfinite(out["loss"]):
            raise CheckError(_not_finite(step, out, folder))
        out_of_time = 0 < 60 * config.max_minutes < time.monotonic() - began
        last = step == config.steps or stop.asked or out_of_time
        if step % config.log_every_steps == 0 or last:
            values = {key: float(out[key]) for key in ("loss", "learning_rate", "gradient_norm")}
            values |= meter.read() | {"weight_norm": float(session.run(graph.weight_norm))}
            _log(bar, events, step, values, val_nme)
        planned = step % config.validate_every_steps == 0
        if planned or last:
            val_nme, pose_deg = _validate(
                session, graph, val, scheme, bar, events, step, config.run
            )
            if val_nme is not None and val_nme < (folder.best or {"val_nme": np.inf})["val_nme"]:
                folder.save_best(session, step, val_nme)
            if planned:  # an early stop's validation must not bend the schedule
                graph.schedule.observe(session, val_nme)
            minutes = minutes_before + (time.monotonic() - began) / 60
            folder.add_metrics(_row(step, config, out, val_nme, pose_deg, minutes))
            write_curves(config.run)
            folder.save_latest(session, step)
            meter.restart()
        if last:
            break
    bar.close()
    events.close()
    print(_farewell(step, config, folder))
    return INTERRUPTED if stop.asked and step < config.steps else 0


def run_step(place, session, fetches: dict, records: Path) -> dict:
    """What one step gives; raises InputError for a shard that was altered."""
    try:
        return place.run_step(session, fetches)
    except tf.errors.DataLossError as error:
        raise InputError(
            f"{records}: a shard was altered ({reason_of(error)}); python -m tfrecords.verify"
            f" {records} names it; make the records again"
        ) from None


def _validate(session, graph, val: Crops, scheme: LandmarkScheme, bar, events, step: int, run):
    """Mean inter-ocular NME of the val side and error of its poses in degrees, drawn and logged.

    None without a val side; no error without a head for poses, or a face whose pose is known.
    """
    if not len(val):
        return None, None
    predicted, rotations = predict(session, graph, val.images)
    errors = normalised_errors(predicted, val.landmarks, val.mask, scheme, "inter-ocular")
    nmes = nme(errors)
    scored = np.isfinite(nmes)
    if not scored.any():
        bar.write(f"step {step}: none of {len(val)} val faces has both outer eye corners")
        return None, None
    error = float(nmes[scored].mean())
    spread = spread_ratio(predicted, val.landmarks, val.mask)
    png = write_predictions(run, val, predicted, scheme)
    image = tf.Summary.Image(encoded_image_string=png)
    value = tf.Summary.Value(tag="val/faces", image=image)
    events.add_summary(tf.Summary(value=[value]), step)
    _add_scalars(events, step, {"val/nme": error, "val/spread": spread})
    bar.write(f"step {step} val_nme {error:.4%} of {scored.sum()} faces, spread {spread:.2f}")
    pose_deg = None if rotations is None else _pose_error_deg(rotations, val, scheme)
    if pose_deg is not None:
        _add_scalars(events, step, {"val/pose_deg": pose_deg})
        bar.write(f"step {step} val_pose {pose_deg:.2f} degrees")
    if spread < COLLAPSED:
        bar.write(
            f"warning: the predictions vary {spread:.0%} as much as the labels: the network answers"
            " with the mean face; train longer, or lower --learning-rate or --bn-decay"
        )
    return error, pose_deg


def _pose_error_deg(rotations, val: Crops, scheme: LandmarkScheme) -> float | None:
    """Mean angle between rotations [n, 3, 3] and the true ones; None where none is known."""
    faces = zip(val.pose_deg, val.landmarks, val.mask, strict=True)
    angles = angle_between_deg(rotations, [true_rotation(*face, scheme) for face in faces])
    known = np.isfinite(angles)
    return float(angles[known].mean()) if known.any() else None


def _log(bar, events, step: int, values: dict, val_nme):
    """One line and the same values for TensorBoard."""
    _add_scalars(events, step, {f"train/{key}": value for key, value in values.items()})
    newest = "-" if val_nme is None else f"{val_nme:.2%}"
    bar.set_postfix_str(
        f"loss {values['loss']:.5f}, lr {values['learning_rate']:.2e}, "
        f"{values['images_per_s']:.0f} images/s, val NME {newest}"
    )
    bar.write(
        f"step {step} loss {values['loss']:.6f} lr {values['learning_rate']:.3e}"
        f" ms/step {values['ms_per_step']:.0f} images/s {values['images_per_s']:.1f}"
        f" wait {values['wait_share']:.1%} memory {values['peak_memory_mb']:.0f} MB"
    )


def _self_check(manifest: dict) -> LandmarkScheme:
    """What must hold before step 1; returns the records' scheme."""
    scheme = scheme_of(manifest)
    if (manifest["colour"], manifest["value_range"]) != ("RGB", [0, 255]):
        raise InputError("the records are not RGB 0..255, which every network here takes")
    if error := flip_table_error(scheme, manifest["mean_shape"]):
        raise CheckError(error)
    return scheme


def _sides(config: TrainConfig) -> tuple[str, ...]:
    return trained_sides(config.train_on_val)


def _trunk_line(config: TrainConfig) -> str:
    if not config.init_from:
        return f"{config.net}: the trunk starts from scratch and is trained"
    kept = "is trained on" if trains_trunk(config) else "is kept; --train-trunk trains it too"
    return f"{config.net}: the trunk comes from {config.init_from} and {kept}"


def _row(step: int, config: TrainConfig, out: dict, val_nme, pose_deg, minutes: float) -> dict:
    row = {
        "step": step,
        "images": step * config.batch_size,
        "minutes": f"{minutes:.2f}",
        "learning_rate": f"{out['learning_rate']:.6g}",
        "loss": f"{out['loss']:.6g}",
        "val_nme": "" if val_nme is None else f"{val_nme:.6f}",
    }
    if config.pose_weight:
        row["val_pose_deg"] = "" if pose_deg is None else f"{pose_deg:.3f}"
    return row


def _not_finite(step: int, out: dict, folder: RunFolder) -> str:
    bad = [
        name
        for name, loss in zip(out["names"], out["sample_loss"], strict=True)
        if not np.isfinite(loss)
    ] or list(out["names"])
    samples = ", ".join(name.decode() for name in bad[:5]) + (", ..." if len(bad) > 5 else "")
    return (
        f"step {step}: the loss is {out['loss']}, from {samples}; the checkpoint before it is"
        f" kept ({folder.latest or 'none yet'}); lower --learning-rate or look at these samples"
    )


def _add_scalars(events, step: int, values: dict):
    summary = tf.Summary(value=[tf.Summary.Value(tag=t, simple_value=v) for t, v in values.items()])
    events.add_summary(summary, step)


def _farewell(step: int, config: TrainConfig, folder: RunFolder) -> str:
    done = "done" if step == config.steps else "stopped and saved; the same command continues it"
    best = folder.best
    text = f", best val NME {best['val_nme']:.2%} at step {best['step']:,}" if best else ""
    return f"{config.run}: step {step:,} of {config.steps:,}, {done}{text}"


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # a log file should be as new as a screen
    default = recipe_of_command_line()
    config = tyro.cli(
        TrainConfig, prog="python -m senet_kp.train", description=__doc__, default=default
    )
    return train(config)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
