"""senet-kp fetch 300w-lp

Download a data set, or the public weights of a network's trunk (vgg16), and unpack it into
data/<name>; or download the file of the YuNet face detector (yunet) into your cache, where every
command finds it. The same command resumes an interrupted download. Size and SHA-256 are checked if
they are known, and the folder or file appears only when it is complete. If a link no longer works,
put the archive into data/ by hand and run the same command again; YuNet's file is given with
--file.
Exit codes: 0 done, or already done before; 2 unusable arguments, 3 the archive cannot be downloaded
or unpacked, 5 the archive has another size or hash than expected, 6 the data cannot be written.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from senet_kp.tfrecords.errors import CheckError, UserError, exit_code_of
from senet_kp.tfrecords.files import (
    atomic_folder,
    json_of,
    make_folder,
    sha256_of_file,
    write_json,
)

Name = Literal["300w-lp", "aflw2000-3d", "p1", "vgg16", "yunet"]
MARK = "download.json"  # describes the unpacked archive; a folder with this file is complete


@dataclass(frozen=True)
class Source:
    """A data set, or the weights of a trunk, that is published as one zip or tar.gz archive.

    url:      the archive
    archive:  its file name
    contents: the folder or file inside the archive that holds the data set or the weights
    page:     where it is described, in words
    size:     in bytes; None if not published, as is sha256
    weights:  whether it holds weights and not a data set
    """

    url: str
    archive: str
    contents: str
    page: str
    size: int | None = None
    sha256: str | None = None
    weights: bool = False


_3DDFA = "the 3DDFA page of its authors (Xiangyu Zhu, CBSR, Chinese Academy of Sciences)"
# Sizes and hashes are those of tensorflow-datasets' the300w_lp and aflw2k3d.
SOURCES = {
    "300w-lp": Source(
        # Google Drive needs a confirmation for large files, and a resource key for old links.
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
    "vgg16": Source(
        "https://download.tensorflow.org/models/vgg_16_2016_08_28.tar.gz",
        "vgg_16_2016_08_28.tar.gz",
        "vgg_16.ckpt",
        "the list of pre-trained models of TensorFlow-Slim, in research/slim of TensorFlow's"
        " repository models on GitHub",
        weights=True,
    ),
}


@dataclass(frozen=True)
class DownloadConfig:
    name: tyro.conf.Positional[Name]
    """the data set, the network for whose trunk there are weights, or the face detector"""
    out: Path = Path("data")
    """folder for the archive and for the folder of its contents; YuNet goes to your cache"""
    url: str = ""
    """another URL of the archive or file, whose size and hash are checked as usual"""
    file: Path | None = None
    """with yunet: a file that you already have, which is checked and copied to the cache"""


def download(config: DownloadConfig) -> Path:
    """Download and unpack an archive unless that has been done; return the path of its contents."""
    if config.name == "yunet":
        from senet_kp.data_prep.fetch.detector import install_yunet

        return install_yunet(config.url, config.file)
    if config.file is not None:
        raise UserError("--file: only yunet is installed from a file; put an archive into --out")
    from senet_kp.data_prep.fetch.unpack import unpack

    source, folder = SOURCES[config.name], config.out / config.name
    data = folder / source.contents
    if {"archive", "bytes", "sha256"} <= json_of(folder / MARK).keys() and data.exists():
        print(f"nothing to do: {data} is already there")
        return data
    archive = config.out / source.archive
    if not archive.exists():
        _fetch(config, source, archive)
    digest = _checked(archive, source)
    with atomic_folder(folder) as temporary:
        files = unpack(archive, temporary)
        size = archive.stat().st_size
        write_json(temporary / MARK, {"archive": source.archive, "bytes": size, "sha256": digest})
    print(f"{data}: {files:,} files; {_usage(config.name, data)}; {archive} may be deleted")
    return data


def _usage(name: str, data: Path) -> str:
    """What to do next with a data set or with weights, in words."""
    from senet_kp.data_prep.formats import FORMATS

    if SOURCES[name].weights:
        return f"train with --net {name} --init-from {data}"
    return f"prepare them with DATA={data}" + (f" FORMAT={name}" if name in FORMATS else "")


def _fetch(config: DownloadConfig, source: Source, archive: Path):
    from senet_kp.data_prep.fetch.transfer import TransferError, fetch

    url = config.url or source.url
    make_folder(config.out)
    try:
        fetch(url, archive, source.size, source.sha256)
    except TransferError as error:
        raise TransferError(
            f"{error}; run the same command again, or give another link with --url, or get"
            f" {source.archive} by hand from {source.page}, put it into {config.out} and run the"
            " same command"
        ) from None


def _checked(archive: Path, source: Source) -> str:
    """Return the SHA-256 of the archive; raises CheckError if size or SHA-256 are not as known."""
    size, digest = archive.stat().st_size, sha256_of_file(archive)
    if source.size is not None and size != source.size:
        raise CheckError(f"{archive}: has {size:,} bytes, not {source.size:,}; remove it")
    if source.sha256 is not None and digest != source.sha256:
        raise CheckError(f"{archive}: its SHA-256 is {digest}, not {source.sha256}; remove it")
    if source.sha256 is None:
        print(f"{archive}: SHA-256 {digest}; could not be checked, since no published one is known")
    return digest


def main():
    download(tyro.cli(DownloadConfig, prog="senet-kp fetch", description=__doc__))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
