"""What the demo says about its pictures on stderr: a line for each of a few, a bar for many."""

import sys
from dataclasses import dataclass

from senet_kp.demo.one_picture import Done, Task

MOST_NOTES = 20  # lines on pictures without a face or with unusable boxes, if there are many


@dataclass
class Tally:
    """How many sources are done, and what was found in the pictures among them.

    failures: sources that could not be read; unread are the pictures among these
    """

    done: int = 0
    failures: int = 0
    pictures: int = 0
    faces: int = 0
    faceless: int = 0
    unread: int = 0

    def add(self, faces: int, error: bool):
        """Count a picture."""
        self.done += 1
        self.failures += error
        self.pictures += 1
        self.faces += faces
        self.faceless += not faces and not error
        self.unread += error

    def summary(self) -> str:
        """One line on all pictures."""
        parts = [f"{_counted(self.pictures, 'picture')} with {_counted(self.faces, 'face')}"]
        if self.faceless:
            parts.append(f"{self.faceless:,} without a face")
        if self.unread:
            parts.append(f"{self.unread:,} could not be read")
        return ", ".join(parts)


class Teller:
    """Tells what becomes of pictures.

    Each of a few pictures has a line. Of many, a bar shows the progress, its rate and the time that
    is left, if stderr is a terminal; those that cannot be read have a line, and so have the first
    MOST_NOTES without a face.

    total: the number of pictures, of which `done` are done already. many: whether these are many.
    """

    def __init__(self, total: int, done: int, many: bool):
        self._bar = _bar(total, done) if many else None
        self._notes_left = MOST_NOTES

    def __enter__(self) -> "Teller":
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def tell(self, task: Task, done: Done):
        """Tell what became of a picture."""
        if error := done.described.get("error"):
            self._say(f"error: {task.source}: {error}")
        else:
            for note in done.notes:
                self._note(note)
            if not done.described["faces"]:
                self._note(f"{task.source}: {_why_none(task)}")
            if self._bar is None:
                self._say(_line(task, done))
        if self._bar is not None:
            self._bar.update()

    def _note(self, line: str):
        """Say something that may be said of very many pictures."""
        if self._bar is None or self._notes_left > 0:
            self._say(line)
        elif self._notes_left == 0:
            self._say("such pictures are only counted from here on; --json or --csv lists them all")
        self._notes_left -= 1

    def _say(self, line: str):
        if self._bar is None:
            print(line, file=sys.stderr)
        else:
            self._bar.write(line, file=sys.stderr)


def _bar(total: int, done: int):
    from tqdm import tqdm  # it takes 40 ms, for which a single picture need not wait

    return tqdm(total=total, initial=done, unit="picture", disable=None)


def _why_none(task: Task) -> str:
    return "no face found" if task.boxes is None else "the boxes file has no usable box for it"


def _line(task: Task, done: Done) -> str:
    """How many faces a picture has, and where it was drawn."""
    found = f"{task.source}: {_counted(len(done.described['faces']), 'face')}"
    return f"{found}, {task.drawing}" if task.drawing else found


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
