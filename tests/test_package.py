"""The wheel, its bill of materials, the container image's recipe and the workflow files.

The tests of the installed wheel make an environment that holds the wheel and links to its base
dependencies (numpy, OpenCV, dlib, platformdirs, tqdm) in the environment of these tests, and
nothing else. They prove that finding landmarks needs none of the packages of the extras, that pip
is satisfied with the dependencies that the wheel names, and that the wheel contains every file that
`senet-kp demo` and LandmarkPredictor read. They do not download anything, and so they do not prove
that the dependencies can be downloaded.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import cv2
import pytest
import yaml
from conftest import ROOT, assert_one_line_error

from senet_kp.data_prep.sample_faces.identity import render_identity
from senet_kp.inference.pretrained import SHIPPED

MAX_WHEEL_BYTES = 11_500_000  # of which each graph takes 3.5 MB
GRAPHS = {f"senet_kp/export/pretrained/{path.name}": path for path in SHIPPED.values()}
BASE = {"dlib-bin", "numpy", "opencv-python-headless", "platformdirs", "scipy", "tqdm"}
WITH_THEM = {"colorama"}  # which tqdm needs on Windows
FOLDERS = ("data_prep", "export", "senet_kp", "tfrecords")


def checked(*command, **options) -> str:
    """The standard output of a command that has to succeed."""
    result = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build(folder: Path, umask: str = "022", checkout: Path = ROOT) -> Path:
    """Run `make wheel` in this environment; the path of the wheel."""
    make = f"umask {umask}; make wheel -o setup VENV='{sys.prefix}' DIST='{folder}'"
    checked("sh", "-c", make, cwd=checkout)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("`make wheel` needs a git checkout")
    return build(tmp_path_factory.mktemp("first") / "dist")


@pytest.fixture(scope="module")
def parts(wheel) -> dict:
    """The components of the bill of materials, by name; a package can have several versions."""
    found = {}
    for component in json.loads(wheel.with_suffix(".cdx.json").read_text())["components"]:
        found.setdefault(component["name"], []).append(component)
    return found


def names_in(wheel) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def required(wheel) -> set[str]:
    """The names of the packages that a wheel requires without an extra."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = Parser().parsestr(archive.read(path).decode()).get_all("Requires-Dist")
    return {re.match(r"[\w-]+", line)[0] for line in lines if "extra ==" not in line}


# --- the files ---


def test_every_installed_name_begins_with_senet_kp(wheel):
    assert all(name.startswith(("senet_kp/", "senet_kp-")) for name in names_in(wheel))


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= MAX_WHEEL_BYTES


def test_the_wheel_contains_every_module_and_the_licence(wheel):
    tracked = checked("git", "ls-files", *FOLDERS, cwd=ROOT).splitlines()
    modules = {name for name in tracked if name.endswith(".py")}
    inside = {name if name.startswith("senet_kp/") else f"senet_kp/{name}" for name in modules}
    installed = set(names_in(wheel))
    assert inside <= installed
    assert {"senet_kp/report/page.css", "senet_kp/report/page.html"} <= installed
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in installed)


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_graphs_and_the_files_beside_them_are_those_of_the_checkout(wheel, graph):
    with zipfile.ZipFile(wheel) as archive:
        for suffix in (".pb", ".json", ".fingerprints"):
            inside = archive.read(str(Path(graph).with_suffix(suffix)))
            assert inside == GRAPHS[graph].with_suffix(suffix).read_bytes()


def test_the_wheel_requires_only_what_finding_landmarks_needs(wheel):
    assert required(wheel) == BASE


def test_two_builds_are_equal_byte_for_byte(wheel, tmp_path):
    """The builds differ in time, in the folders that they use and in the umask."""
    again = build(tmp_path / "dist", umask="077")
    for suffix in (".whl", ".cdx.json"):
        first, second = wheel.with_suffix(suffix), again.with_suffix(suffix)
        assert first.read_bytes() == second.read_bytes(), suffix


def test_a_file_that_only_has_a_new_date_does_not_stop_a_build(wheel, tmp_path):
    """A copied checkout has new dates everywhere, and `git stash create` then fails by itself."""
    checked("git", "clone", "--quiet", ROOT, tmp_path / "clone")
    os.utime(tmp_path / "clone" / "README.md", (1, 1))
    assert build(tmp_path / "dist", checkout=tmp_path / "clone").stat().st_size > 0


# --- the bill of materials ---


