"""Engines that run a model file, one face at a time.

All take a crop [S, S, 3] uint8 RGB and give box-relative landmarks [N, 2] float32. Each says in
READS which kinds of files it runs: the frozen graph and what export/convert.py makes of it. Only
OpenCV is always there; what another engine needs is imported when one is made.
"""

from importlib import import_module
from pathlib import Path

import cv2
import numpy as np

from senet_kp.inference.model_card import INPUT_NODE, KINDS, OUTPUT_NODE, SAVED_MODEL, kind_of
from senet_kp.tfrecords.errors import ModelError, UserError

AUTO = "auto"  # the first engine that reads the file


class OpenCVBackend:
    """cv2.dnn; needs nothing but OpenCV."""

    READS = {"pb": "readNetFromTensorflow", "onnx": "readNetFromONNX"}  # its TFLite knows no exp()
    COMES_FROM = {"opencv": "cv2"}

    def __init__(self, graph: bytes, name="the graph", kind: str = "pb", threads: int = 0):
        if not hasattr(cv2.dnn, self.READS[kind]):
            raise ModelError(
                f"{name}: OpenCV {cv2.__version__} does not read {KINDS[kind]} any more; install"
                " 'opencv-python-headless<5.1', or take another backend or another file"
            )
        try:
            self._net = getattr(cv2.dnn, self.READS[kind])(np.frombuffer(graph, np.uint8))
        except cv2.error as error:
            raise _unreadable(name, "OpenCV", kind, error) from None
        if threads:
            cv2.setNumThreads(threads)  # of the whole process: OpenCV has no others
        self._planes = kind == "pb"  # OpenCV turns TensorFlow's channels-last graphs round
        self._name = name

    def __call__(self, crop) -> np.ndarray:
        image = cv2.dnn.blobFromImage(crop) if self._planes else np.float32(crop)[None]
        try:
            self._net.setInput(image, INPUT_NODE)
            return self._net.forward(OUTPUT_NODE).reshape(-1, 2)
        except cv2.error as error:  # some of what it cannot do shows here only
            raise ModelError(f"{self._name}: OpenCV cannot run it ({reason_of(error)})") from None


class TensorFlowBackend:
    """A frozen graph or a SavedModel in TensorFlow. `graph` is the file's bytes, or the folder."""

    READS = ("pb", SAVED_MODEL)
    COMES_FROM = {"tensorflow": "tensorflow"}

    def __init__(self, graph, name="the graph", kind: str = "pb", threads: int = 0):
        tf1 = require_package("senet_kp.nets.tf1", "tensorflow", name)
        tf = tf1.tf
        self._session = tf.Session(graph=tf.Graph(), config=tf1.session_config(threads))
        try:
            with self._session.graph.as_default():
                if kind == SAVED_MODEL:
                    tf.saved_model.load(self._session, [tf.saved_model.SERVING], str(graph))
                else:
                    tf.import_graph_def(tf.GraphDef.FromString(graph), name="")
            self._fetch = self._session.graph.get_tensor_by_name(f"{OUTPUT_NODE}:0")
        except Exception as error:  # protobuf's and TensorFlow's kinds have no common base
            raise _unreadable(name, "TensorFlow", kind, error) from None

    def __call__(self, crop) -> np.ndarray:
        image = np.asarray(crop, np.float32)[None]
        return self._session.run(self._fetch, {f"{INPUT_NODE}:0": image}).reshape(-1, 2)


class OnnxRuntimeBackend:
    """ONNX Runtime on the CPU."""

    READS = ("onnx",)
    COMES_FROM = {"onnxruntime": "onnxruntime"}

    def __init__(self, graph: bytes, name="the graph", kind: str = "onnx", threads: int = 0):
        onnxruntime = require_package("onnxruntime", "onnxruntime", name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its kinds have no common base
            raise _unreadable(name, "ONNX Runtime", kind, error) from None

    def __call__(self, crop) -> np.ndarray:
        image = np.asarray(crop, np.float32)[None]
        return self._session.run([OUTPUT_NODE], {INPUT_NODE: image})[0].reshape(-1, 2)


class TFLiteBackend:
    """The TFLite interpreter that comes with TensorFlow."""

    READS = ("tflite",)
    COMES_FROM = {"tensorflow": "tensorflow"}

    def __init__(self, graph: bytes, name="the graph", kind: str = "tflite", threads: int = 0):
        tf1 = require_package("senet_kp.nets.tf1", "tensorflow", name)
        try:
            with tf1.quiet():
                self._interpreter = tf1.tf.lite.Interpreter(
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


# In the order in which they are taken where none is named.
BACKENDS = {
    "opencv": OpenCVBackend,
    "tensorflow": TensorFlowBackend,
    "onnxruntime": OnnxRuntimeBackend,
    "tflite": TFLiteBackend,
}


def require_backend(name: str):
    """Raise UserError where there is no such engine."""
    if name not in (AUTO, *BACKENDS):
        raise UserError(f"no backend {name!r}, only {', '.join((AUTO, *BACKENDS))}")


def engine_of(model, backend: str = AUTO) -> str:
    """The engine that is to run a model file: the one that is named, or the first that can.

    Raises UserError where there is no such engine, ModelError where it runs no such files.
    """
    require_backend(backend)
    kind = kind_of(model)
    able = [name for name, engine in BACKENDS.items() if kind in engine.READS]
    if backend == AUTO:
        return able[0]
    if backend not in able:
        raise ModelError(f"{model}: {backend} does not run {KINDS[kind]}; {' or '.join(able)} does")
    return backend


def open_backend(model, backend: str = AUTO, threads: int = 0):
    """A model file in an engine: crop [S, S, 3] uint8 RGB to landmarks [N, 2].

    threads: how many it may use, 0 for as many as it likes; OpenCV's are those of the process.
    Raises what `engine_of` does, and ModelError for a file that the engine cannot read and for an
    engine that is not installed.
    """
    engine, kind = BACKENDS[engine_of(model, backend)], kind_of(model)
    graph = Path(model) if kind == SAVED_MODEL else Path(model).read_bytes()
    return engine(graph, model, kind, threads)


def engine_version(backend: str) -> dict[str, str]:
    """{package: version} of what an engine comes from, once it is in use."""
    packages = BACKENDS[backend].COMES_FROM.items()
    return {package: import_module(module).__version__ for package, module in packages}


def require_package(module: str, package: str, name):
    """The imported module; raises ModelError, for the model file `name`, where it is missing."""
    try:
        return import_module(module)
    except ImportError:
        raise ModelError(f"{name}: needs the package {package}, which is not installed") from None


def reason_of(error) -> str:
    """What an engine says, as one line that is not too long; OpenCV's without place and code."""
    return " ".join(str(getattr(error, "err", "") or error).split())[:200]


def _unreadable(name, engine: str, kind: str, error) -> ModelError:
    return ModelError(f"{name}: {engine} cannot read it as {KINDS[kind]} ({reason_of(error)})")
