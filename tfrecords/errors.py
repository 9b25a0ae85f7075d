"""The exceptions and exit codes that all commands share.

Exit codes: 0 done, 2 unusable arguments, 3 an input could not be read, 4 a model could not be
used, 5 a check failed or too many pictures were rejected, 6 a result could not be written,
130 interrupted by Ctrl-C or SIGTERM.
"""

import errno
import sys


class UserError(Exception):
    """An error that the user can correct. Its one-line message says what, where and what to do."""

    exit_code = 2


class InputError(UserError):
    """A picture, label, folder or shard cannot be read."""

    exit_code = 3


class ModelError(UserError):
    """A checkpoint, frozen graph or model card cannot be used."""

    exit_code = 4


class CheckError(UserError):
    """A check of the results failed: export parity, a non-finite loss, too many rejects."""

    exit_code = 5


class OutputError(UserError):
    """A result cannot be written."""

    exit_code = 6


INTERRUPTED = 130

_UNWRITABLE = {
    errno.ENOSPC: "the disk is full: free some space or choose another output folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another output folder",
    errno.EFBIG: "the file is larger than the disk or the limit of the shell (ulimit -f) allows",
    errno.EACCES: "no permission to write there: choose another output folder",
    errno.EPERM: "no permission to write there: choose another output folder",
    errno.ENOTDIR: "a file exists where a folder is needed: choose another output folder",
    errno.EEXIST: "a file exists where a folder is needed: choose another output folder",
    errno.EROFS: "the file system is read-only: choose another output folder",
}


def brief(text, length: int = 200) -> str:
    """Return a text, or the message of an error, on one line of at most `length` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= length else line[: length - 3] + "..."


def exit_code_of(command) -> int:
    """Run `command()`; report errors that users can correct as one line on stderr.

    Returns the exit code. Other exceptions pass through with their traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files may not be UTF-8
    try:
        return command() or 0
    except UserError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _complain(where + _UNWRITABLE[error.errno], OutputError.exit_code)


def _complain(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
