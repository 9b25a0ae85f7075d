"""The rooms and the direction of their arrows."""

import ast
import re
import subprocess
import sys

import pytest
from conftest import ROOT

# Every room with the floor that it stands on; a room imports only from rooms on lower floors.
FLOORS = {
    "tfrecords": 0,
    "senet_kp.face": 1,
    "senet_kp.nets": 2,
    "senet_kp.inference": 3,
    "senet_kp.input": 3,
    "senet_kp.tracking": 4,
    "senet_kp.demo": 5,
    "senet_kp.train": 4,
    "senet_kp.cluster": 5,
    "senet_kp.scoring": 5,
    "senet_kp.report": 6,
    "senet_kp.compare_runs": 7,
    "senet_kp.former_names": 7,
    "senet_kp": 7,
    "data_prep.fetch": 7,
    "data_prep.formats": 7,
    "data_prep.sample_faces": 7,
    "data_prep": 8,
    "data_prep.beam": 9,
    "data_prep.profile_views": 9,
    "data_prep.former_names": 10,
    "export": 8,
    "demo": 8,
    "benchmarks": 10,
    "benchmarks.clips": 9,
}
TOP = ("tfrecords", "senet_kp", "data_prep", "export", "benchmarks")
SOURCES = sorted(p for room in TOP for p in (ROOT / room).rglob("*.py")) + [ROOT / "demo.py"]


def module_of(path) -> str:
    """The dotted name of a source file below the project's root."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def plain(name: str) -> str:
    """The name of a module as its folder in a checkout spells it: data_prep.split and so on."""
    inner = name.removeprefix("senet_kp.")
    return inner if inner.split(".")[0] in TOP else name


def room_of(module: str) -> str:
    """The innermost room that holds a module."""
    return max((room for room in FLOORS if f"{module}.".startswith(f"{room}.")), key=len)


def imports_of(path) -> set[str]:
    """The modules of this project that a source file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            deeper = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in deeper if plain(name) in MODULES}
            found |= modules or {node.module}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return {plain(name) for name in found if plain(name) in MODULES}


ARROWS = {module: imports_of(path) for module, path in MODULES.items()}


def cycle_in(arrows: dict[str, set[str]]) -> list[str]:
    """The nodes of one circle of a graph {node: nodes it points at}; empty where there is none."""
    left = dict(arrows)
    while free := [node for node, targets in left.items() if not targets & left.keys()]:
        for node in free:
            del left[node]
    return sorted(left)


def test_a_circle_is_found():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_no_file_imports_itself_by_way_of_others():
    assert not cycle_in(ARROWS)


def test_rooms_import_only_from_the_floors_below():
    upward = [
        f"{module} -> {target}"
        for module, targets in ARROWS.items()
        for target in targets
        if room_of(module) != room_of(target) and FLOORS[room_of(module)] <= FLOORS[room_of(target)]
    ]
    assert not upward


def test_every_package_is_a_room():
    packages = {module_of(path.parent) for path in SOURCES if path.name != "demo.py"}
    assert packages <= FLOORS.keys()


def test_rooms_beside_senet_kp_are_imported_by_one_name():
    """`import tfrecords` would load the modules a second time, with classes of their own."""
    bare = {"tfrecords", "data_prep", "export"}
    for path in [*SOURCES, *(ROOT / "tests").glob("*.py")]:
        names = re.findall(r"^\s*(?:from|import) ([a-z_]+)", path.read_text(), re.M)
        assert not bare & set(names), path


@pytest.mark.parametrize(
    "module",
    [
        "demo",
        "senet_kp.inference.predictor",
        "senet_kp.face.scheme",
        "senet_kp.face.facebox",
        "senet_kp.inference.dlib_detector",
        "senet_kp.tfrecords.verify",
        "senet_kp.data_prep.prepare",
        "senet_kp.data_prep.sample_faces",
        "senet_kp.scoring.evaluate",
        "senet_kp.scoring.models",
        "senet_kp.input.preview",
        "senet_kp.report.page",
        "senet_kp.inference.dlib_shape",
        "senet_kp.data_prep.overlap",
        "senet_kp.data_prep.download",
        "senet_kp.data_prep.autolabel",
        "senet_kp.data_prep.beam.prepare",
        "senet_kp.cluster.local_cluster",
        "senet_kp.cluster.train_cluster",
        "senet_kp.train.loop",
        "senet_kp.train.label_offsets",
        "senet_kp.scoring.crossval",
        "senet_kp.export.convert",
        "senet_kp.export.freeze",
        "senet_kp.report.__main__",
        "senet_kp.compare_runs.__main__",
    ],
)
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
