"""Which run folder and which frozen graph the targets of the Makefile use."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT

# A make that runs these tests passes its own variables, such as OUT, to what it starts.
ENV = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


def commands(*words) -> list[str]:
    """The commands of `senet-kp` that make would run."""
    result = subprocess.run(
        ["make", "--dry-run", *map(str, words)], cwd=ROOT, env=ENV, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if "/bin/senet-kp " in line]


def trained(out, *runs):
    """Make checkpoints of these runs, the last one newest."""
    for age, run in enumerate(runs):
        checkpoint = out / run / "latest" / "checkpoint"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        os.utime(checkpoint, (1000 + age, 1000 + age))


@pytest.mark.parametrize(
    "runs, net, run, graph",
    [
        ([], "", "short-run", "senet.pb"),
        ([], "vgg16", "short-run-vgg16", "vgg16.pb"),
        (["run"], "", "run", "senet.pb"),
        (["run"], "vgg16", "short-run-vgg16", "vgg16.pb"),
        (["run", "run-vgg16"], "", "run-vgg16", "vgg16.pb"),
        (["run-vgg16", "run"], "", "run", "senet.pb"),
        (["run", "run-vgg16"], "senet", "run", "senet.pb"),
        (["run-vgg16", "run"], "vgg16", "run-vgg16", "vgg16.pb"),
        (["run-vgg16"], "senet", "short-run", "senet.pb"),
    ],
)
def test_later_stages_use_the_run_of_the_network_or_the_newest(tmp_path, runs, net, run, graph):
    trained(tmp_path, *runs)
    asked = [f"NET={net}"] if net else []
    (line,) = (c for c in commands(f"OUT={tmp_path}", *asked, "freeze") if " freeze " in c)
    assert f"--run {tmp_path}/{run} " in line and line.endswith(f"--out {tmp_path}/{graph}")


def test_every_network_is_trained_in_a_folder_of_its_own(tmp_path):
    for net, run in (("senet", "run"), ("vgg16", "run-vgg16")):
        (line,) = (c for c in commands(f"OUT={tmp_path}", f"NET={net}", "train") if " train " in c)
        assert f"--run {tmp_path}/{run} --net {net}" in line


def clean(folder, *words):
    command = ["make", "-f", ROOT / "Makefile", "clean", *words]
    return subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True)


def test_clean_keeps_what_the_stages_did_not_write(tmp_path):
    trained(tmp_path / "out", "run", "run-vgg16")
    (tmp_path / "out" / "senet.pb").touch()
    (tmp_path / "out" / "labels").mkdir()
    (tmp_path / "out" / "labels" / "corrected.pts").touch()
    assert clean(tmp_path).returncode == 0
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))]
    assert left == ["out", "out/labels", "out/labels/corrected.pts"]
    (tmp_path / "out" / "labels" / "corrected.pts").unlink()
    (tmp_path / "out" / "labels").rmdir()
    assert clean(tmp_path).returncode == 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", [".", "", "..", "home", "/", "out/.."])
def test_clean_removes_no_other_folder(tmp_path, out):
    trained(tmp_path / "home", "run")
    result = clean(tmp_path, f"OUT={out}")
    assert result.returncode == 2 and "clean removes only out/" in result.stderr
    assert (tmp_path / "home" / "run" / "latest" / "checkpoint").exists()


@pytest.fixture
def tools(tmp_path):
    """A PATH of its own with the tools that the Makefile needs anywhere; more can be added."""
    for name in ("ls", "head"):
        (tmp_path / name).symlink_to(shutil.which(name))
    return tmp_path


def make_cpp(tools, out):
    command = [shutil.which("make"), "cpp", f"OUT={out}"]
    env = ENV | {"PATH": str(tools)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_cpp_names_the_missing_package(tools, tmp_path):
    result = make_cpp(tools, tmp_path / "out")
    assert result.returncode == 2 and "error: cmake is missing (Debian: cmake" in result.stderr
    (tools / "cmake").symlink_to("/bin/true")
    result = make_cpp(tools, tmp_path / "out")
    assert result.returncode == 2 and "a C++ compiler is missing (Debian: g++)" in result.stderr
    (tools / "g++").symlink_to("/bin/true")
    assert make_cpp(tools, tmp_path / "out").returncode == 0


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cpp_names_the_package_of_opencv(tmp_path):
    command = ["cmake", "-S", "examples/cpp", "-B", tmp_path]
    command.append("-DCMAKE_DISABLE_FIND_PACKAGE_OpenCV=ON")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "CMAKE_CXX_COMPILER" in result.stderr:
        pytest.skip("no C++ compiler is installed")
    assert result.returncode != 0
    assert "error: OpenCV's files for C++ are missing (Debian: libopencv-dev)" in result.stderr


STAGE = """#!/bin/sh
# Stands for senet-kp: notes its words, and writes the file by which make sees that it is done.
echo "$@" >> {log}
test "$(wc -l < {log})" != "$FAILS_AT" || exit 1
stage=$1
while test "$1" != --out && test $# != 1; do shift; done
case $stage in
  prepare) mkdir -p $2; touch $2/manifest.json ;;
  sample) mkdir -p $2; touch $2/sample.json ;;
  profile-views) mkdir -p $2; touch $2/views.json ;;
  freeze) touch $2 ;;
esac
"""


def test_the_recipe_of_the_shipped_graphs_goes_on_where_it_was_stopped(tmp_path):
    log, stage, out = tmp_path / "log", tmp_path / "kp", tmp_path / "out"
    stage.write_text(STAGE.format(log=log))
    stage.chmod(0o755)
    out.mkdir()
    words = ["make", "-f", "export/pretrained/recipe.mk", f"KP={stage}", f"OUT={out}", "SETS=data"]
    made = {
        fails_at: subprocess.run(
            words, cwd=ROOT, env=ENV | {"FAILS_AT": fails_at}, capture_output=True, text=True
        )
        for fails_at in ("5", "never")
    }
    assert made["5"].returncode == 2 and made["never"].returncode == 0, made["never"].stderr
    done = log.read_text().splitlines()
    assert done[4] == done[5] and len(set(done)) == len(done) - 1 == 16  # the fifth was repeated
    stages = [line.split()[0] for line in done[:4] + done[5:]]
    assert (stages.count("prepare"), stages.count("train"), stages.count("freeze")) == (4, 7, 3)
    assert done[-1].startswith("freeze") and (out / "senet68-3d.pb").exists()
    subprocess.run(words, cwd=ROOT, env=ENV, check=True, capture_output=True)
    assert log.read_text().splitlines() == done  # nothing is repeated
