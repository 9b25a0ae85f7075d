"""Resumable download of one large file over HTTP with pooch.

pooch checks and moves the file, but restarts an interrupted transfer from its first byte. The
downloader here therefore keeps the received bytes in `<file>.part` and requests only the missing
ones (HTTP range requests, RFC 9110, section 14).
"""

import os
import re
from itertools import chain
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from senet_kp.tfrecords.errors import CheckError, InputError
from senet_kp.tfrecords.files import naming

TIMEOUT_S = 30  # without receiving a byte
TRIES = 5  # attempts to resume an interrupted transfer
_BLOCK = 1 << 16  # bytes written at a time; at most these are lost by an interruption
_PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)


class TransferError(InputError):
    """A file could not be fetched. The message gives the reason; the caller adds what to do."""


def fetch(url: str, target: Path, size: int | None, sha256: str | None):
    """Fetch a file to `target`, which appears only when it is complete and checked.

    Raises TransferError if the transfer fails, and CheckError if the file has another size or hash
    than given. A size or hash of None is not checked.
    """
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, sha256, target.name, target.parent, None, Resuming(target, size))
    except requests.RequestException as error:
        raise TransferError(f"{url}: {_reason(error)}") from None
    except ValueError as error:  # from pooch: the hash differs, and pooch has removed the file
        raise CheckError(f"{url}: {error}".replace("\n", " ")) from None


class Resuming:
    """A pooch downloader that resumes at the end of `<target>.part`."""

    def __init__(self, target: Path, size: int | None):
        self.part, self.size = part_of(target), size

    def __call__(self, url: str, output_file, _pooch):
        for left in reversed(range(TRIES)):
            try:
                self._resume(url)
                break
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                if not left or not self._have():  # no byte at all: the server does not answer
                    raise
        if self.size is not None and self._have() != self.size:
            found = self._have()
            self.part.unlink()
            raise CheckError(f"{url}: has {found:,} bytes, not {self.size:,}; it is another file")
        os.replace(self.part, output_file)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _resume(self, url: str):
        have = self._have()
        if have and have == self.size:
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, stream=True, timeout=TIMEOUT_S, headers=headers) as response:
            if response.status_code != 416:
                response.raise_for_status()
                self._append(response, have if response.status_code == 206 else 0)
            elif _total(response) != have:  # the part is longer than the file of this URL
                self.part.unlink()
                raise TransferError(
                    f"{url}: is another file than the one that {self.part} began with; the part has"
                    " been removed"
                )

    def _append(self, response, start: int):
        """Write the bytes of a response after the first `start` bytes of the part."""
        blocks = response.iter_content(_BLOCK)
        first = next(blocks, b"")
        if start == 0:
            _refuse_page(response, first)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            naming(self.part),
            open(self.part, "ab" if start else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for block in chain([first], blocks):
                file.write(block)
                bar.update(len(block))


def part_of(target: Path) -> Path:
    """Return the path of the bytes received so far of an incomplete file."""
    return target.with_name(f"{target.name}.part")


def _refuse_page(response, first: bytes):
    """Raise TransferError if the response is a web page instead of a file."""
    kind = response.headers.get("Content-Type", "")
    if not (kind.startswith("text/html") or _PAGE.match(first)):
        return
    drive = b"google" in first.lower() and (b"confirm" in first or b"Quota" in first)
    page = "Google Drive's page that asks for a confirmation or reports an exceeded quota"
    what = page if drive else "a web page"
    raise TransferError(f"{response.url}: the server sent {what} instead of an archive")


def _total(response) -> int | None:
    """Return the size of the file from the header of a 416 response: "bytes */1234"."""
    found = re.match(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT_S} s"
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return "no connection, or it was interrupted"
    return str(error).splitlines()[0]
