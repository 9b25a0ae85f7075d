"""senet_kp trains facial-landmark networks and runs them with OpenCV.

    from senet_kp import LandmarkPredictor, draw_landmarks

    faces = LandmarkPredictor().predict("photo.jpg")

docs/api.md describes every public name. They are imported when they are first used (PEP 562), so
that `import senet_kp` loads neither OpenCV nor TensorFlow.
"""

from importlib import import_module
from pathlib import Path

_HOME = {
    "Face": "senet_kp.inference.predictor",
    "FaceTracker": "senet_kp.tracking.tracker",
    "LandmarkPredictor": "senet_kp.inference.predictor",
    "PRETRAINED": "senet_kp.inference.pretrained",
    "PRETRAINED_3D": "senet_kp.inference.pretrained",
    "TrackingConfig": "senet_kp.tracking.tracker",
    "draw_landmarks": "senet_kp.face.draw",
    "read_card": "senet_kp.inference.model_card",
}
__all__ = list(_HOME)

_HERE = Path(__file__).resolve().parent
# In a checkout the packages data_prep, export and tfrecords are next to this folder; in a wheel
# they are inside it. In both cases they are imported as senet_kp.data_prep and so on.
if not (_HERE / "tfrecords").is_dir():
    __path__.append(str(_HERE.parent))
# Modules of earlier layouts, so that `python -m senet_kp.evaluate` keeps working.
__path__.append(str(_HERE / "former_names"))


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})
