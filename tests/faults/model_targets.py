"""Model files, their cards and fingerprints, the files of a training run, and small JSON files."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from senet_kp.data_prep.formats.kaggle import FEATURES, rows
from senet_kp.data_prep.kaggle_submission import COLUMNS, read_lookup
from senet_kp.demo.command import predict
from senet_kp.demo.results import describe, draw_faces
from senet_kp.demo.sources import read_boxes
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.known_schemes import IBUG68, read_scheme
from senet_kp.face.pictures import grey_picture
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.dlib_shape import crop_rectangle, enlarged, import_dlib, to_parts
from senet_kp.inference.model_card import box_rule, card_path, read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED, trained_on
from senet_kp.nets.tf1 import tf
from senet_kp.report.predictions import read_predictions
from senet_kp.scoring.fingerprint_file import fingerprints_path, read_faces
from senet_kp.scoring.lineage import terms_of_training, trained_records
from senet_kp.scoring.models import _model_file
from senet_kp.tfrecords.files import sha256_of_file, size_of, write_json
from senet_kp.train.checkpoints import (
    build_inference_graph,
    checkpoint_prefix,
    initial_settings,
    read_settings,
    require_same_records,
)
from senet_kp.train.config import TrainConfig
from senet_kp.train.progress import Progress
from senet_kp.train.run_folder import RunFolder
from senet_kp.train.training_curve import training_curve
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
            json.dumps(describe("photo.jpg", None, self._picture, [face], False), allow_nan=False)
            draw_faces(self._picture.copy(), [face], scheme, False)
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


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and np.isfinite(value)


class RunTexts(Target):
    """The settings, tables and states of a training run, as training and evaluation read them."""

    def __init__(self, root: Path):
        self.root, self._config = root, TrainConfig(records=Path("records"), run=root)
        self._settings = json.loads(
            json.dumps(vars(self._config) | {"augment": vars(self._config.augment)}, default=str)
        ) | {"records_sha256": MANIFEST["records_sha256"], "before": None}
        self._val = SimpleNamespace(groups=["a", "b"], names=["a.jpg", "b.jpg"])
        self._val.take = lambda indices: self._val
        self._val.landmarks = np.stack([np.full((68, 2), 0.5)] * 2)
        self._val.mask, self._val.images = (
            np.ones((2, 68), bool),
            np.zeros((2, 64, 64, 3), np.uint8),
        )
        self.damaged = [
            root / name
            for name in ("config.json", "best/best.json", "metrics.csv", "progress.json")
        ]
        self._write()

    def _write(self):
        (self.root / "best").mkdir(exist_ok=True)
        write_json(self.damaged[0], self._settings)
        write_json(self.damaged[1], {"step": 8, "val_nme": 0.05})
        lines = ["step,epoch,minutes,learning_rate,loss,val_nme"]
        lines += [f"{4 * row},{row / 2},{row * 1.5},0.004,{1 / row:.4f},0.05" for row in (1, 2, 3)]
        self.damaged[2].write_text("\n".join(lines) + "\n")
        snapshots = [{"step": s, "landmarks": [[0.5] * 136] * 2} for s in (4, 8)]
        write_json(self.damaged[3], {"faces": self._val.names, "snapshots": snapshots})

    def use(self) -> dict:
        kept = {path: path.read_bytes() for path in self.damaged}
        try:
            return {
                "settings": self.tried(self._as_evaluation),
                "best": self.tried(lambda: RunFolder(self.root).best),
                "curve": self.tried(lambda: training_curve(self.root)),
                "resumed": self.tried(self._as_training),
            }
        finally:
            for path, data in kept.items():
                path.write_bytes(data)

    def _as_evaluation(self) -> dict:
        settings = read_settings(self.root)
        require_same_records(self.root, settings, Path("records"), MANIFEST)
        trained_records(settings)
        terms_of_training(settings, {})
        initial_settings(self.root)
        return settings

    def _as_training(self) -> float:
        folder = RunFolder(self.root)
        folder.open(self._settings)
        minutes = folder.minutes
        progress = Progress(self.root, self._val, IBUG68, 0.5)
        progress.due(10, 1)
        progress.add(10, self._val.landmarks)
        folder.discard_after(9)
        folder.add_metrics({"step": 12, "minutes": 4.5})
        return minutes

    def problem(self, result, file, old, new, how) -> str | None:
        best = result["best"]
        if best is not None and not (is_number(best["val_nme"]) and is_number(best["step"])):
            return f"a best score of {best}"
        minutes = result["resumed"]
        if minutes is not None and not np.isfinite(minutes):
            return f"{minutes} minutes"
        return None


class Checkpoint(Target):
    """The checkpoint of a run: its weights are read as they were written, or not at all."""

    def __init__(self, root: Path):
        self.root = root
        with tf.Graph().as_default() as graph:
            build_inference_graph("senet", MANIFEST)
            tf.train.get_or_create_global_step()
            self._folder = RunFolder(root)
            self._folder.make_savers()
            initialise = tf.global_variables_initializer()
            self._values = tf.global_variables()
        self._session = tf.Session(graph=graph)
        self._session.run(initialise)
        with graph.as_default():
            self._folder.save_latest(self._session, 12)
            self._folder.save_best(self._session, 12, 0.05)
        prefix = checkpoint_prefix(root, "latest")
        self.damaged = [Path(f"{prefix}.data-00000-of-00001"), Path(f"{prefix}.index")]
        self.damaged += [root / part / "checkpoint" for part in ("latest", "best")]

    def use(self) -> list[np.ndarray] | None:
        checkpoint_prefix(self.root, "latest")
        with tf.Graph().as_default():
            tf.get_variable("any", ())
            RunFolder(self.root).make_savers()
        if self._folder.latest is None:
            return None
        self._folder.restore(self._session)
        return self._session.run(self._values)

    def problem(self, result, file, old, new, how) -> str | None:
        if result is None:
            return "a training would begin again at step 0"
        same = all(map(np.array_equal, result, self.whole))
        return None if same else "other weights are read"


class Boxes(Target):
    """The demo's file of face boxes. Whole entries give the same landmarks."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "boxes.json"]
        boxes = {}
        for face, (_, points) in enumerate(sets.faces()):
            box = face_box(points, BoxRule()).tolist()
            boxes[f"photo{face}.jpg"] = [box, [10, 10, 50, 50]]
        write_json(self.damaged[0], boxes)
        self._predictor = LandmarkPredictor()

    def use(self) -> dict[str, list]:
        boxes = read_boxes(str(self.damaged[0]))
        found = {}
        for face, (picture, _) in enumerate(sets.faces()):
            name, picture = f"photo{face}.jpg", picture.copy()
            faces = predict(picture, name, self._predictor, boxes)
            json.dumps(describe(name, None, picture, faces, True), allow_nan=False)
            draw_faces(picture, faces, self._predictor.scheme, True)
            found[name] = faces
        return found

    def problem(self, result, file, old, new, how) -> str | None:
        entries = json.loads(new)
        for name, faces in result.items():
            if not all(np.isfinite(face.landmarks).all() for face in faces):
                return f"{name}: landmarks that are not finite"
            if entries.get(name) == json.loads(old)[name]:
                pairs = zip(faces, self.whole[name], strict=True)
                if not all(np.array_equal(a.landmarks, b.landmarks) for a, b in pairs):
                    return f"{name}: other landmarks in the same boxes"
        return None


