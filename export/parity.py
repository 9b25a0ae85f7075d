"""The export gate: the trained graph and what is made of it agree, in every engine that runs it."""

from collections.abc import Callable

import numpy as np

from senet_kp.inference.backends import (
    NETWORK_BACKENDS,
    OpenCVBackend,
    TensorFlowBackend,
    open_backend,
)
from senet_kp.input.crops import Crops
from senet_kp.tfrecords.errors import CheckError, ModelError

LIMIT_PX = 0.01  # at the network's input size
# Weights that are rounded to eleven bits move senet68's points by up to 0.03 px, those of a network
# after its first steps by up to 0.16.
FLOAT16_PX = 0.5
# Eight bits move single points of senet68 by up to 1.7 px (0.09 on average), those of a network
# after its first steps by up to 6; a layer that they ruin moves them by 100 and more.
INT8_PX = 16.0
MIN_FACES = 64
GATE_FACES = 128  # are taken where there are as many


def check_parity(graph: bytes, trained, crops: Crops) -> dict:
    """Largest distances in pixels of TensorFlow and OpenCV from `trained` [n, N, 2] on the crops.

    Raises CheckError naming the engine and the first face that is more than LIMIT_PX apart, and
    where there are fewer than MIN_FACES to compare.
    """
    result = {"faces": require_faces(crops), "limit_px": LIMIT_PX}
    for name, backend in (("tensorflow", TensorFlowBackend), ("opencv", OpenCVBackend)):
        points = points_on(backend(graph), crops)
        result[f"{name}_max_px"] = largest_px(name, points, trained, crops, LIMIT_PX)
    return result


def check_engines(path, name: str, trained, crops: Crops, limit_px: float) -> dict[str, dict]:
    """{engine: {"max_px": x}}, or {"reason": ...} where it does not run the model file at `path`.

    `name` is what the file will be called. Raises CheckError as above, and where no engine runs it.
    """
    result = {}
    for engine in NETWORK_BACKENDS:
        try:
            points = points_on(open_backend(path, engine), crops)
        except ModelError as error:
            result[engine] = {"reason": str(error).removeprefix(f"{path}: ")}
            continue
        apart = largest_px(f"{name} in {engine}", points, trained, crops, limit_px)
        result[engine] = {"max_px": apart}
    if not any("max_px" in found for found in result.values()):
        reasons = "; ".join(f"{engine} {found['reason']}" for engine, found in result.items())
        raise CheckError(f"export gate: no engine here runs {name}: {reasons}")
    return result


def require_faces(crops: Crops) -> int:
    """How many faces there are to compare; raises CheckError for fewer than MIN_FACES."""
    if len(crops) < MIN_FACES:
        raise CheckError(f"the export gate wants {MIN_FACES} faces, the records hold {len(crops)}")
    return len(crops)


def points_on(run: Callable, crops: Crops) -> np.ndarray:
    """Landmarks [n, N, 2] that an engine finds on the crops."""
    return np.array([run(image) for image in crops.images])


def largest_px(name: str, points, trained, crops: Crops, limit_px: float) -> float:
    """The largest distance, pixels; raises CheckError naming the first face beyond the limit."""
    apart = np.abs(points - trained).max(axis=2) * crops.images.shape[1]
    within = apart <= limit_px  # false where it is not a number, too
    if not within.all():
        face = int(np.argmax(~within.all(axis=1)))
        point = int(np.argmax(~within[face]))
        raise CheckError(
            f"export gate: {name} puts point {point} of {crops.names[face]}"
            f" {apart[face, point]:.4g} px from the trained graph (limit {limit_px} px);"
            " nothing was written"
        )
    return float(apart.max())
