"""Opens every kind of model that can be scored: model files, training runs, dlib predictors."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from platform import python_version

import numpy as np
from tqdm import tqdm

from senet_kp.face.scheme import scheme_of
from senet_kp.inference.backends import AUTO, Backend, engine_of, engine_version, open_backend
from senet_kp.inference.model_card import SAVED_MODEL, find_card, kind_of
from senet_kp.scoring.fingerprint_file import LearnedFaces, read_faces
from senet_kp.scoring.lineage import learned_faces, trained_records
from senet_kp.tfrecords.errors import ModelError
from senet_kp.tfrecords.files import sha256_of_file


@dataclass(frozen=True)
class Model:
    """A model that is ready to run.

    run:          function of a crop [S, S, 3] uint8 RGB; returns box-relative landmarks [N, 2] and
                  raises ModelError if they are not finite
    conditions:   what is stated with each of its scores: engine, model file, package versions, ...
    card:         how the model was made; None if unknown
    detector_box: the fields of the BoxTransform from dlib's box to its face box; None if unknown
    trained_on:   {SHA-256 of the records it was trained on: their sides}; empty if unknown
    learned:      {SHA-256 of records: the faces that it learned from}, as far as they are known
    """

    path: Path
    run: Callable
    conditions: dict
    card: dict | None
    detector_box: dict | None
    trained_on: dict[str, tuple[str, ...]]
    learned: dict[str, LearnedFaces]

    def predict(self, images) -> np.ndarray:
        """Landmarks [n, N, 2] of crops [n, S, S, 3]."""
        bar = tqdm(images, unit="face", desc=self.path.name, disable=None)
        return np.array([self.run(image) for image in bar])


def short_names(paths: tuple[Path, ...]) -> list[str]:
    """A name for each model: the shortest end of its path by which it differs from the others."""
    paths = [path.absolute() for path in paths]
    choices = (["/".join(path.parts[-length:]) for path in paths] for length in count(1))
    return next(names for names in choices if len(set(names)) == len(set(paths)))


@contextmanager
def open_model(path: Path, records: Path, manifest: dict, backend: Backend = AUTO):
    """The Model at a path, for the faces of a record folder.

    The path is one of: the folder of a training run, whose best checkpoint runs in TensorFlow; a
    frozen graph or a file exported from one (a SavedModel is a folder), which needs its model card;
    or a dlib shape predictor (`.dat`), whose model card may be missing. A file runs in `backend`.
    Raises ModelError if the model is missing or was made for another face box or landmark scheme,
    and InputError if a run was trained on other records.
    """
    if path.is_dir() and kind_of(path) != SAVED_MODEL:
        with _training_run(path, records, manifest) as model:
            yield model
    else:
        yield _model_file(path, manifest, backend)


def _model_file(path: Path, manifest: dict, backend: Backend) -> Model:
    card = find_card(path)  # None for a dlib shape predictor of another project
    if card and (card["box"], scheme_of(card)) != (manifest["box"], scheme_of(manifest)):
        raise ModelError(
            f"{path}: made for another face box or landmark scheme than the records; score it on"
            " records that were prepared with the same settings"
        )
    trained_on = trained_records(card.get("training", {}).get("settings") if card else None)
    engine = engine_of(path, backend)
    run = open_backend(path, engine)
    if not card:
        _require_landmarks(path, run, manifest)
    conditions = {
        "engine": engine,
        "model": str(path),
        "model_sha256": card["sha256"] if card else sha256_of_file(path),
        "trained_on_these_records": manifest["records_sha256"] in trained_on,
        "versions": _versions() | engine_version(engine),
    }
    detector_box = (card or manifest).get("detector_box")
    learned = read_faces(path, card)
    return Model(path, run, conditions, card, detector_box, trained_on, learned)


def _require_landmarks(path: Path, run: Callable, manifest: dict):
    """Raise ModelError if a model without a card predicts another number of landmarks."""
    size_px, count = manifest["box"]["size_px"], manifest["scheme"]["landmarks"]
    if len(run(np.zeros((size_px, size_px, 3), np.uint8))) != count:
        raise ModelError(f"{path}: does not predict the {count} landmarks of the records")


@contextmanager
def _training_run(path: Path, records: Path, manifest: dict):
    from senet_kp.train import checkpoints  # imports TensorFlow, which model files may not need

    settings = checkpoints.read_settings(path)
    checkpoints.require_same_records(path, settings, records, manifest)
    prefix = checkpoints.checkpoint_prefix(path)
    conditions = {
        "engine": "tensorflow, checkpoint",
        "model": prefix,
        "trained_on_these_records": True,
        "versions": _versions() | engine_version("tensorflow"),
    }
    with checkpoints.restored_session(settings, manifest, prefix) as session:

        def run(image):
            return checkpoints.run_images(session, image[None], prefix)[0]

        lineage = trained_records(settings), learned_faces(settings, {})
        yield Model(path, run, conditions, settings, manifest["detector_box"], *lineage)


def _versions() -> dict[str, str]:
    return {"python": python_version(), "numpy": np.__version__} | engine_version("opencv")
