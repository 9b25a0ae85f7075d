"""senet_kp trains facial-landmark networks and runs them wherever OpenCV runs."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
# In a checkout the packages data_prep, export and tfrecords stand beside this folder; a wheel
# holds them inside it. Either way their names are senet_kp.data_prep and so on.
if not (_HERE / "tfrecords").is_dir():
    __path__.append(str(_HERE.parent))
# Modules of earlier layouts, so that `python -m senet_kp.evaluate` keeps working.
__path__.append(str(_HERE / "former_names"))
