"""Backends: the inference engines that run a model file, one face at a time.

Every backend is a callable that takes a crop of the face box, [S, S, 3] uint8 RGB, and returns
landmarks [N, 2], float32 or float64, relative to that box. Its class attribute READS lists the
kinds of model files (`model_card.KINDS`) that it runs. Only OpenCV is always installed; the package
of another engine is imported when its backend is created.
"""

from importlib import import_module
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from senet_kp.inference.dlib_shape import crop_rectangle, enlarged, from_parts, load_predictor
from senet_kp.inference.model_card import (
    DLIB_PREDICTOR,
    INPUT_NODE,
    KINDS,
    OUTPUT_NODE,
    SAVED_MODEL,
    kind_of,
)
from senet_kp.nets.quiet import quiet
from senet_kp.nets.tf1 import session_config, tf
from senet_kp.tfrecords.errors import ModelError, UserError, brief

TENSORFLOW = "senet_kp.nets._tensorflow"  # the module that `tf` loads at its first use
AUTO = "auto"
Backend = Literal["auto", "opencv", "tensorflow", "onnxruntime", "tflite", "dlib"]
"""What a caller can choose: the name of a backend, or auto for the first that reads the file."""


class OpenCVBackend:
    """A frozen graph or an ONNX file in cv2.dnn."""

    # The reader for each kind. OpenCV's TFLite reader does not know the operator exp().
    READS = {"pb": "readNetFromTensorflow", "onnx": "readNetFromONNX"}
    PACKAGES = {"opencv": "cv2"}

    def __init__(self, graph: bytes, name="the graph", kind: str = "pb", threads: int = 0):
        if not hasattr(cv2.dnn, self.READS[kind]):
            raise ModelError(
                f"{name}: OpenCV {cv2.__version__} can no longer read {KINDS[kind]}; install"
                " 'opencv-python-headless<5.1', or use another backend or another model file"
            )
        try:
            self._net = getattr(cv2.dnn, self.READS[kind])(np.frombuffer(graph, np.uint8))
        except cv2.error as error:
            raise _unreadable(name, "OpenCV", kind, error) from None
        if threads:
            cv2.setNumThreads(threads)  # OpenCV has one setting for the whole process
        # OpenCV converts TensorFlow's channels-last (NHWC) graphs to channels-first (NCHW).
        self._channels_first = kind == "pb"
        self._name = name

    def __call__(self, crop) -> np.ndarray:
        image = cv2.dnn.blobFromImage(crop) if self._channels_first else np.float32(crop)[None]
        try:
            self._net.setInput(image, INPUT_NODE)
            return self._net.forward(OUTPUT_NODE).reshape(-1, 2)
        except cv2.error as error:  # some unsupported operators fail here, not when loading
            raise ModelError(
                f"{self._name}: OpenCV cannot run this model ({reason_of(error)})"
            ) from None


class TensorFlowBackend:
    """A frozen graph or a SavedModel in TensorFlow.

    graph: the bytes of a frozen graph, or the path of a SavedModel's folder.
    """

    READS = ("pb", SAVED_MODEL)
    PACKAGES = {"tensorflow": "tensorflow"}

    def __init__(self, graph, name="the graph", kind: str = "pb", threads: int = 0):
        require_package(TENSORFLOW, "tensorflow", name)
        self._session = tf.Session(graph=tf.Graph(), config=session_config(threads))
        try:
            with self._session.graph.as_default():
                if kind == SAVED_MODEL:
                    tf.saved_model.load(self._session, [tf.saved_model.SERVING], str(graph))
                else:
                    tf.import_graph_def(tf.GraphDef.FromString(graph), name="")
            self._fetch = self._session.graph.get_tensor_by_name(f"{OUTPUT_NODE}:0")
        except Exception as error:  # protobuf's and TensorFlow's errors have no common base class
            raise _unreadable(name, "TensorFlow", kind, error) from None

    def __call__(self, crop) -> np.ndarray:
        image = np.asarray(crop, np.float32)[None]
        return self._session.run(self._fetch, {f"{INPUT_NODE}:0": image}).reshape(-1, 2)


