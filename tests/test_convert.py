"""The exported files: their content, the engines that run them, and their card entries."""

import json
import shutil
import sys
from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from conftest import run_module

from senet_kp.export import convert as convert_module
from senet_kp.export.convert import ConvertConfig, convert, remarks, table
from senet_kp.export.parity import INT8_PX, LIMIT_PX
from senet_kp.export.writers import EXPORTS
from senet_kp.inference.backends import NETWORK_BACKENDS, engine_of, open_backend
from senet_kp.inference.model_card import read_card
from senet_kp.inference.predictor import LandmarkPredictor
from senet_kp.input.crops import load_crops
from senet_kp.scoring.evaluate import EvaluateConfig, evaluate, results_base
from senet_kp.tfrecords.errors import CheckError, InputError, ModelError, UserError, exit_code_of
from senet_kp.tfrecords.shards import read_manifest

RUNS = {  # which engine runs which file
    "senet.pb": {"opencv", "tensorflow"},
    "senet.onnx": {"opencv", "onnxruntime"},
    "senet-float32.tflite": {"tflite"},
    "senet-float16.tflite": {"tflite"},
    "senet-int8.tflite": {"tflite"},
    "senet-saved-model": {"tensorflow"},
}
EXACT = [name for name in RUNS if name not in ("senet-float16.tflite", "senet-int8.tflite")]


def copied(model, folder):
    for path in (model, model.with_suffix(".json")):
        shutil.copy(path, folder)
    return folder / model.name


@pytest.fixture(scope="module")
def entries(model, records, tmp_path_factory):
    """{file: its entry in the card}, and the folder of a graph with all its exports."""
    path = copied(model, tmp_path_factory.mktemp("exports"))
    found = convert(ConvertConfig(model=path, records=records, calibration_faces=16))
    return {entry["file"]: entry for entry in found}, path.parent


@pytest.fixture(scope="module")
def folder(entries):
    return entries[1]


def test_which_engine_runs_which_file(entries):
    entries, _ = entries
    assert list(entries) == list(RUNS)
    for name, entry in entries.items():
        engines = entry["engines"]
        assert {e for e, found in engines.items() if "max_px" in found} == RUNS[name], name
        assert all(found.get("max_px", 0) <= entry["limit_px"] for found in engines.values())
        assert entry["limit_px"] == LIMIT_PX or name not in EXACT
    assert entries["senet.onnx"]["engines"]["tflite"]["reason"] == (
        "tflite does not run an ONNX file; opencv or onnxruntime does"
    )


def test_the_card_lists_what_stands_beside_it(entries):
    entries, folder = entries
    assert {path.name for path in folder.iterdir()} == {*RUNS, "senet.json"}
    card = read_card(folder / "senet.pb")
    assert card["exports"] == json.loads(json.dumps(list(entries.values())))
    for name, entry in entries.items():
        own = read_card(folder / name)
        assert own["sha256"] == entry["sha256"] and own["box"] == card["box"]
        assert entry["score"]["nme"] == pytest.approx(card["scores"]["nme"], rel=0.02)
    sizes = {name: entry["bytes"] for name, entry in entries.items()}
    assert sizes["senet-int8.tflite"] < 0.4 * sizes["senet-float32.tflite"]
    assert sizes["senet-float16.tflite"] < 0.6 * sizes["senet-float32.tflite"]
    assert sizes["senet.pb"] < sizes["senet-saved-model"] < 1.1 * sizes["senet.pb"]
    calibration = {"side": "train", "faces": 16, "rendered_faces": 0}
    assert entries["senet-int8.tflite"]["calibration"] == calibration
    assert entries["senet-int8.tflite"]["float32_ops"] == 20  # starting at the exponential


def test_table_shows_distance_score_and_size(entries):
    lines = {line.split()[0]: line for line in table(list(entries[0].values())).splitlines()[1:]}
    assert list(lines) == list(RUNS)
    assert all(line.count(" px") == len(RUNS[name]) for name, line in lines.items())
    assert f"{entries[0]['senet.onnx']['bytes']:,}" in lines["senet.onnx"]
    lost = {"onnxruntime": {"reason": "needs the package onnxruntime, which is not installed"}}
    entry = entries[0]["senet.onnx"]
    entry = entry | {"engines": entry["engines"] | lost, "nme_change": 0.031, "flagged": True}
    assert table([entry]).splitlines()[1].split()[4:7] == ["-", "no", "-"]
    assert remarks([entry]) == [
        "senet.onnx, onnxruntime: needs the package onnxruntime, which is not installed",
        "flagged: the NME of senet.onnx is 3.1% larger than the graph's",
    ]


