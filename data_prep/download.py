"""python -m data_prep.download 300w-lp

Fetches a data set into data/<name>: a transfer that was cut goes on with the same command, size
and SHA-256 are checked where they are known, and the folder appears when it is whole. Where a link
has died, put the archive into data/ yourself and give the same command.
Exit codes: 0 done, or there already; 2 unusable arguments, 3 not to be had, or no archive that can
be unpacked; 5 another size or hash than it should have, 6 no place to write.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from senet_kp.data_prep.fetch.transfer import TransferError, fetch
from senet_kp.data_prep.fetch.unpack import unpack
from senet_kp.data_prep.formats import FORMATS
from senet_kp.tfrecords.errors import CheckError, UserError, exit_code_of
from senet_kp.tfrecords.files import atomic_folder, sha256_of_file, write_json

MARK = "download.json"  # what was unpacked; its folder is whole


@dataclass(frozen=True)
class Source:
    """A data set to be had as one zip archive.

    folder: where in the archive the data begin; page: where people find it; size in bytes, and
    sha256: None where nobody has stated them.
    """

    url: str
    archive: str
    folder: str
    page: str
    size: int | None = None
    sha256: str | None = None


_3DDFA = "the 3DDFA page of its authors (Xiangyu Zhu, CBSR, Chinese Academy of Sciences)"
# Sizes and hashes are those of tensorflow-datasets' the300w_lp and aflw2k3d.
SOURCES = {
    "300w-lp": Source(
        # Google Drive asks for a confirmation of large files, and for the key of old links.
        "https://drive.usercontent.google.com/download?id=0B7OEHD3T4eCkVGs0TkhUWFN6N1k"
        "&export=download&confirm=t&resourcekey=0-WT5tO4TOCbNZY6r6z6WmOA",
        "300W-LP.zip",
        "300W_LP",
        _3DDFA,
        2_828_125_606,
        "250c366c417ad48f72522b629ff83dbb2b2a57945803ad4a530a696bb6b13ee7",
    ),
    "aflw2000-3d": Source(
        "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/Database/AFLW2000-3D.zip",
        "AFLW2000-3D.zip",
        "AFLW2000",
        _3DDFA,
        87_413_900,
        "252bc35274d65ff27b6e573aa96c2f4c116ad88452cc984fb882258c0ed6e2d8",
    ),
    "p1": Source(
        "https://s3.amazonaws.com/video.udacity-data.com/topher/2018/May/"
        "5aea1b91_train-test-data/train-test-data.zip",
        "train-test-data.zip",
        ".",
        "Udacity's repository P1_Facial_Keypoints on GitHub",
    ),
}


@dataclass(frozen=True)
class DownloadConfig:
    name: tyro.conf.Positional[str]
    """300w-lp, aflw2000-3d or p1"""
    out: Path = Path("data")
    """folder for the archive and for the data set's own folder"""
    url: str = ""
    """another place where the archive is; size and hash are checked all the same"""


def download(config: DownloadConfig) -> Path:
    """Fetch and unpack a data set, or find it there; return its folder."""
    if config.name not in SOURCES:
        raise UserError(f"no data set {config.name!r}, only {', '.join(SOURCES)}")
    source, folder = SOURCES[config.name], config.out / config.name
    data = folder / source.folder
    if (folder / MARK).is_file():
        print(f"{data}: is there already, nothing to do")
        return data
    archive = config.out / source.archive
    if not archive.exists():
        _fetch(config, source, archive)
    digest = _checked(archive, source)
    with atomic_folder(folder, ours=MARK) as temporary:
        files = unpack(archive, temporary)
        size = archive.stat().st_size
        write_json(temporary / MARK, {"archive": source.archive, "bytes": size, "sha256": digest})
    hint = f" FORMAT={config.name}" if config.name in FORMATS else ""
    print(f"{data}: {files:,} files; prepare them with DATA={data}{hint}; {archive} may go")
    return data


def _fetch(config: DownloadConfig, source: Source, archive: Path):
    url = config.url or source.url
    config.out.mkdir(parents=True, exist_ok=True)
    try:
        fetch(url, archive, source.size, source.sha256)
    except TransferError as error:
        raise TransferError(
            f"{error}; give the same command again, or name another link with --url, or get"
            f" {source.archive} by hand from {source.page}, put it into {config.out} and give the"
            " same command"
        ) from None


def _checked(archive: Path, source: Source) -> str:
    """The archive's SHA-256; raises CheckError where it is not the one that it should be."""
    size, digest = archive.stat().st_size, sha256_of_file(archive)
    if source.size is not None and size != source.size:
        raise CheckError(f"{archive}: has {size:,} bytes, not {source.size:,}; remove it")
    if source.sha256 is not None and digest != source.sha256:
        raise CheckError(f"{archive}: its SHA-256 is {digest}, not {source.sha256}; remove it")
    if source.sha256 is None:
        print(f"{archive}: SHA-256 {digest}; could not be checked, none is known to compare with")
    return digest


def main():
    download(tyro.cli(DownloadConfig, prog="python -m data_prep.download", description=__doc__))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
