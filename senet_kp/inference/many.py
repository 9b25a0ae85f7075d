"""Work on many pictures with all cores: results in order, few of them in memory."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice, repeat
from os import PathLike, cpu_count

from senet_kp.face.pictures import BadPicture
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.workers import in_order, worker_pool

# A picture takes 0.05 s, and it takes a second until worker processes have started and opened the
# model: with fewer pictures than these, one process has done them before.
FEW = 20
AHEAD = 4  # pictures for each process that are taken before their results have been fetched


def predictions(predictor, pictures: Iterable, boxes: Iterable | None, processes: int | None):
    """Return the iterator of `LandmarkPredictor.predict_many`, which describes it."""
    if isinstance(pictures, (str, PathLike)):
        raise TypeError(
            f"pictures has to be a list of pictures, not {type(pictures).__name__}; those of a"
            " folder are sorted(Path(folder).rglob('*.jpg'))"
        )
    tasks = zip(pictures, repeat(None)) if boxes is None else zip(pictures, boxes, strict=True)
    found = results_of_all(partial(_faces_or_error, predictor), tasks, processes)
    return ((picture, faces) for (picture, _), faces in found)


def _faces_or_error(predictor, task: tuple):
    """The faces in a (picture, boxes), or the error of a picture that cannot be used."""
    try:
        return predictor.predict(*task)
    except (BadPicture, ValueError) as error:
        return error


def results_of_all(
    work: Callable, tasks: Iterable, processes: int | None = None
) -> Iterator[tuple]:
    """Return an iterator over (task, work(task)), in the order of the tasks.

    work: can be pickled, and so can tasks and results. processes: how many workers share the work;
    if None, all cores do, unless there are at most FEW tasks. One process is this one. Tasks are
    taken from their iterable when they are needed, at most AHEAD for each process in advance.
    Raises UserError if processes is below 1.
    """
    if processes is not None and processes < 1:
        raise UserError(f"processes is {processes}, but has to be at least 1 (--processes)")
    return _results(work, iter(tasks), processes)


def _results(work: Callable, tasks: Iterator, processes: int | None) -> Iterator[tuple]:
    processes, tasks = _shared(tasks, processes)
    if processes == 1:
        yield from ((task, work(task)) for task in tasks)
        return
    with worker_pool(processes) as pool:
        yield from in_order(pool, work, tasks, AHEAD * processes)


def _shared(tasks: Iterator, processes: int | None) -> tuple[int, Iterator]:
    """How many processes the tasks are worth, for which some are counted; and all tasks."""
    first = list(islice(tasks, max(FEW + 1, processes or 1)))
    if processes is None:
        processes = (cpu_count() or 1) if len(first) > FEW else 1
    return max(1, min(processes, len(first))), chain(first, tasks)