def test_the_bill_of_materials_lists_the_wheel_and_its_dependencies(wheel, parts):
    bill = json.loads(wheel.with_suffix(".cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    product = bill["metadata"]["component"]
    assert product["name"] == "senet_kp"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert product["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert parts.keys() == BASE | WITH_THEM | GRAPHS.keys()
    references = {part["bom-ref"] for versions in parts.values() for part in versions}
    (needs,) = [d["dependsOn"] for d in bill["dependencies"] if d["ref"] == product["bom-ref"]]
    assert set(needs) == references


@pytest.mark.parametrize("name", GRAPHS)
def test_the_bill_of_materials_has_the_hash_and_the_terms_of_a_graph(parts, name):
    (graph,) = parts[name]
    digest = hashlib.sha256(GRAPHS[name].read_bytes()).hexdigest()
    assert graph["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert graph["type"] == "machine-learning-model"
    terms = json.loads(GRAPHS[name].with_suffix(".json").read_text())["terms"]
    assert graph["licenses"][0]["license"]["text"]["content"] == terms


def test_the_versions_are_those_of_the_lock(parts):
    lock = (ROOT / "requirements" / "cpu.txt").read_text()
    for name in BASE:
        versions = re.findall(rf"^{name}==(\S+)", lock, re.M)
        assert {part["version"] for part in parts[name]} == set(versions), name


def test_a_wheel_without_the_graphs_is_refused(tmp_path):
    wheel = tmp_path / "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other/__init__.py", "")
    command = [sys.executable, "-m", "senet_kp.export.bill_of_materials", str(wheel)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert_one_line_error(result, 3, wheel.name, "make wheel")


# --- the installed wheel ---


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The bin/ folder of an environment with the wheel and links to its base dependencies."""
    environment = tmp_path_factory.mktemp("environment")
    checked(sys.executable, "-m", "venv", "--without-pip", environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    for name in required(wheel):
        distribution = metadata.distribution(name)
        tops = {Path(file).parts[0] for file in distribution.files} - {"..", "__pycache__"}
        for top in tops:
            (packages / top).symlink_to(distribution.locate_file(top))
    # Without --no-deps pip fails where a dependency that the wheel names is missing.
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
    checked(*pip, "install", "--quiet", "--no-index", wheel)
    return environment / "bin"


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> dict:
    """Options of a process that sees neither the checkout nor the user's cache."""
    folder = tmp_path_factory.mktemp("outside")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    view = render_identity(11, 0, 1)[0]
    cv2.imwrite(str(folder / "face.png"), view.image)
    return {"cwd": folder, "env": {**environment, "XDG_CACHE_HOME": str(folder / "cache")}}


def test_only_the_base_dependencies_are_installed(installed, outside):
    code = "from importlib.metadata import distributions as d; print(*{x.name for x in d()})"
    names = {
        name.lower().replace("_", "-")
        for name in checked(installed / "python", "-c", code, **outside).split()
    }
    assert names == BASE | {"senet-kp"}


def test_the_installed_command_draws_landmarks(installed, outside):
    lines = checked(
        installed / "senet-kp", "demo", "face.png", "--out", "drawn", "--json", "-", **outside
    )
    (face,) = json.loads(lines)["faces"]
    assert len(face["landmarks"]) == 68
    drawn = cv2.imread(str(outside["cwd"] / "drawn" / "face-landmarks.png"))
    assert drawn.shape == cv2.imread(str(outside["cwd"] / "face.png")).shape


def test_the_installed_package_predicts_landmarks(installed, outside):
    code = (
        "from senet_kp import LandmarkPredictor\n"
        "(face,) = LandmarkPredictor().predict('face.png')\n"
        "print(face.landmarks.shape)"
    )
    assert checked(installed / "python", "-c", code, **outside) == "(68, 2)\n"


@pytest.mark.parametrize("stage, extra", [("prepare", "prepare"), ("train", "train")])
def test_a_stage_without_its_packages_names_the_extra(installed, outside, stage, extra):
    command = [installed / "senet-kp", stage, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, **outside)
    assert_one_line_error(result, 2, f"pip install 'senet_kp[{extra}]'")


# --- the container image and the workflow files ---


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of every line of the Dockerfile, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_everything_that_the_image_copies_exists_and_is_sent_to_docker():
    copied = [word for name, words in instructions() if name == "COPY" for word in words.split()]
    mounted = re.findall(r"type=bind,source=([^,]+)", (ROOT / "Dockerfile").read_text())
    sources = [name for name in copied + mounted if (ROOT / name).exists()]
    sent = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(sent) == sorted({name for name in sources if name != "./"})
    for name, words in instructions():
        if name == "COPY":
            assert all((ROOT / source).exists() for source in words.split()[:-1]), words


def test_the_image_has_a_pinned_base_an_ordinary_user_and_the_command():
    found = dict(instructions())  # the last of each kind, which is that of the image
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", found["FROM"])
    assert int(found["USER"]) > 0
    assert json.loads(found["ENTRYPOINT"]) == ["senet-kp"]


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")))
def test_workflow_files_are_valid(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["name"] and workflow[True], "YAML reads the key `on` as true"
    for job in workflow["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest" and job["timeout-minutes"] > 0
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_the_workflow_runs_the_same_checks_as_a_developer():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert "bash .ci/run" in steps and "make wheel" in steps
