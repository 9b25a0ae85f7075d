"""Model files, their cards and fingerprints."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from senet_kp.demo.results import describe, draw_faces
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.known_schemes import IBUG68
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.dlib_shape import crop_rectangle, enlarged, import_dlib, to_parts
from senet_kp.inference.model_card import box_rule, card_path, read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED, trained_on
from senet_kp.nets.tf1 import tf
from senet_kp.scoring.fingerprint_file import fingerprints_path, read_faces
from senet_kp.scoring.lineage import terms_of_training, trained_records
from senet_kp.scoring.models import _model_file
from senet_kp.tfrecords.files import sha256_of_file, size_of, write_json
from tests.faults import sets
from tests.faults.targets import Target

MANIFEST = {"box": vars(BoxRule()), "scheme": IBUG68.facts(), "records_sha256": "0" * 64}


class Model(Target):
    """The included frozen graph. Its weights, or its fingerprints, are never read if altered.

    part: what is damaged: "model", "card" or "fingerprints"
    """

    def __init__(self, root: Path, part: str):
        self.root, self.model, self._part = root, root / PRETRAINED.name, part
        for path in PRETRAINED.parent.glob(f"{PRETRAINED.stem}.*"):
            shutil.copy(path, root)
        self._picture, points = sets.faces()[0]
        self._box = face_box(points, BoxRule())
        parts = {"model": self.model, "card": card_path(self.model)}
        self.damaged = [parts.get(part, fingerprints_path(self.model))]

    def use(self) -> dict:
        card = read_card(self.model)
        rule, scheme = box_rule(card), scheme_of(card)
        faces = read_faces(self.model, card)
        self._told(card)
        if self._part == "fingerprints":
            return {"faces": faces}
        predictor = LandmarkPredictor(self.model)
        (given,) = predictor.predict(self._picture, [self._box])
        found = self.tried(lambda: predictor.predict(self._picture)) or []
        for face in (given, *found):
            json.dumps(describe("photo.jpg", None, self._picture, [face]), allow_nan=False)
            draw_faces(self._picture.copy(), [face], scheme)
        return {"rule": rule, "scheme": scheme, "given": given, "found": found}

    @staticmethod
    def _told(card: dict):
        """What is said of the training that the card describes."""
        trained_on(card)
        settings = card.get("training", {}).get("settings")
        trained_records(settings)
        terms_of_training(settings or {}, {})

    def problem(self, result, file, old, new, how) -> str | None:
        if self._part != "card":
            return f"an altered file ({len(new):,} of {len(old):,} bytes) is used"
        given = result["given"].landmarks
        if given.shape != (result["scheme"].count, 2):
            return f"{len(given)} landmarks for a scheme of {result['scheme'].count}"
        if not all(
            np.isfinite(face.landmarks).all() for face in (result["given"], *result["found"])
        ):
            return "landmarks that are not finite"
        same = all(result[key] == self.whole[key] for key in ("rule", "scheme"))
        if same and not np.array_equal(given, self.whole["given"].landmarks):
            return "other landmarks by the same rule"
        return None


class Exported(Target):
    """A small model file of another kind, with a card that has its hash: never used if altered."""

    def __init__(self, root: Path, suffix: str):
        self.root, self.damaged = root, [root / f"small{suffix}"]
        _SMALL[suffix](self.damaged[0])
        card = json.loads(card_path(PRETRAINED).read_text())
        entry = {"file": self.damaged[0].name, "bytes": size_of(self.damaged[0])}
        entry["sha256"] = sha256_of_file(self.damaged[0])
        card |= {"exports": [entry]} if suffix != ".dat" else {**entry, "records_sha256": "0" * 64}
        write_json(card_path(self.damaged[0]), card)
        picture, points = sets.faces()[0]
        self._input = picture, [face_box(points, BoxRule())]

    def use(self):
        return LandmarkPredictor(self.damaged[0]).predict(*self._input)

    def problem(self, result, file, old, new, how) -> str:
        return "an altered file is used"


class ForeignDat(Target):
    """A dlib shape predictor of another project, which has no card and no hash."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "small.dat"]
        _small_dat(self.damaged[0])

    def use(self):
        model = _model_file(self.damaged[0], MANIFEST | {"detector_box": None}, "auto")
        return model.predict([sets.faces()[0][0][:128, :128]])

    def problem(self, result, file, old, new, how) -> str | None:
        return None if result.shape == (1, 68, 2) else f"landmarks of shape {result.shape}"


class Detector(Target):
    """An ONNX file that is given as YuNet; such files have no card."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "yunet.onnx"]
        _small_onnx(self.damaged[0])

    def start(self):
        cv2.FaceDetectorYN.create(str(self.damaged[0]), "", (32, 32), 0.7)

    def use(self):
        predictor = LandmarkPredictor(PRETRAINED, detector=self.damaged[0])
        return predictor.predict(sets.faces()[0][0])

    def problem(self, result, file, old, new, how) -> None:
        return None  # without a hash, nothing says what it should have found


def _small_onnx(path: Path):
    """A model [1, 128, 128, 3] to [1, 136]: means of 4x4 fields, then one matrix."""
    import onnx
    from onnx import TensorProto, helper

    weights = np.random.default_rng(0).normal(0, 1e-3, (48, 136)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["s"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Flatten", ["s"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["landmarks"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 128, 128, 3])],
        [helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, [1, 136])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), True)],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def _small_tflite(path: Path):
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.placeholder(tf.float32, [1, 128, 128, 3], name="image")
        means = tf.reshape(tf.nn.avg_pool2d(image, 32, 32, "VALID"), [1, 48])
        weights = np.random.default_rng(0).normal(0, 1e-3, (48, 136)).astype(np.float32)
        landmarks = tf.matmul(means, tf.constant(weights), name="landmarks")
        converter = tf.lite.TFLiteConverter.from_session(session, [image], [landmarks])
        path.write_bytes(converter.convert())


def _small_dat(path: Path):
    dlib = import_dlib()
    options = dlib.shape_predictor_training_options()
    options.tree_depth, options.cascade_depth, options.num_trees_per_cascade_level = 2, 2, 4
    options.oversampling_amount, options.be_verbose = 2, False
    images, labels = [], []
    for picture, points in sets.faces():
        images.append(enlarged(picture))
        parts = to_parts((points + 0.5) / sets.SIDE_PX, sets.SIDE_PX)
        rectangle = crop_rectangle(sets.SIDE_PX)
        labels.append([dlib.full_object_detection(rectangle, parts)])
    dlib.train_shape_predictor(images, labels, options).save(str(path))


_SMALL = {".onnx": _small_onnx, ".tflite": _small_tflite, ".dat": _small_dat}
