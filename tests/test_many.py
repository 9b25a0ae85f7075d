"""Many pictures in Python: order, window, worker processes, errors, and predictors that travel."""

import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import face_points, make_picture, run_module

from senet_kp.face.pictures import BadPicture, read_picture, write_picture
from senet_kp.inference import many
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.inference.pretrained import PRETRAINED, PRETRAINED_3D
from senet_kp.tfrecords.errors import ModelError, UserError
from senet_kp.tfrecords.workers import in_order

BOX = [20.0, 20.0, 160.0, 160.0]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five pictures, of which the third is damaged."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.jpg" for number in range(5)]
    for number, path in enumerate(paths):
        points = face_points((100, 100), 120, seed=number)
        write_picture(path, make_picture(points, (200, 200), seed=number))
    paths[2].write_bytes(paths[2].read_bytes()[:-200])
    return paths


# --- the window, and the order ---


def test_few_tasks_are_in_flight_and_results_keep_their_order():
    """At most six tasks are taken ahead of the results that were fetched."""
    taken = fetched = most = 0

    def tasks():
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    def slow_at_first(number):
        time.sleep(0.01 if number % 6 == 0 else 0)
        return -number

    with ThreadPoolExecutor(3) as pool:
        for task, result in in_order(pool, slow_at_first, tasks(), window=6):
            assert (task, result) == (fetched, -fetched)
            most = max(most, taken - fetched)
            fetched += 1
    assert fetched == 100 and most == 6


def test_one_process_takes_tasks_as_they_are_needed():
    taken = []
    tasks = (taken.append(number) or number for number in range(1000))
    results = many.results_of_all(str, tasks, 1)
    assert next(results) == (0, "0") and len(taken) == many.FEW + 1


@pytest.mark.parametrize(
    "tasks, processes, expected",
    [(many.FEW, None, 1), (many.FEW + 1, None, 7), (1, 4, 1), (3, 2, 2), (0, 4, 1), (90, 1, 1)],
)
def test_workers_are_started_where_they_are_worth_it(monkeypatch, tasks, processes, expected):
    monkeypatch.setattr(many, "cpu_count", lambda: 7)
    found, every = many._shared(iter(range(tasks)), processes)
    assert found == expected and list(every) == list(range(tasks))


# --- predict_many ---


@pytest.mark.parametrize("processes", [1, 2])
def test_faces_are_those_of_predict_and_a_bad_picture_does_not_end_it(pictures, processes):
    predictor = LandmarkPredictor()
    boxes = [[BOX], [], [BOX], [[900, 0, 50, 50]], [BOX, [30, 25, 150, 150]]]
    found = list(predictor.predict_many(pictures, boxes, processes))
    assert [path for path, _ in found] == pictures
    results = [faces for _, faces in found]
    assert [len(results[index]) for index in (0, 1, 4)] == [1, 0, 2]
    assert isinstance(results[2], BadPicture) and results[2].reason == "truncated"
    assert str(results[2]).startswith(f"{pictures[2]}: a truncated JPEG")
    assert type(results[3]) is ValueError and "outside the picture" in str(results[3])
    for index in (0, 4):
        alone = predictor.predict(pictures[index], boxes[index])
        for one, other in zip(results[index], alone, strict=True):
            np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_arrays_are_pictures_too_and_none_means_the_detector(pictures, monkeypatch):
    predictor, array = LandmarkPredictor(), read_picture(pictures[0])
    monkeypatch.setattr(predictor.detector, "detect", lambda picture: [])
    found = list(predictor.predict_many([array, array], [[BOX], None]))
    assert found[0][0] is array and [len(faces) for _, faces in found] == [1, 0]
    assert [faces for _, faces in predictor.predict_many(iter([array]))] == [[]]


def test_wrong_arguments_are_refused(pictures):
    predictor = LandmarkPredictor()
    with pytest.raises(UserError, match="at least 1"):
        predictor.predict_many(pictures, processes=0)
    with pytest.raises(TypeError, match="rglob"):
        predictor.predict_many(str(pictures[0]))
    with pytest.raises(ValueError, match="shorter"):
        list(predictor.predict_many(pictures, [[BOX]]))
    with pytest.raises(TypeError, match="cv2.imread"):
        list(predictor.predict_many([None]))


def test_a_worker_opens_the_model_once_and_computes_on_one_thread():
    """Three tasks with a predictor of their own each, as pickle sees them."""
    code = (
        "from functools import partial\n"
        "from senet_kp import LandmarkPredictor\n"
        "from senet_kp.tfrecords.workers import worker_pool, in_order, engine_threads\n"
        "import cv2, operator\n"
        "with worker_pool(1) as pool:\n"
        "    predictors = [LandmarkPredictor() for _ in range(3)]\n"
        "    ids = {result for _, result in in_order(pool, id, predictors, 3)}\n"
        "    threads = [pool.submit(f).result() for f in (engine_threads, cv2.getNumThreads)]\n"
        "print(len(ids), threads, engine_threads())"
    )
    result = run_module("-c", code)
    assert result.stdout.strip() == "1 [1, 1] 0", result.stderr


def test_a_pickled_predictor_keeps_its_settings_and_its_model(tmp_path):
    model = tmp_path / "net.pb"
    for suffix in (".pb", ".json"):
        shutil.copy(PRETRAINED.with_suffix(suffix), model.with_suffix(suffix))
    predictor = LandmarkPredictor(model, "opencv", 1, "dlib", 50)
    predictor.passes = 3
    pickled = pickle.dumps(predictor)
    again = pickle.loads(pickled)
    assert again.passes == 3 and again.card == predictor.card
    assert str(again.detector) == str(predictor.detector) == "dlib, faces from 50 px on"
    assert len(pickled) < 1000
    predictor.passes = 2
    replaced = pickle.dumps(predictor)
    for suffix in (".pb", ".json"):
        shutil.copy(PRETRAINED_3D.with_suffix(suffix), model.with_suffix(suffix))
    with pytest.raises(ModelError, match="replaced during the run"):
        pickle.loads(replaced)


def test_errors_of_pictures_can_be_pickled():
    error = pickle.loads(pickle.dumps(BadPicture("a.jpg", "empty", "the file is empty")))
    assert (str(error), error.reason) == ("a.jpg: the file is empty", "empty")
