"""--keep-out: faces that are kept for evaluation do not get into other records."""

import shutil

import cv2
import pytest
from conftest import assert_one_line_error, make_tree, run_module

from senet_kp.data_prep.beam.prepare import BeamConfig, beam_prepare
from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.overlap import OverlapConfig, overlap
from senet_kp.data_prep.prepare import prepare
from senet_kp.tfrecords.errors import CheckError
from senet_kp.tfrecords.files import read_csv
from senet_kp.tfrecords.shards import read_manifest
from senet_kp.tfrecords.sides import SIDES


def config(data, out, **options):
    settings = {"data": (data,), "out": out, "detector_pictures": 0, "processes": 1}
    return PrepareConfig(**{**settings, **options})


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Records of 24 faces for evaluation; `tree` has the same pictures as AFW and 72 more."""
    root = tmp_path_factory.mktemp("kept")
    data = make_tree(root / "data", 24, 1, "HELEN")
    prepare(config(data, root / "records", test_share=1))
    return root / "records"


def rejected(out) -> list[dict]:
    return [row for row in read_csv(out / "rejects.csv") if row["reason"] == "kept-out"]


def check_kept(out, kept):
    """Assert that the 24 faces were kept out, that each is named, and that none was written."""
    manifest, rows = read_manifest(out), rejected(out)
    by_file = [row for row in rows if "by its file" in row["message"]]
    assert len(by_file) == 24
    for row in by_file:
        assert row["picture"].replace("AFW", "HELEN") in row["message"], row
    # Pictures of dots on a background are alike, so that the hash finds further ones.
    assert all("by its picture" in row["message"] for row in rows if row not in by_file)
    assert manifest["kept_out"] == manifest["rejects"] == len(rows) <= 28
    assert sum(side["records"] for side in manifest["sides"].values()) == 96 - len(rows)
    assert not overlap(OverlapConfig(kept, out, sides=SIDES, training_sides=SIDES))


def test_faces_under_other_names_are_kept_out_and_named(tree, kept, tmp_path):
    # 24 of 96 are more than --max-rejects allows of unusable pictures.
    prepare(config(tree, tmp_path / "out", keep_out=(kept,)))
    check_kept(tmp_path / "out", kept)


def test_beam_keeps_the_same_faces_out(tree, kept, tmp_path):
    plain = config(tree, tmp_path / "plain", keep_out=(kept,))
    prepare(plain)
    by_beam = BeamConfig(**vars(plain) | {"out": str(tmp_path / "beam")})
    beam_prepare(by_beam, ["--runner=DirectRunner"])
    check_kept(tmp_path / "beam", kept)
    first, second = (read_manifest(tmp_path / name) for name in ("plain", "beam"))
    assert first["records_sha256"] == second["records_sha256"]


def test_a_picture_is_recognised_after_another_compression(kept, tmp_path):
    data = make_tree(tmp_path / "data", 24, 1, "LFPW")
    for path in data.rglob("*.jpg"):
        cv2.imwrite(str(path), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 60])
    with pytest.raises(CheckError, match=r"0 groups .* \(24 faces are kept out by --keep-out"):
        prepare(config(data, tmp_path / "out", keep_out=(kept,)))


def test_records_are_made_again_if_other_faces_are_kept(tree, kept, tmp_path, capsys):
    copy = shutil.copytree(tree, tmp_path / "data")
    out = tmp_path / "out"
    prepare(config(copy, out))
    assert read_manifest(out)["kept_out"] == 0
    for expected in ("are replaced", "nothing to do"):
        prepare(config(copy, out, keep_out=(kept,)))
        assert expected in capsys.readouterr().out
    check_kept(out, kept)


def test_other_crops_and_missing_records_are_refused_before_the_first_picture(tree, kept, tmp_path):
    command = ("-m", "senet_kp", "prepare", "--data", tree, "--out", tmp_path / "out")
    result = run_module(*command, "--keep-out", kept, "--context", "1")
    assert_one_line_error(result, 2, "--keep-out", "context 1.50", "context 1.00", "the same --box")
    result = run_module(*command, "--keep-out", tmp_path / "gone")
    assert_one_line_error(result, 3, "gone")
    assert not (tmp_path / "out").exists()
