"""The worked examples of docs/extending.md, applied to a copy of the project and run."""

import json
import re
import shutil
import subprocess
import sys

import cv2
import pytest
from conftest import ROOT, face_points, make_picture

PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))
COPIED = ("benchmarks", "data_prep", "export", "senet_kp", "tfrecords")


def blocks(section: str, language: str) -> list[str]:
    """The code blocks of one section that are in one language."""
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.S)


def apply_diff(text: str, diff: str) -> str:
    """`text` with the lines of a diff without line numbers, whose context must stand there once."""
    lines = diff.splitlines()
    old = "".join(line[1:] + "\n" for line in lines if line[:1] in (" ", "-"))
    new = "".join(line[1:] + "\n" for line in lines if line[:1] in (" ", "+"))
    assert text.count(old) == 1, f"not once in the file:\n{old}"
    return text.replace(old, new)


def apply_example(project, section: str) -> list[str]:
    """Make the change that a section describes; returns the paths of the files touched."""
    (path,) = re.findall(r"(?:Create|Change)\s+`([^`]+\.py)`", SECTIONS[section])
    target = project / path
    if code := blocks(section, "python"):
        assert not target.exists()
        target.write_text(code[0])
    for diff in blocks(section, "diff"):
        target.write_text(apply_diff(target.read_text(), diff))
    return [path]


def run_commands(project, section: str):
    """Run the commands of a section's shell blocks in the project; returns the last result."""
    for line in "".join(blocks(section, "sh")).splitlines():
        words = line.split(" #")[0].split()
        assert words[0] == "senet-kp"
        command = [sys.executable, "-m", "senet_kp", *words[1:]]
        result = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
    return result


@pytest.fixture
def project(tmp_path):
    """A copy of the project's source."""
    ignore = shutil.ignore_patterns("__pycache__", "results")
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    return tmp_path


@pytest.fixture
def trained(project, records, model):
    """The same with records and a frozen graph in out/."""
    (project / "out").mkdir()
    (project / "out" / "tfrecords").symlink_to(records)
    for path in (model, model.with_suffix(".json")):
        shutil.copy(path, project / "out" / f"senet{path.suffix}")
    return project


def changed_files(project) -> set[str]:
    """The source files of a copy that are not as in the project."""
    paths = [path for folder in COPIED for path in (project / folder).rglob("*.py")]
    names = {str(path.relative_to(project)) for path in paths}
    return {
        name
        for name in names
        if not (ROOT / name).exists() or (ROOT / name).read_bytes() != (project / name).read_bytes()
    }


def test_the_table_lists_every_example():
    links = re.findall(r"^\| \[(.+?)\]", PAGE, re.M)
    assert [link[0].upper() + link[1:] for link in links] == list(SECTIONS)


def test_a_data_format(project):
    touched = apply_example(project, "A data format")
    points = {}
    for index in range(30):
        name = f"person{index:02d}.png"
        points[name] = face_points((70, 80), 80, seed=index)
        picture = make_picture(points[name], (160, 140), seed=index)
        (project / "photos").mkdir(exist_ok=True)
        cv2.imwrite(str(project / "photos" / name), picture[:, :, ::-1])
    labels = {name: shape.tolist() for name, shape in points.items()}
    (project / "photos" / "points.json").write_text(json.dumps(labels))
    run_commands(project, "A data format")
    manifest = json.loads((project / "out" / "points" / "manifest.json").read_text())
    assert sum(side["records"] for side in manifest["sides"].values()) == 30
    assert changed_files(project) == {*touched}


def test_a_network(trained):
    touched = apply_example(trained, "A network")
    run_commands(trained, "A network")
    config = json.loads((trained / "out" / "tiny" / "config.json").read_text())
    assert (config["net"], config["loss"], config["steps"]) == ("tiny_cnn", "smooth_l1", 20)
    assert changed_files(trained) == {*touched}


def test_an_augmentation(trained):
    touched = apply_example(trained, "An augmentation")
    run_commands(trained, "An augmentation")
    assert cv2.imread(str(trained / "out" / "preview.png")).std() > 10
    assert changed_files(trained) == {*touched}


def test_an_export_format(trained):
    touched = apply_example(trained, "An export format")
    run_commands(trained, "An export format")
    card = json.loads((trained / "out" / "senet.json").read_text())
    opsets = {entry["file"]: entry["opset"] for entry in card["exports"] if "opset" in entry}
    assert opsets == {"senet.onnx": 13, "senet-opset17.onnx": 17}
    assert changed_files(trained) == {*touched}


def test_a_metric(trained):
    touched = apply_example(trained, "A metric")
    result = run_commands(trained, "A metric")
    scores = json.loads((trained / "out" / "senet-scores.json").read_text())
    assert scores["nme_median"] <= scores["nme_p90"] and "90th percentile" in result.stdout
    assert changed_files(trained) == {*touched}
