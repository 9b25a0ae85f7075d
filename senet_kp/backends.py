"""Engines that run a frozen graph, one face at a time: OpenCV, and TensorFlow to compare with.

Both take a crop [S, S, 3] uint8 RGB and give box-relative landmarks [N, 2] float32.
"""

import cv2
import numpy as np

from senet_kp.model_card import INPUT_NODE, OUTPUT_NODE
from tfrecords.errors import ModelError


class OpenCVBackend:
    """cv2.dnn; needs nothing but OpenCV."""

    def __init__(self, graph: bytes, name="the graph"):
        if not hasattr(cv2.dnn, "readNetFromTensorflow"):
            raise ModelError(
                f"OpenCV {cv2.__version__} reads no TensorFlow graphs any more; install"
                " 'opencv-python-headless<5.1', or take the TensorFlow backend"
            )
        try:
            self._net = cv2.dnn.readNetFromTensorflow(np.frombuffer(graph, np.uint8))
        except cv2.error as error:
            reason = str(error.err or error).strip().splitlines()[0]
            raise ModelError(
                f"{name}: OpenCV cannot read it as a frozen graph ({reason})"
            ) from None

    def __call__(self, crop) -> np.ndarray:
        self._net.setInput(cv2.dnn.blobFromImage(crop), INPUT_NODE)
        return self._net.forward(OUTPUT_NODE).reshape(-1, 2)


class TensorFlowBackend:
    """The same graph in TensorFlow."""

    def __init__(self, graph: bytes, name="the graph", threads: int = 0):
        from senet_kp.tf1 import tf  # here, so that the OpenCV backend does without

        self._graph = tf.Graph()
        try:
            definition = tf.GraphDef.FromString(graph)
            with self._graph.as_default():
                tf.import_graph_def(definition, name="")
            self._fetch = self._graph.get_tensor_by_name(f"{OUTPUT_NODE}:0")
        except Exception as error:  # protobuf's and TensorFlow's kinds have no common base
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{name}: not a frozen graph of this project ({reason})") from None
        self._session = tf.Session(
            graph=self._graph,
            config=tf.ConfigProto(
                intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
            ),
        )

    def __call__(self, crop) -> np.ndarray:
        image = np.asarray(crop, np.float32)[None]
        return self._session.run(self._fetch, {f"{INPUT_NODE}:0": image}).reshape(-1, 2)


BACKENDS = {"opencv": OpenCVBackend, "tensorflow": TensorFlowBackend}
