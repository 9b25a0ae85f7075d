"""Results that grow line by line and survive a kill: the same command goes on where they end.

While a run writes points.jsonl, its lines are in points.jsonl.part. The file points.jsonl.resume
says whose they are: its first line holds the settings of the run, and each further one a source
that is done, with the sizes that the results had then. What was written after the last such line is
dropped, so that nothing is in the results twice. A run that ends renames its results and removes
this file.
"""

import contextlib
import json
import os
from pathlib import Path

from senet_kp.demo.lines import LineFormat, encoded, write_whole
from senet_kp.tfrecords.errors import UserError
from senet_kp.tfrecords.files import make_folder, naming, parse_json, writable
from senet_kp.tfrecords.forms import ANY, COUNT, FLAG, TEXT, fault_in, fields, listed, mapped
from senet_kp.tfrecords.locks import take_lock

PART, JOURNAL = ".part", ".resume"
_HEADER = fields({"settings": mapped(ANY), "results": listed(TEXT)})
_DONE = {"source": TEXT, "faces": COUNT, "error": FLAG}


class Resumable:
    """The unfinished results of a run; see `resumable`.

    done: a dictionary with "source", the number of "faces" and whether there was an "error", for
    each picture that an earlier run has done. begun: whether a picture is done by now
    """

    def __init__(self, journal, files: list, formats: dict[str, LineFormat], done: list[dict]):
        self._journal, self._files, self._formats = journal, files, formats
        self.done, self.begun = done, bool(done)

    def write_line(self, described: dict):
        """Write the description of a picture to all results; then it is done."""
        self.begun = True
        for file, (target, form) in zip(self._files, self._formats.items(), strict=True):
            write_whole(file, encoded(form, described), target)
        entry = {
            "source": described["source"],
            "faces": len(described["faces"]),
            "error": "error" in described,
            "sizes": [file.tell() for file in self._files],
        }
        _note(self._journal, entry)


@contextlib.contextmanager
def resumable(formats: dict[str, LineFormat], settings: dict):
    """Yield the Resumable results of a run, which go on where a killed run has ended.

    formats: {file: its format}. settings: {name: value for JSON}, on which the results depend. The
    files appear when the block ends without an error; otherwise the unfinished ones stay. Raises
    UserError if there are unfinished results of other settings or of a run that goes on.
    """
    targets = [writable(Path(target)) for target in formats]
    parts = [target.with_name(target.name + PART) for target in targets]
    path = journal_of(targets[0])
    for target in targets:
        make_folder(target.parent)
    with contextlib.ExitStack() as stack:
        stack.enter_context(naming(targets[0], *targets))  # whose names the others begin with
        journal = stack.enter_context(open(path, "a+b", buffering=0))
        if not take_lock(journal):
            raise UserError(f"{path}: another process is writing these results; wait for its end")
        header = {"settings": settings, "results": [str(target) for target in targets]}
        done = _earlier(journal, path, parts, header)
        files = [stack.enter_context(open(part, "ab", buffering=0)) for part in parts]
        _cut(files, formats, done)
        results = Resumable(journal, files, formats, done)
        try:
            yield results
        except BaseException:
            if not results.begun:  # there is nothing to go on from
                for file in (*files, journal):
                    file.close()
                for left in (*parts, path):
                    left.unlink()
            raise
        for file in files:
            os.fsync(file.fileno())
            file.close()
        for part, target in zip(parts, targets, strict=True):
            os.replace(part, target)
        journal.close()
        path.unlink()


def journal_of(target) -> Path:
    """The file that says how far results are; it is there as long as they are unfinished."""
    return Path(target).with_name(Path(target).name + JOURNAL)


def _earlier(journal, path: Path, parts: list[Path], header: dict) -> list[dict]:
    """What an earlier run with the same header has done, [] if there is none.

    From then on the journal holds that and nothing else. Raises UserError if the unfinished results
    of another run would be overwritten.
    """
    entries, there = _entries(journal, len(parts)), [part for part in parts if part.exists()]
    if not entries and (there or not _is_begun(journal, header)):
        if not os.path.getsize(path):
            path.unlink()  # it was made by opening it
        raise UserError(
            f"{(there or [path])[0]}: not the unfinished results of a run; rename or remove this"
            " file to begin anew"
        )
    if there and (differing := _differences(entries[0][0], header)):
        raise UserError(
            f"{there[0]}: unfinished results of a run with other settings ({differing}); give that"
            f" command again to finish it, or remove {' and '.join(map(str, there))} to begin anew"
        )
    if len(there) < len(parts):
        journal.truncate(0)
        _note(journal, header)
        return []
    sizes = [part.stat().st_size for part in parts]
    while len(entries) > 1 and _longer(entries[-1][0]["sizes"], sizes):  # after a power cut
        entries.pop()
    journal.truncate(entries[-1][1])
    return [entry for entry, _ in entries[1:]]


def _entries(journal, files: int) -> list[tuple[dict, int]]:
    """The header and what is done, up to the first damage, each with where it ends in the file."""
    journal.seek(0)
    found, end, done = [], 0, fields({**_DONE, "sizes": listed(COUNT, files)})
    for line in journal.read().splitlines(keepends=True):
        end += len(line)
        try:
            entry = parse_json(line) if line.endswith(b"\n") else None
        except ValueError:
            break
        if fault_in(entry, done if found else _HEADER):
            break
        found.append((entry, end))
    return found


def _is_begun(journal, header: dict) -> bool:
    """Whether a journal is new, or ends in the header, as on a disk that was full then."""
    journal.seek(0)
    return _line(header).startswith(journal.read())


def _longer(noted: list[int], sizes: list[int]) -> bool:
    return any(one > size for one, size in zip(noted, sizes, strict=True))


def _differences(earlier: dict, header: dict) -> str:
    """The names of what differs between two runs, or ""."""
    before, now = earlier["settings"], json.loads(json.dumps(header["settings"]))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    same_files = earlier["results"] == header["results"]
    return ", ".join([*names, *(() if same_files else ("files of results",))])


def _cut(files: list, formats: dict[str, LineFormat], done: list[dict]):
    """Drop what is in the results after the last picture that is done."""
    sizes = done[-1]["sizes"] if done else [0] * len(files)
    for file, size, (target, form) in zip(files, sizes, formats.items(), strict=True):
        file.truncate(size)
        if not done:
            write_whole(file, form.start.encode(), target)


def _note(journal, entry: dict):
    write_whole(journal, _line(entry), journal.name)


def _line(entry: dict) -> bytes:
    return json.dumps(entry).encode() + b"\n"
