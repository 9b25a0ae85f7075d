"""The export gate: checks that every engine gives the trained network's landmarks."""

from collections.abc import Callable

import numpy as np

from senet_kp.export.gate_faces import GateFaces
from senet_kp.inference.backends import (
    NETWORK_BACKENDS,
    OpenCVBackend,
    TensorFlowBackend,
    open_backend,
)
from senet_kp.input.crops import Crops
from senet_kp.tfrecords.errors import CheckError, ModelError

LIMIT_PX = 0.01  # pixels of the network's input
# Rounding the weights to 11 significant bits moves the landmarks of senet68 by up to 0.03 px, and
# those of a network after a few training steps by up to 0.16 px.
FLOAT16_PX = 0.5
# 8-bit quantisation moves the landmarks of senet68 by up to 1.7 px (0.09 px on average), and those
# of a network after a few training steps by up to 6 px. A layer that cannot be quantised moves them
# by 100 px and more.
INT8_PX = 16.0


def check_parity(graph: bytes, trained, faces: GateFaces) -> dict:
    """The largest distance in pixels between a frozen graph's landmarks and the trained network's.

    graph: the frozen graph, run in TensorFlow and in OpenCV. trained [n, N, 2]: landmarks of the
    trained network on the faces, box-relative. Raises CheckError with the engine and the face if a
    landmark differs by more than LIMIT_PX.
    """
    result = faces.counts() | {"limit_px": LIMIT_PX}
    for name, backend in (("tensorflow", TensorFlowBackend), ("opencv", OpenCVBackend)):
        points = points_on(backend(graph), faces)
        result[f"{name}_max_px"] = largest_px(name, points, trained, faces, LIMIT_PX)
    return result


def check_engines(path, name: str, trained, faces: GateFaces, limit_px: float) -> dict[str, dict]:
    """{engine: {"max_px": x}}, or {engine: {"reason": ...}} if it cannot run the file at `path`.

    name: final name of the file, for messages. Raises CheckError if a landmark differs from
    `trained` by more than limit_px, and if no engine can run the file.
    """
    result = {}
    for engine in NETWORK_BACKENDS:
        try:
            points = points_on(open_backend(path, engine), faces)
        except ModelError as error:
            result[engine] = {"reason": str(error).removeprefix(f"{path}: ")}
            continue
        apart = largest_px(f"{name} in {engine}", points, trained, faces, limit_px)
        result[engine] = {"max_px": apart}
    if not any("max_px" in found for found in result.values()):
        reasons = "; ".join(f"{engine} {found['reason']}" for engine, found in result.items())
        raise CheckError(f"export gate: no installed engine can run {name}: {reasons}")
    return result


def points_on(run: Callable, faces: Crops | GateFaces) -> np.ndarray:
    """The landmarks [n, N, 2] that the engine `run` finds in the faces, box-relative."""
    return np.array([run(image) for image in faces.images])


def largest_px(name: str, points, trained, faces: GateFaces, limit_px: float) -> float:
    """The largest distance in pixels; raises CheckError with the first face above the limit."""
    apart = np.abs(points - trained).max(axis=2) * faces.images.shape[1]
    within = apart <= limit_px  # also False for NaN
    if not within.all():
        face = int(np.argmax(~within.all(axis=1)))
        point = int(np.argmax(~within[face]))
        raise CheckError(
            f"export gate: {name} puts landmark {point} of {faces.names[face]}"
            f" {apart[face, point]:.4g} px from the trained network's (limit {limit_px} px);"
            " nothing was written"
        )
    return float(apart.max())
