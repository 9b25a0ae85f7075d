"""Installation of YuNet's file into the user's cache, by download or from a file."""

from pathlib import Path

from senet_kp.data_prep.fetch.transfer import TransferError, fetch
from senet_kp.inference.cache import cache_folder
from senet_kp.inference.yunet import FILE, FILE_BYTES, FILE_SHA256, is_known_file
from senet_kp.tfrecords.errors import CheckError, InputError
from senet_kp.tfrecords.files import naming, write_bytes

# OpenCV's model zoo keeps its files in Git LFS, which this address serves.
URL = f"https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/{FILE}"


def install_yunet(url: str = "", file: Path | None = None) -> Path:
    """Put YuNet's file into the cache unless it is there; return its path.

    url: another address of the file; file: copy this file instead of downloading one. Either has to
    have the known size and SHA-256. Raises InputError, CheckError and OutputError.
    """
    path = cache_folder() / FILE
    if path.is_file() and is_known_file(path):
        print(f"nothing to do: {path} is already there")
        return path
    if file is None:
        _download(url or URL, path)
    else:
        _copy(file, path)
    print(f"{path}: faces are now found with YuNet (--detector auto)")
    return path


def _copy(file: Path, path: Path):
    if not file.is_file():
        raise InputError(f"{file}: no such file; get {FILE} from OpenCV's model zoo")
    if not is_known_file(file):
        raise CheckError(
            f"{file}: is not {FILE} of OpenCV's model zoo, of {FILE_BYTES:,} bytes and SHA-256"
            f" {FILE_SHA256}; use another file as it is with --detector {file}"
        )
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, file.read_bytes())


def _download(url: str, path: Path):
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # one of another size or hash
    try:
        fetch(url, path, FILE_BYTES, FILE_SHA256)
    except TransferError as error:
        raise TransferError(
            f"{error}; run the same command again, or get {FILE} by hand from the folder"
            " face_detection_yunet of OpenCV's model zoo and give it with --file"
        ) from None