class OnnxRuntimeBackend:
    """An ONNX file in ONNX Runtime, on the CPU."""

    READS = ("onnx",)
    PACKAGES = {"onnxruntime": "onnxruntime"}

    def __init__(self, graph: bytes, name="the graph", kind: str = "onnx", threads: int = 0):
        onnxruntime = require_package("onnxruntime", "onnxruntime", name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise _unreadable(name, "ONNX Runtime", kind, error) from None

    def __call__(self, crop) -> np.ndarray:
        image = np.asarray(crop, np.float32)[None]
        return self._session.run([OUTPUT_NODE], {INPUT_NODE: image})[0].reshape(-1, 2)


class TFLiteBackend:
    """A TFLite file in the interpreter that is part of TensorFlow."""

    READS = ("tflite",)
    PACKAGES = {"tensorflow": "tensorflow"}

    def __init__(self, graph: bytes, name="the graph", kind: str = "tflite", threads: int = 0):
        require_package(TENSORFLOW, "tensorflow", name)
        try:
            with quiet():
                self._interpreter = tf.lite.Interpreter(
                    model_content=graph, num_threads=threads or None
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _unreadable(name, "TFLite", kind, error) from None
        (self._in,) = (tensor["index"] for tensor in self._interpreter.get_input_details())
        (self._out,) = (tensor["index"] for tensor in self._interpreter.get_output_details())

    def __call__(self, crop) -> np.ndarray:
        self._interpreter.set_tensor(self._in, np.asarray(crop, np.float32)[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._out).reshape(-1, 2)


class DlibBackend:
    """A dlib shape predictor that benchmarks.dlib_baseline trained on face boxes.

    path: the predictor's file. dlib runs on one thread, whatever `threads` is.
    """

    READS = (DLIB_PREDICTOR,)
    PACKAGES = {"dlib": "dlib"}

    def __init__(self, path, name=None, kind: str = DLIB_PREDICTOR, threads: int = 0):
        require_package("dlib", "dlib-bin", name or path)
        self._predictor = load_predictor(path)

    def __call__(self, crop) -> np.ndarray:
        size_px = len(crop)
        detection = self._predictor(enlarged(crop), crop_rectangle(size_px))
        return from_parts(detection.parts(), size_px)


# AUTO takes the first of these that reads the file.
BACKENDS = {
    "opencv": OpenCVBackend,
    "tensorflow": TensorFlowBackend,
    "onnxruntime": OnnxRuntimeBackend,
    "tflite": TFLiteBackend,
    "dlib": DlibBackend,
}
NETWORK_BACKENDS = {name: backend for name, backend in BACKENDS.items() if name != "dlib"}
"""The backends that run a network: a frozen graph or a file that was exported from one."""


def require_backend(name: str):
    """Raise UserError if there is no backend of this name."""
    if name not in (AUTO, *BACKENDS):
        raise UserError(f"no backend {name!r}, only {', '.join((AUTO, *BACKENDS))}")


def engine_of(model, backend: Backend = AUTO) -> str:
    """The name of the backend that will run a model file.

    Raises UserError if there is no such backend, ModelError if it does not read this kind of file.
    """
    require_backend(backend)
    kind = kind_of(model)
    able = [name for name, engine in BACKENDS.items() if kind in engine.READS]
    if backend == AUTO:
        return able[0]
    if backend not in able:
        raise ModelError(f"{model}: {backend} does not run {KINDS[kind]}; {' or '.join(able)} does")
    return backend


def open_backend(model, backend: Backend = AUTO, threads: int = 0):
    """Load a model file: a callable from a crop [S, S, 3] uint8 RGB to landmarks [N, 2].

    threads: how many threads the engine may use, 0 for its own default. OpenCV's number of threads
    is a setting of the whole process; dlib uses one. Raises the errors of `engine_of`, and
    ModelError if the engine is not installed or cannot read the file. The callable raises
    ModelError for landmarks that are not finite.
    """
    engine, kind = BACKENDS[engine_of(model, backend)], kind_of(model)
    by_path = kind in (SAVED_MODEL, DLIB_PREDICTOR)
    run = engine(Path(model) if by_path else Path(model).read_bytes(), model, kind, threads)
    return lambda crop: finite(run(crop), model)


def finite(landmarks: np.ndarray, name) -> np.ndarray:
    """The same landmarks; raises ModelError, which names the model, if not all are finite."""
    if not np.isfinite(landmarks).all():
        raise ModelError(
            f"{name}: its landmarks are not finite (NaN or infinite); train the network again, with"
            " a lower --learning-rate if its loss grew, or export it again"
        )
    return landmarks


def engine_version(backend: str) -> dict[str, str]:
    """{package: version} of the packages that a backend runs on; they have to be installed."""
    packages = BACKENDS[backend].PACKAGES.items()
    return {package: import_module(module).__version__ for package, module in packages}


def require_package(module: str, package: str, name):
    """Import and return a module that the model file `name` needs.

    Raises ModelError, which names the package to install, if the module is missing.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ModelError(f"{name}: needs the package {package}, which is not installed") from None


def reason_of(error) -> str:
    """An engine's error message, brief; of OpenCV's errors, without source file and error code."""
    return brief(getattr(error, "err", "") or error)


def _unreadable(name, engine: str, kind: str, error) -> ModelError:
    return ModelError(f"{name}: {engine} cannot read it as {KINDS[kind]} ({reason_of(error)})")
