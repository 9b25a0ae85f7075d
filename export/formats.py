"""The frozen graph as an ONNX file, a SavedModel and TFLite files.

All keep the graph's input and output: INPUT_NODE float32 [1, S, S, 3], RGB, 0..255, and OUTPUT_NODE
float32 [1, 2N]. Each writer takes the path to write (a folder for the SavedModel), the frozen
graph's path and crops [n, S, S, 3] uint8 of the train side, and returns what the card is to add.
"""

from pathlib import Path

import numpy as np

from senet_kp.inference.backends import require_package
from senet_kp.inference.model_card import INPUT_NODE, OUTPUT_NODE
from senet_kp.nets.tf1 import quiet, tf

# OpenCV 5.0 and ONNX Runtime read 11 to 18 and give the same points; 13 is read by older ones too.
OPSET = 13


def write_onnx(path: Path, graph: Path, crops) -> dict:
    """By tf2onnx. The input stays channels-last, so that one preparation serves every format."""
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
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return {"opset": OPSET, "versions": {m.__name__: m.__version__ for m in (onnx, tf2onnx)}}


def write_saved_model(path: Path, graph: Path, crops) -> dict:
    """With the one signature "serving_default"."""
    names = (INPUT_NODE, OUTPUT_NODE)
    with tf.Graph().as_default(), tf.Session() as session:
        image, landmarks = tf.import_graph_def(
            _definition(graph), name="", return_elements=[f"{name}:0" for name in names]
        )
        inputs, outputs = {INPUT_NODE: image}, {OUTPUT_NODE: landmarks}
        tf.saved_model.simple_save(session, str(path), inputs, outputs)
    return _made_by()


def write_float32(path: Path, graph: Path, crops) -> dict:
    """The graph as it is."""
    return _write_tflite(path, _converter(graph).convert)


def write_float16(path: Path, graph: Path, crops) -> dict:
    """Half-precision weights; what runs it on a CPU widens them and calculates in float32."""
    converter = _converter(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _write_tflite(path, converter.convert)


def write_int8(path: Path, graph: Path, crops) -> dict:
    """Weights and activations in eight bits, but for the head; float32 goes in and comes out.

    The head's exponentials span more than 256 steps can: senet68 in int8 throughout puts points
    63 px off on average, with 16-bit activations 4 px, with float activations and int8 weights
    0.8 px, and 0.09 px as it is done here. Making its maps in float32 as well gained nothing.
    """
    converter = _converter(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.float32(crop)[None]] for crop in crops)
    with quiet():
        # Its name is of no matter: TensorFlow's one public way to leave some layers as they are.
        quantiser = tf.lite.experimental.QuantizationDebugger(converter=converter)
        kept = _head(quantiser.calibrated_model)
        quantiser.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
        path.write_bytes(quantiser.get_nondebug_quantized_model())
    calibration = {"side": "train", "faces": len(crops)}
    return {"calibration": calibration, "float32_ops": len(kept), **_made_by()}


def _head(graph: bytes) -> list[str]:
    """What the operations of a TFLite graph's head give, by name: from the exponential of the maps
    on, or, where there are no maps, from the last dense layer on."""
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
