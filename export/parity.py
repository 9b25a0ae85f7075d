"""The export gate: the trained graph, the `.pb` in TensorFlow and the `.pb` in OpenCV agree."""

import numpy as np

from senet_kp.backends import OpenCVBackend, TensorFlowBackend
from senet_kp.crops import Crops
from tfrecords.errors import CheckError

LIMIT_PX = 0.01  # at the network's input size
MIN_FACES = 64


def check_parity(graph: bytes, trained, crops: Crops) -> dict:
    """Largest distances in pixels of each engine from `trained` [n, N, 2] on the crops.

    Raises CheckError naming the engine and the first face that is more than LIMIT_PX apart, and
    where there are fewer than MIN_FACES to compare.
    """
    if len(crops) < MIN_FACES:
        raise CheckError(f"the export gate wants {MIN_FACES} faces, the records hold {len(crops)}")
    size_px = crops.images.shape[1]
    result = {"faces": len(crops), "limit_px": LIMIT_PX}
    for name, backend in (("tensorflow", TensorFlowBackend), ("opencv", OpenCVBackend)):
        engine = backend(graph)
        points = np.array([engine(image) for image in crops.images])
        apart = np.abs(points - trained).max(axis=2) * size_px
        if not (apart <= LIMIT_PX).all():  # also where it is not a number
            face = int(np.argmax(~(apart <= LIMIT_PX).all(axis=1)))
            point = int(np.argmax(~(apart[face] <= LIMIT_PX)))
            raise CheckError(
                f"export gate: {name} puts point {point} of {crops.names[face]}"
                f" {apart[face, point]:.4g} px from the trained graph (limit {LIMIT_PX} px);"
                " nothing was written"
            )
        result[f"{name}_max_px"] = float(apart.max())
    return result