def test_every_file_gives_the_graphs_points(folder, records):
    images = load_crops(records, read_manifest(records), "val").images[:6]
    graph = open_backend(folder / "senet.pb", "tensorflow")
    expected = np.array([graph(image) for image in images])
    for name, engines in RUNS.items():
        for engine in engines:
            run = open_backend(folder / name, engine)
            apart = np.abs(np.array([run(image) for image in images]) - expected).max() * 128
            assert apart <= (LIMIT_PX if name in EXACT else INT8_PX), (name, engine)


def test_the_onnx_file_has_the_graphs_input_and_output(folder):
    model = onnx.load(folder / "senet.onnx")
    shapes = [
        (value.name, [dim.dim_value for dim in value.type.tensor_type.shape.dim])
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [("image", [1, 128, 128, 3]), ("landmarks", [1, 136])]


def test_numbers_that_tf2onnx_counts_differently_give_one_file():
    onnx = pytest.importorskip("onnx")
    from senet_kp.export.writers import _make_repeatable

    def model(first, second):
        info, vector = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
        names = (f"shape__{first}", f"add__{second}")
        nodes = [
            onnx.helper.make_node("Add", ["in:0", names[1]], [f"{names[1]}:0"], "a"),
            onnx.helper.make_node("Add", [f"{names[1]}:0", names[0]], ["out:0"], "b"),
        ]
        ends = [[info(name, vector, [1])] for name in ("in:0", "out:0")]
        weights = [
            onnx.helper.make_tensor(name, vector, [1], [value])
            for name, value in sorted(zip(names, (1.0, 2.0), strict=True))
        ]
        graph = onnx.helper.make_graph(nodes, "g", *ends, weights)
        _make_repeatable(graph, {"in:0": "in", "out:0": "out"})
        return graph

    graph = model(9, 10)
    assert graph == model(40, 7)
    assert [list(node.input) for node in graph.node] == [["in", "add__0"], ["add__0:0", "shape__1"]]
    assert [weight.name for weight in graph.initializer] == ["add__0", "shape__1"]


def test_a_file_is_run_by_the_first_engine_that_can(folder):
    first = {name: engine_of(folder / name) for name in RUNS}
    assert first == {
        "senet.pb": "opencv",
        "senet.onnx": "opencv",
        "senet-float32.tflite": "tflite",
        "senet-float16.tflite": "tflite",
        "senet-int8.tflite": "tflite",
        "senet-saved-model": "tensorflow",
    }
    assert {name for engines in RUNS.values() for name in engines} == {*NETWORK_BACKENDS}
    with pytest.raises(UserError, match="no backend 'torch', only auto, opencv"):
        engine_of(folder / "senet.pb", "torch")


def test_evaluate_scores_them_as_the_card_says(entries, records):
    entries, folder = entries
    for name in ("senet-int8.tflite", "senet.onnx", "senet-saved-model"):
        result, _ = evaluate(EvaluateConfig(model=folder / name, records=records))
        assert result["nme"] == pytest.approx(entries[name]["score"]["nme"], rel=1e-6)
        assert result["engine"] == engine_of(folder / name)
        assert result["model_sha256"] == entries[name]["sha256"]
    bases = [results_base(folder / name).name for name in RUNS]
    assert bases == [
        "senet",
        "senet-onnx",
        "senet-float32",
        "senet-float16",
        "senet-int8",
        "senet-saved-model",
    ]


def test_the_demo_takes_the_onnx_file_without_tensorflow(folder, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((200, 200, 3), 90, np.uint8))
    (tmp_path / "boxes.json").write_text('{"a.png": [[20, 20, 160, 160]]}')
    code = (
        "import sys, runpy; sys.argv[0] = 'demo.py'\n"
        "try: runpy.run_path('demo.py', run_name='__main__')\n"
        "finally: print('tensorflow' in sys.modules)"
    )
    result = run_module(
        "-c",
        code,
        tmp_path / "a.png",
        "--model",
        folder / "senet.onnx",
        "--boxes",
        tmp_path / "boxes.json",
        "--out",
        tmp_path,
        "--json",
        "-",
    )
    assert result.returncode == 0, result.stderr
    line, loaded = result.stdout.splitlines()
    picture = cv2.imread(str(tmp_path / "a.png"))
    (face,) = LandmarkPredictor(folder / "senet.pb").predict(picture, [[20, 20, 160, 160]])
    landmarks = json.loads(line)["faces"][0]["landmarks"]
    np.testing.assert_allclose(landmarks, face.landmarks, atol=0.0015)
    assert loaded == "False"


def test_files_and_engines_that_do_not_fit(folder, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="senet.onnx: tensorflow does not run an ONNX file"):
        LandmarkPredictor(folder / "senet.onnx", "tensorflow")
    (tmp_path / "a.tflite").write_bytes(b"none")
    with pytest.raises(ModelError, match="a.tflite: TFLite cannot read it as a TFLite file"):
        open_backend(tmp_path / "a.tflite")
    (tmp_path / "a.onnx").write_bytes(b"none")
    for engine in ("opencv", "onnxruntime"):
        with pytest.raises(ModelError, match="a.onnx: .* cannot read it as an ONNX file"):
            open_backend(tmp_path / "a.onnx", engine)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="senet.onnx: needs the package onnxruntime"):
        open_backend(folder / "senet.onnx", "onnxruntime")


