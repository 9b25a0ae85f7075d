"""The pictures of a run: on all cores, and with results that the same command can continue."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from senet_kp.demo.names import CropNames
from senet_kp.demo.one_picture import Done, PictureWork, Task
from senet_kp.demo.results import open_in_viewer, show
from senet_kp.demo.sources import Source, boxes_of
from senet_kp.demo.telling import Tally, Teller
from senet_kp.inference.many import FEW, results_of_all


def process_pictures(sources: list[Source], work: PictureWork, args, boxes, results, tally: Tally):
    """Predict, draw and write the pictures that are not done yet, in their order.

    results: Lines or Resumable. Pictures that cannot be read are counted as failures and told.
    """
    for entry in results.done:
        tally.add(entry["faces"], entry["error"])
    if results.done:
        print(f"{tally.done:,} of {len(sources):,} pictures are done already", file=sys.stderr)
    earlier = Counter(entry["source"] for entry in results.done)
    tasks = list(_tasks(sources, args, boxes, earlier))
    in_window = args.show or args.view
    many = len(sources) > FEW and not in_window
    with Teller(len(sources), len(results.done), many) as teller:
        for task, done in results_of_all(work, tasks, 1 if in_window else args.processes):
            results.write_line(done.described)
            tally.add(len(done.described["faces"]), "error" in done.described)
            teller.tell(task, done)
            _show(task, done, args)
    if many or results.done:
        print(tally.summary(), file=sys.stderr)


def _tasks(sources: list[Source], args, boxes, earlier: Counter) -> Iterator[Task]:
    """The tasks of all sources but the earlier ones, whose results keep their names."""
    crop_names = CropNames(args.crops) if args.crops else None
    for path, below in sources:
        stem, suffix = Path(path).stem, ".png" if Path(path).suffix.lower() == ".png" else ".jpg"
        drawing = args.names.target(stem, suffix, below) if args.draw else None
        crops = crop_names.start(stem, below) if crop_names else None
        if earlier[path]:
            earlier[path] -= 1
        else:
            yield Task(path, None if boxes is None else boxes_of(path, boxes), drawing, crops)


def _show(task: Task, done: Done, args):
    """Show the drawn picture in a window, or the first one in the system's viewer."""
    if "error" in done.described:
        return
    if args.show:
        show(done.drawn, wait_ms=0)
    elif args.view:
        open_in_viewer(task.drawing)
        args.view = False  # a folder of pictures does not open as many windows
