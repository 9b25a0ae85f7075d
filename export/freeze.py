"""senet-kp freeze --run out/run --records out/tfrecords --out out/senet.pb

Freezes the best checkpoint of a training run into an inference graph for one face at a time, with
batch norm folded. Checks on real crops that TensorFlow and OpenCV give the trained network's
landmarks with it (the export gate), scores it on the test side, and writes its model card and the
fingerprints of its training faces beside it. Takes about 15 s.
Exit codes: 0 done, 2 invalid arguments, 3 the records cannot be read, 4 the checkpoint cannot be
used, 5 the export gate refuses the graph.
"""

import hashlib
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import cv2
import numpy as np
import tyro

from senet_kp.export.fingerprints import record_folders, warn_of_missing
from senet_kp.export.gate_faces import described, gate_faces
from senet_kp.export.parity import check_parity
from senet_kp.face.metrics import Normaliser
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import OpenCVBackend
from senet_kp.inference.model_card import CARD_VERSION, INPUT_NODE, OUTPUT_NODE, box_rule, card_path
from senet_kp.input.crops import load_any_crops
from senet_kp.nets.tf1 import tf
from senet_kp.scoring.evaluate import score_table
from senet_kp.scoring.fingerprint_file import write_fingerprints
from senet_kp.scoring.lineage import learned_faces, terms_of_training
from senet_kp.scoring.scores import list_conditions, scores_or_note
from senet_kp.tfrecords.errors import CheckError, UserError, exit_code_of
from senet_kp.tfrecords.files import write_bytes, write_json
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.train.checkpoints import (
    checkpoint_prefix,
    read_settings,
    require_same_records,
    restored_session,
    run_images,
)

# The ops that a frozen graph may contain. OpenCV runs each of them with the result of TensorFlow.
ALLOWED_OPS = frozenset(
    ("Placeholder", "Const", "Identity", "Conv2D", "DepthwiseConv2dNative", "BiasAdd", "MatMul")
    + ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Exp", "Relu", "Sigmoid", "AvgPool", "MaxPool")
    + ("Mean", "Reshape", "ConcatV2", "ResizeNearestNeighbor")
)


@dataclass(frozen=True)
class FreezeConfig:
    run: Path = Path("out/run")
    """folder of the training run"""
    records: Path = Path("out/tfrecords")
    """record folder that the network was trained on"""
    out: Path = Path("out/senet.pb")
    """the frozen graph, a .pb file; its model card is written to the same name with .json, and the
    fingerprints of its training faces to the same name with .fingerprints"""
    checkpoint: str = "best"
    """best, latest, or the path prefix of a checkpoint, such as out/run/ckpt-2000"""
    normaliser: Normaliser = "inter-ocular"
    """length that the errors of the card's scores are divided by, as for `senet-kp evaluate`; box
    suits turned heads, whose outer eye corners are close together or hidden"""
    trained_on: tuple[Path, ...] = ()
    """record folders of the trainings that the run was initialised from, if they were moved"""


def freeze(config: FreezeConfig) -> dict:
    """Write the frozen graph and its card; return the card. Writes nothing if a check fails."""
    if config.out.suffix != ".pb":
        raise UserError(f"--out {config.out}: the name of a frozen graph must end in .pb")
    settings, manifest = read_settings(config.run), read_manifest(config.records)
    require_same_records(config.run, settings, config.records, manifest)
    prefix = checkpoint_prefix(config.run, config.checkpoint)
    faces = gate_faces(config.records, manifest)
    graph, trained = frozen_graph(settings, manifest, prefix, faces.images)
    gate = check_parity(graph, trained, faces)
    test = load_any_crops(config.records, manifest, sides=("test",))
    result = scores_or_note(OpenCVBackend(graph), test, scheme_of(manifest), config.normaliser)
    result |= {"engine": "opencv"} | list_conditions(manifest, "test")
    folders = record_folders((config.records, *config.trained_on))
    learned = learned_faces(settings, folders)
    write_bytes(config.out, graph)
    card = _card(graph, settings, manifest, prefix, gate, result)
    card |= {"terms": terms_of_training(settings, folders)}
    card |= write_fingerprints(config.out, learned)
    write_json(card_path(config.out), card)
    warn_of_missing(config.out, settings, learned)
    return card


