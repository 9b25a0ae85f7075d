"""The `senet-kp` command: its list of stages, its errors, and the names that each stage shows."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from conftest import ROOT, assert_one_line_error, run_module

from senet_kp import cli
from senet_kp.tfrecords.errors import ModelError


def senet_kp(*arguments, **options):
    return run_module("-m", "senet_kp", *arguments, **options)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_without_a_stage_it_lists_every_stage_by_group(arguments):
    result = senet_kp(*arguments)
    assert result.returncode == 0 and not result.stderr
    groups = re.findall(r"^(\w+):$", result.stdout, re.M)
    assert groups == ["Data", "Training", "Model", "Use"], "each group stands once"
    for name, stage in cli.STAGES.items():
        assert re.search(rf"^  {name} +{re.escape(stage.summary)}$", result.stdout, re.M)


def test_version_is_one_line():
    result = senet_kp("--version")
    assert result.returncode == 0 and result.stdout.startswith("senet-kp ")


def test_an_unknown_stage_names_the_nearest_ones():
    assert_one_line_error(senet_kp("trian"), 2, "'trian'", "did you mean train")
    assert_one_line_error(senet_kp("xyzzy"), 2, "'xyzzy'", "senet-kp --help")


def test_listing_the_stages_imports_no_package():
    code = "import sys; from senet_kp.cli import overview; overview(); print(*sys.modules)"
    loaded = run_module("-c", code).stdout.split()
    assert not {"numpy", "cv2", "tyro", "tensorflow"} & set(loaded)


@pytest.mark.parametrize("name", cli.STAGES)
def test_the_module_of_every_stage_exists(name):
    assert find_spec(cli.STAGES[name].module) is not None


@pytest.mark.parametrize("name", cli.STAGES)
def test_help_of_a_stage_shows_its_command(name):
    result = senet_kp(name, "--help")
    assert result.returncode == 0, result.stderr
    assert f"usage: senet-kp {name} " in result.stdout


def test_extras_of_the_stages_are_those_of_the_package():
    toml = (ROOT / "pyproject.toml").read_text()
    table = toml.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^([a-z]+) = \[", table, re.M))
    named = {extra for stage in cli.STAGES.values() for extra in stage.extra.split(",")} - {""}
    assert named | set(cli.EXTRA_OF_PACKAGE.values()) <= extras


class Stage:
    """A stage's module for the tests below; its main() raises or returns what it was given."""

    def __init__(self, result):
        self._result = result

    def main(self):
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


@pytest.mark.parametrize(
    "stage, package, extra",
    [
        ("prepare", "tyro", "[prepare]"),
        ("train", "tyro", "[train]"),
        ("evaluate", "tensorflow", "[train]"),
        ("export", "tqdm", "[train,export]"),
        ("export", "onnxruntime", "[export]"),
        ("beam-prepare", "apache_beam", "[cluster]"),
    ],
)
def test_a_missing_package_names_the_extra(monkeypatch, capsys, stage, package, extra):
    missing = ModuleNotFoundError(f"No module named '{package}'", name=f"{package}.part")
    monkeypatch.setattr(cli, "import_module", lambda module: Stage(missing))
    monkeypatch.setattr(sys, "argv", ["senet-kp", stage])
    assert cli.main() == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f" {package}," in error
    assert f"pip install 'senet_kp{extra}'" in error


def test_a_missing_module_of_the_project_is_not_hidden(monkeypatch):
    missing = ModuleNotFoundError("No module named 'senet_kp.x'", name="senet_kp.x")
    monkeypatch.setattr(cli, "import_module", lambda module: Stage(missing))
    monkeypatch.setattr(sys, "argv", ["senet-kp", "train"])
    with pytest.raises(ModuleNotFoundError):
        cli.main()


@pytest.mark.parametrize("result, code", [(None, 0), (3, 3), (ModelError("m.pb: damaged"), 4)])
def test_a_stage_gets_its_arguments_and_gives_the_exit_code(monkeypatch, result, code):
    monkeypatch.setattr(cli, "import_module", lambda module: Stage(result))
    monkeypatch.setattr(sys, "argv", ["senet-kp", "train", "--steps", "3"])
    assert cli.main() == code
    assert sys.argv == ["senet-kp train", "--steps", "3"]


def test_make_help_works_without_an_environment(tmp_path):
    make = ["make", "help", f"VENV={tmp_path / 'none'}"]
    result = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make setup" in result.stdout and not result.stderr