class Scheme(Target):
    """A landmark scheme of the user's own."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "own.json"]
        write_json(self.damaged[0], IBUG68.facts())

    def use(self):
        scheme = read_scheme(str(self.damaged[0]))
        scheme.mirror(np.zeros((scheme.count, 2)))
        json.dumps(scheme.facts(), allow_nan=False)
        if scheme.count == IBUG68.count:
            picture, points = sets.faces()[0]
            draw_faces(picture.copy(), [SimpleNamespace(box=(0, 0, 9, 9), landmarks=points)],
                       scheme, False)  # fmt: skip
        return scheme

    def problem(self, result, file, old, new, how) -> str | None:
        flip = np.array(result.flip)
        if (flip[flip] != np.arange(len(flip))).any():
            return "its mirror table is not its own inverse"
        return None


class PredictionLines(Target):
    """Predictions of another program, which `senet-kp report` scores."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "predictions.jsonl"]
        names = [f"photo{face}.jpg" for face in range(sets.FACES)]
        points = np.stack([points for _, points in sets.faces()])
        boxes = [face_box(each, BoxRule()) for each in points]
        affine = np.array([[[b[2], 0, b[0]], [0, b[3], b[1]]] for b in boxes])
        relative = np.stack([(p - b[:2]) / b[2:] for p, b in zip(points, boxes, strict=True)])
        self._crops = SimpleNamespace(
            landmarks=relative, mask=np.ones((len(names), 68), bool), names=names, affine=affine
        )
        lines = [
            json.dumps({"source": name, "faces": [{"landmarks": p.round(3).tolist(), "box": b}]})
            for name, p, b in zip(names, points, map(np.ndarray.tolist, boxes), strict=True)
        ]
        self.damaged[0].write_text("\n".join(lines) + "\n")

    def use(self) -> np.ndarray:
        return read_predictions(self.damaged[0], self._crops).points

    def problem(self, result, file, old, new, how) -> str | None:
        if np.isinf(result).any():
            return "landmarks that are infinite"
        whole = [line in new.splitlines() for line in old.splitlines()]
        for face, kept in enumerate(whole):
            same = np.array_equal(result[face], self.whole[face], equal_nan=True)
            if kept and not same and not np.isnan(result[face]).all():
                return f"other landmarks from the whole line {face}"
        return None


class KaggleTables(Target):
    """The two tables of which a submission to Kaggle is made."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "test.csv", root / "IdLookupTable.csv"]
        pixels = " ".join(map(str, range(96))).split() * 96
        lines = ["ImageId,Image", *(f"{image},{' '.join(pixels)}" for image in (1, 2))]
        self.damaged[0].write_text("\n".join(lines) + "\n")
        with open(self.damaged[1], "w", newline="") as file:
            table = csv.writer(file)
            table.writerow([*COLUMNS, "Location"])
            table.writerows([[i + 1, i % 2 + 1, FEATURES[i], ""] for i in range(30)])

    def use(self):
        wanted = read_lookup(self.damaged[1])
        pictures = {}
        for _, before, pixels, cell in rows(self.damaged[0], ("ImageId",)):
            picture = grey_picture(pixels, cell.width_px, str(self.damaged[0]))
            pictures[before.decode(errors="replace").strip('" ')] = picture
        return wanted, pictures

    def problem(self, result, file, old, new, how) -> str | None:
        wanted, pictures = result
        names = {FEATURES[i] for i in range(30)}
        if not all(0 <= index < len(names) for *_, index in wanted):
            return "a coordinate that does not exist"
        shapes = {picture.shape for picture in pictures.values()}
        return None if shapes <= {(96, 96, 3)} else f"pictures of {shapes}"
