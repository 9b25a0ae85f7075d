"""The exceptions and exit codes that all commands share.

Exit codes: 0 done, 2 unusable arguments, 3 an input could not be read, 4 a model could not be
used, 5 a check failed or too many pictures were rejected, 6 a result could not be written or the
system is out of memory or files, 130 interrupted by Ctrl-C or SIGTERM, 141 the program that read
standard output has ended.
"""

import contextlib
import errno
import os
import signal
import sys
import threading


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
    """A result cannot be written, or the system lacks what the work needs."""

    exit_code = 6


INTERRUPTED = 130
PIPE_CLOSED = 141  # what shells report for a program that SIGPIPE ended

# Errors of writing; with them, what was read does not matter.
_UNWRITABLE = {
    errno.ENOSPC: "the disk is full: free some space or choose another output folder",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another output folder",
    errno.EFBIG: "the file is larger than the disk or the limit of the shell (ulimit -f) allows",
    errno.ENOTDIR: "a file exists where a folder is needed: choose another output folder",
    errno.EEXIST: "a file exists where a folder is needed: choose another output folder",
    errno.ENOTEMPTY: "another command has written there meanwhile: run the same command again",
    errno.EROFS: "the file system is read-only: choose another output folder",
    errno.ETXTBSY: "a program that is running: choose another output folder",
}
# What the system as a whole lacks, whichever file it was that met it.
_EXHAUSTED = {
    errno.EMFILE: "too many open files: raise the limit of the shell (ulimit -n)",
    errno.ENFILE: "too many open files in the whole system: close other programs",
    errno.ENOMEM: "the memory is used up: close other programs, or choose smaller settings",
    errno.EAGAIN: "the system starts no more for now: close other programs, or raise ulimit -u",
}
_NO_WRITING = "no permission to write there: choose another output folder"
# Errors of reading and of writing.
_EITHER = {
    errno.EACCES: _NO_WRITING,
    errno.EPERM: _NO_WRITING,
    errno.EIO: "the disk reports an error: check it, and the connection to a network disk",
    errno.ENAMETOOLONG: "the name is too long for this disk: choose a shorter one",
    errno.ELOOP: "symbolic links that lead in a circle: correct them",
    errno.EISDIR: "a folder exists where a file is needed: choose another name",
    errno.ENOENT: "no such file or folder",
}
_HINTS = _UNWRITABLE | _EXHAUSTED | _EITHER
_NO_MEMORY = _EXHAUSTED[errno.ENOMEM]


def exit_code_of(command) -> int:
    """Run `command()`; report errors that users can correct as one line on stderr.

    These are UserError and the errors of the system (`system_error`). Returns the exit code. Other
    exceptions pass through with their traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files may not be UTF-8
    try:
        with _sigterm_as_interrupt():
            code = command() or 0
        _flush()
        return code
    except UserError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return PIPE_CLOSED  # as of `senet-kp demo ... --json - | head`, which is no error
    except Exception as error:
        if (found := system_error(error)) is None:
            raise
        return _complain(found)
    finally:
        _drop_unwritable_output()


@contextlib.contextmanager
def _sigterm_as_interrupt():
    """Within the block, SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def system_error(error: Exception) -> UserError | None:
    """An error of the system as one line that says what to do; None for any other exception.

    It is an OutputError if a result could not be written or memory or files are used up, and an
    InputError if something could not be read. TensorFlow's and OpenCV's errors count as well.
    """
    if isinstance(error, OSError):
        return _of_file(error.errno, error.filename, error)
    unloaded = isinstance(error, ImportError) and "failed to map segment" in str(error)
    if isinstance(error, MemoryError) or unloaded:  # no room for a library such as TensorFlow's
        return OutputError(_NO_MEMORY)
    kind = type(error)
    if kind.__name__ == "BrokenProcessPool":
        return OutputError(f"a worker process was killed; probably {_NO_MEMORY} (--processes)")
    if kind.__module__ == "cv2" and getattr(error, "code", None) == -4:  # cv2.Error.StsNoMem
        return OutputError(f"OpenCV: {_NO_MEMORY}")
    if kind.__module__.startswith("tensorflow.") and hasattr(error, "error_code"):
        return _of_tensorflow(error)
    return None


def explained(error: OSError) -> str:
    """What an error of the system means and what to do, without the name of the file."""
    return _HINTS.get(error.errno) or error.strerror or str(error)


def is_exhausted(error: OSError) -> bool:
    """Whether the system is out of files, memory or processes, so that the file is not to blame."""
    return error.errno in _EXHAUSTED


def _of_file(number: int | None, name, error) -> UserError:
    where = f"{os.fsdecode(name)}: " if isinstance(name, (str, bytes, os.PathLike)) else ""
    if number in (errno.EACCES, errno.EPERM):
        readable = not where or not os.path.exists(name) or os.access(name, os.R_OK)
        if not readable:
            return InputError(f"{where}no permission to read it")
        return OutputError(f"{where}{_NO_WRITING}")
    kind = OutputError if number in _UNWRITABLE | _EXHAUSTED else InputError
    return kind(where + (_HINTS.get(number) or getattr(error, "strerror", None) or str(error)))


def _of_tensorflow(error) -> UserError | None:
    """TensorFlow ends the message of an error of the system with "file; text of the system"."""
    message = str(error.message)
    numbers = {os.strerror(number): number for number in errno.errorcode}
    for line in message.splitlines():
        place, _, reason = line.rpartition("; ")
        if reason in numbers:
            return _of_file(numbers[reason], place.rpartition(" ")[2] or None, error)
    if type(error).__name__ == "ResourceExhaustedError":
        return OutputError(f"TensorFlow: {_NO_MEMORY}, such as --batch-size")
    if type(error).__name__ == "PermissionDeniedError":
        return OutputError(f"TensorFlow: no permission ({message.splitlines()[0]})")
    return None


def _flush():
    """Write what is left for standard output, behind which a disk may be full."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {explained(error)}") from None


def _drop_unwritable_output():
    """Discard what standard output does not take, of which Python would complain at its exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)


def _complain(error, code: int = 0) -> int:
    with contextlib.suppress(OSError):  # nobody may be there to read it
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
    return code or error.exit_code
