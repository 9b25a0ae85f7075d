"""The rooms and the direction of their arrows, the README, and the size of what we write."""

import ast
import json
import re
import subprocess
import sys

import pytest
from conftest import ROOT

ROOMS = ("tfrecords", "senet_kp", "data_prep", "export", "benchmarks")
MAY_IMPORT = {
    "tfrecords": {"tfrecords"},
    "senet_kp": {"senet_kp", "tfrecords"},
    "data_prep": {"data_prep", "senet_kp", "tfrecords"},
    "export": {"export", "senet_kp", "tfrecords"},
    "benchmarks": {*ROOMS},
    "demo": {"senet_kp", "tfrecords"},
}
SOURCES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py")) + [ROOT / "demo.py"]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def imports_of(path, top_level_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    ours = {name.split(".")[0] for name in imports_of(path)} & {*ROOMS, "demo", "tests"}
    assert ours <= MAY_IMPORT[room]


@pytest.mark.parametrize("module", [
    "demo", "senet_kp.predictor", "senet_kp.scheme", "senet_kp.facebox", "senet_kp.detector",
    "tfrecords.verify", "data_prep.prepare", "data_prep.sample_faces", "senet_kp.evaluate",
    "senet_kp.models", "senet_kp.preview", "senet_kp.report.page", "senet_kp.dlib_shape",
    "data_prep.overlap", "data_prep.download", "data_prep.autolabel", "data_prep.beam_prepare",
    "senet_kp.local_cluster",
])  # fmt: skip
def test_modules_that_run_no_graph_do_not_load_tensorflow(module):
    code = f"import sys, {module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_node_names_stand_once():
    found = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") in ("INPUT_NODE", "OUTPUT_NODE")
    ]
    assert len(found) == 2 and all(name.startswith("model_card.py") for name in found)


# --- the README ---


def commands():
    """Command lines of the README's code blocks, without prompts and comments."""
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", README, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if line := line.split(" #")[0].strip():
                yield line


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    named = set(re.findall(r"`?make ([a-z-]+)", "\n".join(commands()))) | set(
        re.findall(r"`make ([a-z-]+)", README)
    )
    assert named and named <= targets
    variables = set(re.findall(r"^([A-Z]+) *\??:?=", MAKEFILE, re.M))
    used = {name for c in commands() if "make " in c for name in re.findall(r"\b([A-Z]+)=", c)}
    assert used and used <= variables


def python_commands():
    found = [c for c in commands() if re.search(r"\bpython (-m [a-z_.]+|[a-z]+\.py)", c)]
    assert found
    return found


@pytest.fixture(scope="session")
def help_of():
    texts = {}

    def text(target):
        if target not in texts:
            command = [sys.executable, *target.split(), "--help"]
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            texts[target] = result.stdout
        return texts[target]

    return text


@pytest.mark.parametrize("command", python_commands())
def test_flags_of_the_readme_exist(command, help_of):
    target = re.search(r"\bpython (-m [a-z_.]+|[a-z]+\.py)", command)[1]
    ours = command.split(" -- ")[0]  # what follows is Beam's
    for flag in re.findall(r"(?<=\s)(--[a-z][a-z.-]*)", ours):
        assert flag in help_of(target), f"{flag} of: {command}"


@pytest.mark.parametrize("module", [
    "data_prep.prepare", "data_prep.sample_faces", "senet_kp.train", "senet_kp.evaluate",
    "export.freeze", "export.convert", "senet_kp.preview", "senet_kp.report", "senet_kp.crossval",
])  # fmt: skip
def test_help_shows_every_default(module, help_of):
    text = help_of(f"-m {module}")
    flags = re.findall(r"│ --", text)
    assert len(flags) == len(re.findall(r"\((?:default:|required|repeatable)", text)) > 3


def test_paths_of_the_readme_exist():
    named = set(re.findall(r"`((?:[a-z_]+/)+[A-Za-z_0-9.]*|[a-z_]+\.(?:py|toml|md))`", README))
    ours = {name for name in named if not name.startswith(("out/", "data/", "landmarks/"))}
    assert len(ours) > 5
    missing = [name for name in ours if not (ROOT / name).exists()]
    assert not missing


def readme_numbers():
    """(file, key, shown) of every number that the README takes from benchmarks/results/."""
    return re.findall(r"<!-- ([a-z0-9_-]+):([A-Za-z0-9_.-]+) -->([0-9.,]+(?: ?%)?)", README)


def test_the_readme_takes_its_numbers_from_results():
    assert len(readme_numbers()) >= 8


@pytest.mark.parametrize("file, key, shown", readme_numbers())
def test_numbers_of_the_readme_are_those_a_command_wrote(file, key, shown):
    value = json.loads((ROOT / "benchmarks" / "results" / f"{file}.json").read_text())
    for part in key.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    number = shown.rstrip(" %").replace(",", "")
    decimals = len(number.partition(".")[2])
    assert f"{value * (100 if '%' in shown else 1):.{decimals}f}" == number