def frozen_graph(settings: dict, manifest: dict, prefix: str, images) -> tuple[bytes, np.ndarray]:
    """The serialized inference graph of a checkpoint, and landmarks [n, N, 2] of the checkpoint.

    images [n, S, S, 3] uint8 RGB. Raises CheckError if the batch-norm statistics were never
    updated, and if the graph contains an op that is not in ALLOWED_OPS.
    """
    with restored_session(settings, manifest, prefix) as session:
        _check_statistics(session, prefix)
        trained = run_images(session, images, prefix)
        definition = tf.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), [OUTPUT_NODE]
        )
    definition = _folded(definition)
    left = {node.op for node in definition.node} - ALLOWED_OPS
    if left:
        raise CheckError(
            f"the inference graph contains ops that OpenCV may not run: {', '.join(sorted(left))}"
        )
    return definition.SerializeToString(deterministic=True), trained


def _folded(definition):
    """The graph with batch norm folded into the convolutions, and Identity nodes removed."""
    from tensorflow.python.tools.optimize_for_inference_lib import fold_batch_norms

    definition = tf.graph_util.remove_training_nodes(definition, protected_nodes=[OUTPUT_NODE])
    definition = fold_batch_norms(definition)
    return tf.graph_util.extract_sub_graph(definition, [OUTPUT_NODE])


def _check_statistics(session, prefix: str):
    """Raise CheckError if the moving averages of a batch norm still have their initial values.

    Such a network works in training, where batch norm uses the batch, but not in inference.
    """
    moving = [v for v in tf.global_variables() if "moving_" in v.op.name]
    for variable, value in zip(moving, session.run(moving), strict=True):
        start = 1.0 if variable.op.name.endswith("variance") else 0.0
        if (value == start).all():
            raise CheckError(
                f"{prefix}: the batch-norm statistic {variable.op.name} is still at its initial"
                f" value {start:g}; train with the batch-norm update ops and freeze again"
            )


def _card(graph: bytes, settings: dict, manifest: dict, prefix: str, gate: dict, result) -> dict:
    sides = {
        side: {k: s[k] for k in ("records", "groups")} for side, s in manifest["sides"].items()
    }
    return {
        "card": CARD_VERSION,
        "network": settings["net"],
        **_interface(manifest),
        "scheme": scheme_of(manifest).facts(),
        "mean_shape": manifest["mean_shape"],
        "training": {
            "settings": settings,
            "step": int(prefix.rpartition("-")[2]),
            "records": {
                "sha256": manifest["records_sha256"],
                "sides": sides,
                "settings": manifest["settings"],
                "sources": manifest["sources"],
            },
        },
        "scores": result,
        "gate": gate,
        "bytes": len(graph),
        "sha256": hashlib.sha256(graph).hexdigest(),
        "versions": {"python": python_version()}
        | {name: version(name) for name in ("numpy", "tf-slim")}
        | {"opencv": cv2.__version__, "tensorflow": tf.__version__},
    }


def _interface(manifest: dict) -> dict:
    """The card's description of the graph's input, output and face box."""
    rule = box_rule(manifest)
    return {
        "input": {
            "node": INPUT_NODE,
            "shape": [1, rule.size_px, rule.size_px, 3],
            "type": "float32",
            "colour": "RGB",
            "range": [0, 255],
        },
        "output": {
            "node": OUTPUT_NODE,
            "shape": [1, 2 * scheme_of(manifest).count],
            "type": "float32",
            "meaning": "x0, y0, x1, y1, ...; from 0 at the left (top) edge of the face box to 1 at"
            " its right (bottom) edge",
        },
        "box": asdict(rule),
        "box_meaning": "a square around the landmarks (or around the box of the data set, if that"
        " is its source). Its size is scale x the larger of the width and height of their bounding"
        " box, and its centre is the centre of that bounding box plus shift x size. A box"
        " [x, y, w, h] is in pixels, where the centre of the first pixel is at 0. Pixel i of the"
        " input is sampled at x + (i + 0.5) / size_px x w. Pixels outside the picture are filled"
        " by the padding",
        "detector_box": manifest["detector_box"],
        "detector_box_meaning": "conversion of dlib's frontal face box to the face box: move the"
        " centre by shift x size, then multiply the size by scale",
        "yunet_box": manifest.get("yunet_box"),
        "yunet_box_meaning": "the same for the box of the mean face, aligned to YuNet's points;"
        " null if YuNet's boxes were not measured",
    }


def main():
    config = tyro.cli(FreezeConfig, prog="senet-kp freeze", description=__doc__)
    card = freeze(config)
    gate, note = card["gate"], card["scores"].get("note")
    print(note or score_table(card["scores"]))
    print(
        f"{config.out}: {card['bytes']:,} bytes, step {card['training']['step']:,},"
        f" card: {card_path(config.out)}"
    )
    print(
        f"export gate, {described(gate)}: TensorFlow within {gate['tensorflow_max_px']:.1e} px"
        f" of the trained network, OpenCV within {gate['opencv_max_px']:.1e} px"
    )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
