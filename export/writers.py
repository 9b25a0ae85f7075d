"""The file formats that a frozen graph can be exported to.

EXPORTS lists the files, and `senet-kp export` makes them. A new format is a writer here and one
more entry. All files keep the input and output of the graph: INPUT_NODE float32 [1, S, S, 3], RGB,
0..255, and OUTPUT_NODE float32 [1, 2N]. A writer takes the path to write (of a new folder for the
SavedModel), the path of the frozen graph, and crops [n, S, S, 3] uint8 RGB of the train side; it
returns additional entries for the model card.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from senet_kp.export.parity import FLOAT16_PX, INT8_PX, LIMIT_PX
from senet_kp.inference.backends import require_package
from senet_kp.inference.model_card import INPUT_NODE, OUTPUT_NODE
from senet_kp.nets.quiet import quiet
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.files import atomic_folder, atomic_path

# OpenCV 5.0 and ONNX Runtime give the same result for opsets 11 to 18; old versions read 13, too.
OPSET = 13


def write_onnx(path: Path, graph: Path, crops) -> dict:
    """Write an ONNX file with tf2onnx; its input is channels-last (NHWC), as in all formats."""
    onnx = require_package("onnx", "onnx", path)
    tf2onnx = require_package("tf2onnx", "tf2onnx", path)
    names = {f"{name}:0": name for name in (INPUT_NODE, OUTPUT_NODE)}
    with quiet():
        model, _ = tf2onnx.convert.from_graph_def(
            _definition(graph),
            input_names=[f"{INPUT_NODE}:0"],
            output_names=[f"{OUTPUT_NODE}:0"],
            opset=OPSET,
        )
    _make_repeatable(model.graph, names)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return {"opset": OPSET, "versions": {m.__name__: m.__version__ for m in (onnx, tf2onnx)}}


def _make_repeatable(graph, names: dict):
    """Rename input and output, and put the names that tf2onnx has made up and the weights in order.

    tf2onnx numbers its names while it walks sets, so that they differ from process to process.
    """
    numbers = {}

    def renamed(name: str) -> str:
        in_order = re.sub(r"__(\d+)", lambda n: f"__{numbers.setdefault(n[1], len(numbers))}", name)
        return names.get(name, in_order)

    for node in graph.node:
        node.input[:] = map(renamed, node.input)
        node.output[:] = map(renamed, node.output)
        node.name = renamed(node.name)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = renamed(value.name)
    weights = sorted(graph.initializer, key=lambda value: value.name)
    del graph.initializer[:]
    graph.initializer.extend(weights)


def write_saved_model(path: Path, graph: Path, crops) -> dict:
    """Write a SavedModel with one signature, "serving_default"."""
    names = (INPUT_NODE, OUTPUT_NODE)
    with tf.Graph().as_default(), tf.Session() as session:
        image, landmarks = tf.import_graph_def(
            _definition(graph), name="", return_elements=[f"{name}:0" for name in names]
        )
        inputs, outputs = {INPUT_NODE: image}, {OUTPUT_NODE: landmarks}
        tf.saved_model.simple_save(session, str(path), inputs, outputs)
    return _made_by()


def saved_model_files(folder: Path) -> set[str] | None:
    """Return the paths of the files of `write_saved_model`; None if the folder has none of it."""
    model = folder / "saved_model.pb"
    data = model.read_bytes() if model.is_file() else b""
    if not all(name.encode() in data for name in (INPUT_NODE, OUTPUT_NODE, "serving_default")):
        return None
    parts = ("variables.index", "variables.data-00000-of-00001")
    return {model.name, "fingerprint.pb", *(f"variables/{part}" for part in parts)}


def write_float32(path: Path, graph: Path, crops) -> dict:
    """Write a TFLite file with float32 weights."""
    return _write_tflite(path, _converter(graph).convert)


def write_float16(path: Path, graph: Path, crops) -> dict:
    """Write a TFLite file with float16 weights; on a CPU the arithmetic remains float32."""
    converter = _converter(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _write_tflite(path, converter.convert)


def write_int8(path: Path, graph: Path, crops) -> dict:
    """Write a TFLite file with int8 weights and activations, except for the float32 head.

    Input and output are float32. The exponentials of the head exceed the range of 256 levels: the
    landmarks of senet68 are off by 63 px on average if everything is int8, by 4 px with 16-bit
    activations, by 0.8 px with float activations and int8 weights, and by 0.09 px with this writer.
    Computing the head's maps in float32 as well brought no improvement.
    """
    converter = _converter(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.float32(crop)[None]] for crop in crops)
    with quiet():
        # Despite its name, it is TensorFlow's only public way to exclude layers from quantisation.
        quantiser = tf.lite.experimental.QuantizationDebugger(converter=converter)
        kept = _head(quantiser.calibrated_model)
        quantiser.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
        path.write_bytes(quantiser.get_nondebug_quantized_model())
    return {"calibration": {"side": "train"}, "float32_ops": len(kept), **_made_by()}


def _head(graph: bytes) -> list[str]:
    """The names of the tensors that the head of a TFLite graph computes.

    The head starts at the exponential of the maps or, in a network without maps, at the last dense
    layer.
    """
    interpreter = tf.lite.Interpreter(
        model_content=graph,
        experimental_op_resolver_type=(
            tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    names = {tensor["index"]: tensor["name"] for tensor in interpreter.get_tensor_details()}
    operations = interpreter._get_ops_details()
    kinds = [operation["op_name"] for operation in operations]
    last_dense = max((i for i, kind in enumerate(kinds) if kind == "FULLY_CONNECTED"), default=0)
    start = kinds.index("EXP") if "EXP" in kinds else last_dense
    return [names[index] for operation in operations[start:] for index in operation["outputs"]]


def _converter(graph: Path):
    return tf.lite.TFLiteConverter.from_frozen_graph(str(graph), [INPUT_NODE], [OUTPUT_NODE])


def _write_tflite(path: Path, convert) -> dict:
    with quiet():
        path.write_bytes(convert())
    return _made_by()


def _made_by() -> dict:
    return {"versions": {"tensorflow": tf.__version__}}


def _definition(graph: Path):
    return tf.GraphDef.FromString(graph.read_bytes())


@dataclass(frozen=True)
class Export:
    """An exported file.

    format:      its kind, by which --formats selects it and a backend recognises it
    ending:      the part of its name after the stem of the frozen graph's name
    write:       the writer, as described above
    limit_px:    largest accepted distance of a landmark from the frozen graph's, in input pixels
    written:     for a folder, what tells the files of this export in it (`atomic_folder`)
    """

    format: str
    ending: str
    write: Callable
    limit_px: float = LIMIT_PX
    written: Callable[[Path], set[str] | None] | None = None

    def writing(self, path: Path) -> AbstractContextManager[Path]:
        """A context with a temporary path, which is renamed to `path` unless there is an error."""
        if self.written:
            return atomic_folder(path, self.written)
        return atomic_path(path, path.suffix)


EXPORTS = (
    Export("onnx", ".onnx", write_onnx),
    Export("tflite", "-float32.tflite", write_float32),
    Export("tflite", "-float16.tflite", write_float16, FLOAT16_PX),
    Export("tflite", "-int8.tflite", write_int8, INT8_PX),
    Export("saved_model", "-saved-model", write_saved_model, written=saved_model_files),
)
FORMATS = tuple(dict.fromkeys(export.format for export in EXPORTS))
Format = Literal[FORMATS]
