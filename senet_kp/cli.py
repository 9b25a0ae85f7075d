"""The `senet-kp` command: `senet-kp STAGE [options]` runs one stage of the toolkit.

`senet-kp` lists the stages and `senet-kp STAGE --help` shows the options of one. A stage's module
is imported only when that stage runs, so that listing the stages or finding faces does not load
TensorFlow.
"""

import sys
from importlib import import_module
from itertools import groupby
from typing import NamedTuple

from senet_kp.tfrecords.errors import UserError, exit_code_of


class Stage(NamedTuple):
    """One stage of the toolkit.

    group: its heading in `senet-kp --help`. module: the module whose `main()` runs it. extra: the
    extra of the package that installs what the module imports, "" for the base dependencies.
    """

    group: str
    module: str
    extra: str
    summary: str


DATA, TRAINING, MODEL, USE = "Data", "Training", "Model", "Use"
STAGES = {
    "fetch": Stage(DATA, "senet_kp.data_prep.download", "prepare", "download a public data set"),
    "sample": Stage(
        DATA,
        "senet_kp.data_prep.sample_faces.dataset",
        "prepare",
        "render the built-in sample data set",
    ),
    "profile-views": Stage(
        DATA,
        "senet_kp.data_prep.profile_views.command",
        "prepare",
        "make turned views of labelled photos, up to profile",
    ),
    "prepare": Stage(
        DATA,
        "senet_kp.data_prep.prepare",
        "prepare",
        "crop labelled faces and write train, val and test records",
    ),
    "beam-prepare": Stage(
        DATA,
        "senet_kp.data_prep.beam.prepare",
        "prepare,cluster",
        "the same on many machines, with Apache Beam",
    ),
    "verify": Stage(
        DATA,
        "senet_kp.tfrecords.verify",
        "prepare",
        "check every record of a folder against its manifest",
    ),
    "overlap": Stage(
        DATA,
        "senet_kp.data_prep.overlap",
        "prepare",
        "list the pictures that two record folders share",
    ),
    "autolabel": Stage(
        DATA, "senet_kp.data_prep.autolabel", "prepare", "label pictures with a trained model"
    ),
    "imglab": Stage(
        DATA,
        "senet_kp.data_prep.imglab",
        "prepare",
        "write labels as an XML file for dlib's imglab",
    ),
    "preview": Stage(
        TRAINING,
        "senet_kp.input.preview",
        "prepare",
        "draw augmented training pictures with their landmarks",
    ),
    "train": Stage(
        TRAINING, "senet_kp.train.loop", "train", "train a network, or resume a training run"
    ),
    "train-cluster": Stage(
        TRAINING,
        "senet_kp.cluster.train_cluster",
        "train",
        "run one process of a training run on several machines",
    ),
    "local-cluster": Stage(
        TRAINING,
        "senet_kp.cluster.local_cluster",
        "train",
        "train with several processes on this machine",
    ),
    "label-offsets": Stage(
        TRAINING,
        "senet_kp.train.label_offsets",
        "train",
        "print the annotation bias that a training run learned",
    ),
    "crossval": Stage(
        TRAINING, "senet_kp.scoring.crossval", "train", "run a k-fold cross-validation"
    ),
    "compare-runs": Stage(
        TRAINING,
        "senet_kp.compare_runs.__main__",
        "train",
        "compare the curves, settings and errors of training runs",
    ),
    "freeze": Stage(
        MODEL,
        "senet_kp.export.freeze",
        "train",
        "turn a checkpoint into a frozen graph with its model card",
    ),
    "export": Stage(
        MODEL,
        "senet_kp.export.convert",
        "train,export",
        "convert a frozen graph to ONNX, TFLite or a SavedModel",
    ),
    "evaluate": Stage(
        MODEL, "senet_kp.scoring.evaluate", "prepare", "score a model on the test split"
    ),
    "report": Stage(
        MODEL,
        "senet_kp.report.__main__",
        "prepare",
        "write a report that measures and compares models",
    ),
    "kaggle-submission": Stage(
        MODEL,
        "senet_kp.data_prep.kaggle_submission",
        "prepare",
        "write a submission for Kaggle's facial keypoints contest",
    ),
    "demo": Stage(
        USE,
        "senet_kp.demo.command",
        "",
        "find faces in pictures or videos and draw their landmarks",
    ),
}

# The extras of packages that only some runs of a stage need.
EXTRA_OF_PACKAGE = {
    "apache_beam": "cluster",
    "onnxruntime": "export",
    "tf2onnx": "export",
    "tensorflow": "train",
    "tf_slim": "train",
}


def main() -> int:
    """Run the command line in `sys.argv`; its exit codes stand in senet_kp.tfrecords.errors."""
    return exit_code_of(_run)


def _run() -> int:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
        return 0
    if name == "--version":
        print(f"senet-kp {_version()}")
        return 0
    if name not in STAGES:
        raise UserError(_unknown(name))
    sys.argv = [f"senet-kp {name}", *arguments]
    return _run_stage(name, STAGES[name])


def overview() -> str:
    """The text of `senet-kp --help`: every stage with its summary, in groups."""
    width = max(map(len, STAGES))
    lines = ["usage: senet-kp STAGE [options]", "", "Train and run facial-landmark networks."]
    for group, names in groupby(STAGES, lambda name: STAGES[name].group):
        lines += ["", f"{group}:", *(f"  {name:{width}}  {STAGES[name].summary}" for name in names)]
    lines += ["", "`senet-kp STAGE --help` shows the options of a stage."]
    return "\n".join([*lines, "`senet-kp --version` prints the version."])


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # 20 ms that no stage needs

    try:
        return version("senet_kp")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, STAGES, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`senet-kp --help` lists the stages"
    return f"unknown stage {name!r}: {hint}"


def _run_stage(name: str, stage: Stage) -> int:
    """Run a stage; raises UserError where one of the packages that it imports is not installed."""
    try:
        return import_module(stage.module).main() or 0
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = EXTRA_OF_PACKAGE.get(package, stage.extra)
        if package in ("", "senet_kp") or not extra:
            raise
        raise UserError(
            f"`senet-kp {name}` needs the package {package}, which is not installed:"
            f" run pip install 'senet_kp[{extra}]'"
        ) from None