def test_a_file_without_its_card_is_refused(folder, tmp_path):
    shutil.copy(folder / "senet-int8.tflite", tmp_path)
    with pytest.raises(ModelError, match="no model card in its folder lists this file"):
        read_card(tmp_path / "senet-int8.tflite")
    shutil.copy(folder / "senet.json", tmp_path / "renamed.json")
    assert read_card(tmp_path / "senet-int8.tflite")["scheme"]["name"] == "ibug68"
    with open(tmp_path / "senet-int8.tflite", "ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match=r"altered, or not the file that .*renamed.json describes"):
        read_card(tmp_path / "senet-int8.tflite")
    shutil.copytree(folder / "senet-saved-model", tmp_path / "senet-saved-model")
    (tmp_path / "senet-saved-model" / "more").write_text("")
    with pytest.raises(ModelError, match="senet-saved-model: altered"):
        read_card(tmp_path / "senet-saved-model")


def test_a_file_that_differs_too_much_is_not_written(model, records, tmp_path, monkeypatch):
    path = copied(model, tmp_path)
    (half,) = (export for export in EXPORTS if export.ending == "-float16.tflite")
    monkeypatch.setattr(convert_module, "EXPORTS", [replace(half, limit_px=1e-9)])
    with pytest.raises(CheckError, match="senet-float16.tflite in tflite puts landmark"):
        convert(ConvertConfig(model=path, records=records))
    assert {p.name for p in tmp_path.iterdir()} == {"senet.pb", "senet.json"}
    assert "exports" not in read_card(path)


def test_a_larger_error_is_flagged_and_other_files_stay_listed(
    folder, records, tmp_path, monkeypatch, capsys
):
    path = copied(folder / "senet.pb", tmp_path)
    monkeypatch.setattr(convert_module, "FLAGGED", -1.0)
    flags = ["--model", str(path), "--records", str(records), "--formats", "onnx"]
    monkeypatch.setattr(sys, "argv", ["convert", *flags])
    assert exit_code_of(convert_module.main) == 0
    found = read_card(path)["exports"]
    printed = capsys.readouterr().out
    assert table(found) in printed and "flagged: the NME of senet.onnx is" in printed
    assert [entry["file"] for entry in found] == list(RUNS)
    assert [entry["file"] for entry in found if entry.get("flagged")] == ["senet.onnx"]


def test_other_records_are_refused(model, records, tmp_path):
    path = copied(model, tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    card["training"]["records"]["sha256"] = "0" * 64
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"senet.pb was trained on other records than .* holds"):
        convert(ConvertConfig(model=path, records=records))


@pytest.mark.parametrize(
    "name, faces, words",
    [
        ("senet.onnx", 8, "senet.onnx: not a frozen graph"),
        ("senet.pb", 0, "--calibration-faces"),
    ],
)
def test_unusable_arguments(folder, records, name, faces, words):
    config = ConvertConfig(model=folder / name, records=records, calibration_faces=faces)
    with pytest.raises(UserError, match=words):
        convert(config)
