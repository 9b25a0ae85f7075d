"""Fetching one large file over HTTP with pooch, so that a transfer that was cut goes on.

pooch names, hashes and moves the file; it starts a cut transfer again from its first byte, so the
bytes come by a downloader of our own, which keeps what it has in `<file>.part` and asks for the
rest (HTTP's Range, RFC 9110, section 14).
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

TIMEOUT_S = 30  # without a byte
TRIES = 5  # of going on with a transfer that was cut
_BLOCK = 1 << 16  # what is lost of a transfer at most when it is cut
_PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)


class TransferError(InputError):
    """What could not be fetched; the message says why, and not yet what to do."""


def fetch(url: str, target: Path, size: int | None, sha256: str | None):
    """Fetch a file to `target`, which appears when it is whole and checked.

    Raises TransferError where the server does not give it, CheckError where what it gives is of
    another size or hash; sizes and hashes that are None are not checked.
    """
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, sha256, target.name, target.parent, None, Resuming(target, size))
    except requests.RequestException as error:
        raise TransferError(f"{url}: {_reason(error)}") from None
    except ValueError as error:  # pooch's for a hash; what it checked is gone again
        raise CheckError(f"{url}: {error}".replace("\n", " ")) from None


class Resuming:
    """A pooch downloader that goes on where `<target>.part` ends."""

    def __init__(self, target: Path, size: int | None):
        self.part, self.size = part_of(target), size

    def __call__(self, url: str, output_file, _pooch):
        for left in reversed(range(TRIES)):
            try:
                self._go_on(url)
                break
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                if not left or not self._have():  # nothing came: the server is not there
                    raise
        if self.size is not None and self._have() != self.size:
            found = self._have()
            self.part.unlink()
            raise CheckError(f"{url}: has {found:,} bytes, not {self.size:,}: another file")
        os.replace(self.part, output_file)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _go_on(self, url: str):
        have = self._have()
        if have and have == self.size:
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, stream=True, timeout=TIMEOUT_S, headers=headers) as response:
            if response.status_code != 416:
                response.raise_for_status()
                self._append(response, have if response.status_code == 206 else 0)
            elif _total(response) != have:  # the part is longer than the file, so it is not of it
                self.part.unlink()
                raise TransferError(f"{url}: is another file than {self.part} began with, now gone")

    def _append(self, response, start: int):
        """Write the answer's bytes behind the first `start` of the part."""
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
    """Where the bytes of a file are kept that has not come whole."""
    return target.with_name(f"{target.name}.part")


def _refuse_page(response, first: bytes):
    """Raise TransferError for a page to be read by people where a file was expected."""
    kind = response.headers.get("Content-Type", "")
    if not (kind.startswith("text/html") or _PAGE.match(first)):
        return
    drive = b"google" in first.lower() and (b"confirm" in first or b"Quota" in first)
    page = "Google Drive's page that asks for a confirmation or tells of its quota"
    what = page if drive else "a web page"
    raise TransferError(f"{response.url}: answers with {what}, not with an archive")


def _total(response) -> int | None:
    """The file's size in a 416 answer: "bytes */1234"."""
    found = re.match(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT_S} s"
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return "no connection, or it was cut"
    return str(error).splitlines()[0]
